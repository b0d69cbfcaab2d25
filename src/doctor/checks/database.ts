import type { DatabaseFacts, Finding, SchemaAge } from '../diagnosis.ts';

const GIBIBYTE = 1024 ** 3;
const SCARCE_BYTES = GIBIBYTE;
const TOO_LITTLE_BYTES = 0.1 * GIBIBYTE;
const MEBIBYTE = 1024 ** 2;
/** hangup cuts it to 16 MiB when nobody reads for long. */
const LARGE_WAL_BYTES = 64 * MEBIBYTE;

/** @param file its full path */
export function judgeDatabase(file: string, facts: DatabaseFacts): Finding[] {
  switch (facts.kind) {
    case 'missing':
      return [
        {
          check: 'database',
          level: 'failure',
          message: `there is none at ${file}`,
          advice:
            'run the doctor where hangup runs, with its settings; if hangup never ran, `hangup migrate` makes the database',
        },
      ];
    case 'unusable':
      return [
        {
          check: 'database',
          level: 'failure',
          message: `${file} cannot be read: ${facts.detail}`,
          advice: facts.advice,
        },
      ];
    case 'open':
      return [
        judgeSchema(file, facts.schema),
        judgeIntegrity(facts.corruption),
        judgeDurability(facts.journalMode),
        judgeAccess(file, facts),
        judgeDisk(facts.freeBytes),
        ...judgeWal(file, facts.walBytes),
      ];
  }
}

function judgeSchema(file: string, schema: SchemaAge): Finding {
  const check = 'database';
  switch (schema) {
    case 'current':
      return { check, level: 'ok', message: `${file}, with the schema of this version` };
    case 'older':
      return {
        check,
        level: 'warning',
        message: `${file} has the schema of an older version`,
        advice: '`hangup migrate`, or the next start, brings it up to date',
      };
    case 'newer':
      return {
        check,
        level: 'failure',
        message: `${file} was made by a newer (or another) hangup than this one`,
        advice: 'start that version, or restore a backup made with this one',
      };
    case 'none':
      return {
        check,
        level: 'failure',
        message: `${file} is no database of hangup`,
        advice: 'check DATABASE_URL',
      };
  }
}

function judgeIntegrity(corruption: readonly string[]): Finding {
  const check = 'integrity';
  if (corruption.length === 0)
    return { check, level: 'ok', message: "SQLite's quick_check finds nothing broken" };
  return {
    check,
    level: 'failure',
    message: `the database is damaged: ${corruption.slice(0, 3).join('; ')}`,
    advice: 'stop hangup, keep the files, and restore a backup; then look at the disk',
  };
}

function judgeDurability(journalMode: string): Finding {
  const check = 'durability';
  // `synchronous` belongs to a connection: that of a running hangup cannot be asked from outside.
  if (journalMode === 'wal') {
    return {
      check,
      level: 'ok',
      message: 'WAL; hangup sets synchronous=FULL itself, and refuses to start without',
    };
  }
  return {
    check,
    level: 'warning',
    message: `the journal mode is ${journalMode}, not WAL`,
    advice: 'the next start of hangup switches it; if it does not stay, the file system is not a local one',
  };
}

function judgeAccess(
  file: string,
  { publicFiles, isOwn, isWritable }: Extract<DatabaseFacts, { kind: 'open' }>,
): Finding {
  const check = 'access';
  if (publicFiles.length > 0) {
    return {
      check,
      level: 'failure',
      message: `every user of this machine may read ${publicFiles.join(', ')}, and phone numbers are in it`,
      advice: `chmod 600 ${publicFiles.join(' ')}`,
    };
  }
  if (!isWritable) {
    return {
      check,
      level: 'failure',
      message: `this user may not write ${file}, or not in its folder: hangup does not start so`,
      advice: `give it to the user that hangup runs as: chown USER ${file}*, and its folder; or run the doctor as that user`,
    };
  }
  if (!isOwn) {
    return {
      check,
      level: 'warning',
      message: `${file} belongs to another user than the one who asks`,
      advice: 'run the doctor as the user that hangup runs as, to see what it sees',
    };
  }
  return { check, level: 'ok', message: 'the files are not open to every user of this machine' };
}

function judgeDisk(freeBytes: number): Finding {
  const message = `${(freeBytes / GIBIBYTE).toFixed(1)} GiB are free where the database is`;
  if (freeBytes >= SCARCE_BYTES) return { check: 'disk', level: 'ok', message };
  return {
    check: 'disk',
    level: freeBytes < TOO_LITTLE_BYTES ? 'failure' : 'warning',
    message,
    advice: 'make room: when the disk is full no cancel can be recorded, and each is answered 500',
  };
}

function judgeWal(file: string, walBytes: number): Finding[] {
  if (walBytes <= LARGE_WAL_BYTES) return [];
  return [
    {
      check: 'disk',
      level: 'warning',
      message: `${file}-wal has ${Math.round(walBytes / MEBIBYTE)} MiB: a program has read the database for long without a pause`,
      advice: `end that program (fuser -v ${file} lists those that have it open); a running hangup then shrinks it within two minutes`,
    },
  ];
}
