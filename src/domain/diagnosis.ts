import type { Census } from './ports.ts';
import { namesOf, servedBefore } from './served-livekits.ts';
import type { Timestamp } from './time.ts';

/** unknown: it could not be found out, which is no fault by itself. */
export type Level = 'ok' | 'warning' | 'failure' | 'unknown';

/** One line of a diagnosis. */
export interface Finding {
  readonly check: string;
  readonly level: Level;
  readonly message: string;
  /** What to do. */
  readonly advice?: string;
}

export type SettingsFacts =
  | { readonly kind: 'wrong'; readonly problems: readonly string[] }
  | {
      readonly kind: 'good';
      /** Its full path; null when there is none. */
      readonly file: string | null;
      /** Whether every user of the machine may read the file, where the secret is. */
      readonly isFilePublic: boolean;
      /** Names of the settings, of each place those that count. */
      readonly fromFile: readonly string[];
      readonly fromEnvironment: readonly string[];
    };

/** none: not made by hangup. older: `hangup migrate` brings it up to date. newer: made by another hangup. */
export type SchemaAge = 'none' | 'older' | 'current' | 'newer';

export type DatabaseFacts =
  | { readonly kind: 'missing' }
  | { readonly kind: 'unusable'; readonly detail: string }
  | {
      readonly kind: 'open';
      readonly schema: SchemaAge;
      readonly journalMode: string;
      /** What SQLite's own check says is broken; empty when nothing is. */
      readonly corruption: readonly string[];
      /** Names of the files that every user of the machine may read. */
      readonly publicFiles: readonly string[];
      readonly isOwn: boolean;
      /** Whether this user may write the file, and make others beside it. */
      readonly isWritable: boolean;
      readonly freeBytes: number;
      /** Null when the schema is not this version's. */
      readonly record: RecordFacts | null;
    };

export interface RecordFacts {
  readonly census: Census;
  readonly lastWebhookAt: Timestamp | null;
  /** URLs of the LiveKit servers that it was served with, the last one first. */
  readonly livekitServers: readonly string[];
  /** Of the rooms that LiveKit has now. */
  readonly rooms: { readonly live: number; readonly ended: number; readonly unknown: number };
}

export type LiveKitFacts =
  | { readonly kind: 'unreachable'; readonly detail: string }
  | {
      readonly kind: 'answered';
      /** key: it does not know the key. token: it knows it, and does not take what is signed with the secret. */
      readonly verdict:
        | { readonly kind: 'accepted'; readonly roomNames: readonly string[] }
        | { readonly kind: 'refused'; readonly by: 'key' | 'token' }
        | { readonly kind: 'no_livekit'; readonly status: number };
      /** How far its clock is ahead of ours, behind if negative; null when it did not tell its time. */
      readonly clockAheadMs: number | null;
    };

const GIBIBYTE = 1024 ** 3;
const SCARCE_BYTES = GIBIBYTE;
const TOO_LITTLE_BYTES = 0.1 * GIBIBYTE;

/** By the Date header, which has whole seconds. */
const CLOCK_NOISE_MS = 3_000;
/** The SDK refuses a webhook that is signed further ahead than this: its signature is not valid yet. */
const AHEAD_AT_MOST_MS = 10_000;
/** LiveKit refuses a token that is signed further ahead of its clock than this (measured on 1.13.5). */
const BEHIND_AT_MOST_MS = 60_000;

const STUCK_MS = 120_000;

