import type { Command } from 'commander';
import { toIso } from '../../domain/time.ts';
import { systemClock } from '../../platform/clock.ts';
import { backupDatabase, restoreDatabase } from '../../store/open-store.ts';
import { assertSchema } from '../open-store.ts';
import { CliError, print } from '../output.ts';
import { readSettings } from '../settings.ts';

/** Registers `hangup backup` and `hangup restore`. */
export function registerBackupCommands(program: Command): void {
  program
    .command('backup')
    .description('Copy the database into a file and check the copy; works while hangup runs')
    .argument('<file>', 'File to create; it must not exist')
    .action(async (target: string) => {
      const file = databaseFile('hangup backup', 'pg_dump');
      await assertSchema({ kind: 'sqlite', file }, ['current', 'behind', 'ahead']);
      await backupDatabase(file, target);
      print(`copied ${file} to ${target}`);
    });
  program
    .command('restore')
    .description('Replace the database with a backup and keep the old database; stop hangup first')
    .argument('<file>', 'File that `hangup backup` created')
    .action((backup: string) => {
      const file = databaseFile('hangup restore', 'pg_restore');
      const time = toIso(systemClock.now()).replaceAll(/[:.]/g, '-');
      const previousPath = `${file}.before-restore-${time}`;
      const hadDatabase = restoreDatabase(backup, { file, previousPath });
      print(`restored ${file} from ${backup}${hadDatabase ? `; the old database is ${previousPath}` : ''}`);
    });
}

/** Returns the SQLite file of the settings. @throws CliError for a Postgres database */
function databaseFile(command: string, postgresTool: string): string {
  const { database } = readSettings();
  if (database.kind === 'sqlite') return database.file;
  throw new CliError(
    `\`${command}\` works with SQLite files only: use ${postgresTool} for the Postgres database in DATABASE_URL`,
  );
}
