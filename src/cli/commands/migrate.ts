import type { Command } from 'commander';
import { assertSchema, withMigratedStore } from '../open-store.ts';
import { print } from '../output.ts';
import { readSettings } from '../settings.ts';

export function registerMigrateCommand(program: Command): void {
  program
    .command('migrate')
    .description('Create the database or update its schema; `serve` does the same')
    .option('--check', 'Change nothing; exit with 1 if migrations are missing')
    .action(({ check }: { check?: true }) =>
      check ? checkSchema() : withMigratedStore(async (_, file) => print(`${file} is up to date`)),
    );
}

function checkSchema(): void {
  const { databaseFile: file } = readSettings();
  assertSchema(file, ['current']);
  print(`${file} is up to date`);
}