export function judgeSettings(facts: SettingsFacts): Finding[] {
  const check = 'settings';
  if (facts.kind === 'wrong') {
    return facts.problems.map((message) => ({
      check,
      level: 'failure',
      message,
      advice: 'correct it in the environment or in .env; the README has the table of settings',
    }));
  }
  const named = (names: readonly string[]) => (names.length === 0 ? 'nothing' : names.join(', '));
  const findings: Finding[] = [
    {
      check,
      level: 'ok',
      message: `from the environment: ${named(facts.fromEnvironment)}; ${
        facts.file === null
          ? 'no file .env in this directory'
          : `from ${facts.file}: ${named(facts.fromFile)}`
      }; defaults for the rest`,
    },
  ];
  if (facts.isFilePublic) {
    findings.push({
      check,
      level: 'warning',
      message: `every user of this machine may read ${facts.file}`,
      advice: `chmod 600 ${facts.file}`,
    });
  }
  return findings;
}

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
          advice:
            'check that DATABASE_URL names a database of hangup that this user may read; else restore a backup',
        },
      ];
    case 'open':
      return [
        judgeSchema(file, facts.schema),
        judgeIntegrity(facts.corruption),
        judgeDurability(facts.journalMode),
        judgeAccess(file, facts),
        judgeDisk(facts.freeBytes),
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

/**
 * @param facts null when no LiveKit is set
 * @param servers that the database was served with, by their URL
 */
export function judgeLiveKit(
  url: string,
  facts: LiveKitFacts | null,
  servers: readonly string[] = [],
): Finding[] {
  const check = 'livekit';
  if (facts === null) {
    if (servers.length > 0) {
      return [
        {
          check,
          level: 'failure',
          message: `LIVEKIT_URL is not set, and the database has the calls of ${namesOf(servers)}: hangup does not run on its built-in emulator with it`,
          advice: 'set LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET',
        },
      ];
    }
    return [
      {
        check,
        level: 'warning',
        message:
          'LIVEKIT_URL is not set: hangup runs on its built-in emulator, and no real call is ever cancelled',
        advice: 'set LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET',
      },
    ];
  }
  if (facts.kind === 'unreachable') {
    return [
      {
        check,
        level: 'failure',
        message: `${url} does not answer: ${facts.detail}`,
        advice: 'check LIVEKIT_URL, and that LiveKit runs and is reached from here',
      },
    ];
  }
  const { verdict, clockAheadMs } = facts;
  if (verdict.kind === 'no_livekit') {
    return [
      {
        check,
        level: 'failure',
        message: `what answers at ${url} is no LiveKit server (HTTP ${verdict.status})`,
        advice: 'check LIVEKIT_URL',
      },
    ];
  }
  const before = servedBefore(url, servers);
  return [
    before === null
      ? { check, level: 'ok', message: `${url} answers` }
      : {
          check,
          level: 'warning',
          message: `${url} answers, and the database was last served with ${before}: live calls whose rooms are there would end`,
          advice: 'check LIVEKIT_URL and DATABASE_URL, unless it is another name of the same LiveKit',
        },
    judgeCredentials(verdict, clockAheadMs),
    judgeClock(clockAheadMs),
    {
      check: 'version',
      level: 'unknown',
      message: 'LiveKit tells its version only to those who join a room, which the doctor does not',
    },
  ];
}

function judgeCredentials(
  verdict: Exclude<Extract<LiveKitFacts, { kind: 'answered' }>['verdict'], { kind: 'no_livekit' }>,
  clockAheadMs: number | null,
): Finding {
  const check = 'credentials';
  if (verdict.kind === 'accepted') return { check, level: 'ok', message: 'LiveKit takes key and secret' };
  // It looks at the key first, and at what is signed then: the secret may be right.
  if (verdict.by === 'token' && Math.abs(clockAheadMs ?? 0) > BEHIND_AT_MOST_MS) {
    return {
      check,
      level: 'unknown',
      message: 'LiveKit knows the key; it takes nothing that is signed at a time so far from its own',
    };
  }
  return verdict.by === 'key'
    ? {
        check,
        level: 'failure',
        message: 'LiveKit does not know the key',
        advice: 'set LIVEKIT_API_KEY to one of the `keys` of your LiveKit server, or add it there',
      }
    : {
        check,
        level: 'failure',
        message: 'LiveKit does not take what is signed with the secret',
        advice:
          'check that LIVEKIT_API_SECRET is the secret of LIVEKIT_API_KEY; if it is, compare the clocks',
      };
}

function judgeClock(aheadMs: number | null): Finding {
  const check = 'clock';
  if (aheadMs === null) {
    return {
      check,
      level: 'unknown',
      message: 'the answer of LiveKit has no Date header, so its clock cannot be told from here',
    };
  }
  const seconds = Math.round(Math.abs(aheadMs) / 1000);
  // A proxy writes the header anew.
  const source = 'by the Date header of its answer, which is that of a proxy where there is one';
  if (Math.abs(aheadMs) <= CLOCK_NOISE_MS) {
    return {
      check,
      level: 'ok',
      message: `LiveKit's is this one's, within ${CLOCK_NOISE_MS / 1000} s (${source})`,
    };
  }
  const message = `LiveKit's is ${seconds} s ${aheadMs > 0 ? 'ahead' : 'behind'} (${source})`;
  const advice = 'set both clocks by NTP';
  if (aheadMs > AHEAD_AT_MOST_MS) {
    return {
      check,
      level: 'failure',
      message: `${message}: its webhooks are refused, for they are not valid yet`,
      advice,
    };
  }
  if (aheadMs < -BEHIND_AT_MOST_MS) {
    return {
      check,
      level: 'failure',
      message: `${message}: it refuses our tokens, for they are not valid yet`,
      advice,
    };
  }
  return { check, level: 'warning', message, advice };
}

/** What is on record, against what LiveKit has. @param isLiveKitListed whether LiveKit told its rooms */
export function judgeRecord(
  { census, lastWebhookAt, rooms }: RecordFacts,
  { now, isLiveKitListed }: { now: Timestamp; isLiveKitListed: boolean },
): Finding[] {
  const liveCalls = Object.values(census.liveCalls).reduce((sum, count) => sum + count, 0);
  return [
    ...(isLiveKitListed ? [judgeRooms(rooms)] : []),
    judgeDeletions(census, now),
    judgeWebhooks(lastWebhookAt, { now, liveCalls }),
  ];
}

function judgeRooms({ live, ended, unknown }: RecordFacts['rooms']): Finding {
  const message = `LiveKit has ${plural(live + ended + unknown, 'room')}: ${live} of live calls, ${ended} of ended calls, ${unknown} not on record`;
  if (ended === 0) return { check: 'rooms', level: 'ok', message };
  return {
    check: 'rooms',
    level: 'warning',
    message,
    advice:
      'a running hangup deletes the rooms of ended calls: ask again in a minute; the log says why it fails',
  };
}

function judgeDeletions({ openDeletions, oldestOpenDeletionAt }: Census, now: Timestamp): Finding {
  const check = 'deletions';
  const { discarded } = openDeletions;
  const ageMs = oldestOpenDeletionAt === null ? 0 : now - oldestOpenDeletionAt;
  if (ageMs > STUCK_MS) {
    return {
      check,
      level: 'warning',
      message: `a call ended ${ago(ageMs)}, and its room is still not gone`,
      advice: 'see whether hangup runs; `room not deleted` in its log says why, in `cause` and `advice`',
    };
  }
  if (discarded > 0) {
    return {
      check,
      level: 'warning',
      message: `${plural(discarded, 'room')} could not be deleted for so long that hangup gave up`,
      advice: 'the log names them, at `given up`: delete those that are alive by hand',
    };
  }
  return { check, level: 'ok', message: 'no room waits for long to be deleted' };
}

function judgeWebhooks(
  lastWebhookAt: Timestamp | null,
  { now, liveCalls }: { now: Timestamp; liveCalls: number },
): Finding {
  const check = 'webhooks';
  if (lastWebhookAt !== null) {
    return { check, level: 'ok', message: `the last one came ${ago(now - lastWebhookAt)}` };
  }
  if (liveCalls === 0) {
    return { check, level: 'unknown', message: 'none came within the last two days, and no call lives' };
  }
  return {
    check,
    level: 'warning',
    message: `none came within the last two days, and ${plural(liveCalls, 'call')} live${liveCalls === 1 ? 's' : ''}`,
    advice:
      "in LiveKit's configuration, `webhook.urls` has to name this server's /webhooks/livekit, and `webhook.api_key` a key that is set here",
  };
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function ago(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min ago`;
  return `${Math.round(seconds / 3_600)} h ago`;
}
