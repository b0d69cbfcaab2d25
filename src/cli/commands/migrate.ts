import type { Command } from 'commander';
import { print, readSettings, refuseUnless, withMadeStore } from '../output.ts';

/** `hangup migrate`. */
export function addMigrate(hangup: Command): void {
  hangup
    .command('migrate')
    .description('make the database, or bring its schema up to date, and exit; `serve` does it too')
    .option('--check', 'only look; exit code 1 unless it is up to date')
    .action(({ check }: { check?: true }) =>
      check ? checkSchema() : withMadeStore(async (_, file) => print(`${file} is up to date`)),
    );
}

function checkSchema(): void {
  const { databaseFile: file } = readSettings();
  refuseUnless(file, ['current']);
  print(`${file} is up to date`);
}
