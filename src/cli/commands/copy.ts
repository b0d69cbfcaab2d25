import type { Command } from 'commander';
import { type DatabaseAddress, databaseAddress, describeDatabase } from '../../platform/database-address.ts';
import { copyDatabase } from '../../store/open-store.ts';
import { CliError, print, printProgress, printTable } from '../output.ts';

const PROGRESS_INTERVAL_MS = 2_000;

/** Registers `hangup copy`. */
export function registerCopyCommand(program: Command): void {
  program
    .command('copy')
    .description('Copy a SQLite database into Postgres, or back; stop hangup first')
    .requiredOption('--from <url>', 'Database to copy: file:PATH or postgres://…')
    .requiredOption('--to <url>', 'New database: file:PATH or postgres://…')
    .addHelpText(
      'after',
      '\nTo continue an interrupted copy, start the same command again. Until the copy is complete and verified,\n`hangup serve` refuses the new database. Keep the old database until the new one works.',
    )
    .action((options: { from: string; to: string }) =>
      copy(parse('--from', options.from), parse('--to', options.to)),
    );
}

async function copy(from: DatabaseAddress, to: DatabaseAddress): Promise<void> {
  if (from.kind === to.kind) {
    throw new CliError(
      from.kind === 'sqlite'
        ? '`hangup copy` copies between SQLite and Postgres. Use `hangup backup` to copy a SQLite file.'
        : '`hangup copy` copies between SQLite and Postgres. Use pg_dump to copy a Postgres database.',
      { exitCode: 2 },
    );
  }
  const [source, target] = [describeDatabase(from), describeDatabase(to)];
  const report = throttle();
  const tables = await copyDatabase(
    { from, to },
    {
      onMigrating: (migrations) => printProgress(`migrating ${target}: ${migrations.join(', ')}`),
      onProgress: ({ table, rows, total, isVerifying }) => {
        if (isVerifying) printProgress(`verifying ${table}: ${total} rows`);
        else report(`copied ${rows} of ${total} rows of ${table}`, { table, isLast: rows === total });
      },
    },
  );
  printTable([
    ['TABLE', 'ROWS', 'CHECKSUM'],
    ...tables.map(({ table, rows, checksum }) => [table, String(rows), checksum]),
  ]);
  print(`copied ${source} to ${target}, and verified the copy`);
}

/** Returns a function that prints the first and the last text of each table, and one in two seconds of the others. */
function throttle(): (text: string, progress: { table: string; isLast: boolean }) => void {
  let nextAt = 0;
  let lastTable = '';
  return (text, { table, isLast }) => {
    const now = performance.now();
    if (!isLast && table === lastTable && now < nextAt) return;
    nextAt = now + PROGRESS_INTERVAL_MS;
    lastTable = table;
    printProgress(text);
  };
}

function parse(option: string, text: string): DatabaseAddress {
  const { data, error } = databaseAddress.safeParse(text);
  if (data !== undefined) return data;
  // Without the value, which can contain a password.
  throw new CliError(`${option} is invalid: ${error.issues[0]?.message}. Nothing was started.`, {
    exitCode: 2,
  });
}
