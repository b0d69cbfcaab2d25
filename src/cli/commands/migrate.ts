import type { Command } from 'commander';
import { describeDatabase } from '../../platform/database-address.ts';
import { assertSchema, withMigratedStore } from '../open-store.ts';
import { print } from '../output.ts';
import { readSettings } from '../settings.ts';

export function registerMigrateCommand(program: Command): void {
  program
    .command('migrate')
    .description('Create the database or update its schema; `serve` does the same')
    .option('--check', 'Change nothing; exit with 1 if migrations are missing')
    .action(({ check }: { check?: true }) =>
      check ? checkSchema() : withMigratedStore(async (_, name) => print(`${name} is up to date`)),
    );
}

async function checkSchema(): Promise<void> {
  const { database } = readSettings();
  await assertSchema(database, ['current']);
  print(`${describeDatabase(database)} is up to date`);
}
