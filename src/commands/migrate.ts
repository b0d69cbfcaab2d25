import type { Command } from 'commander';
import { parseSettings, readEnvironment } from '../config.ts';
import { schemaOf } from '../store/database.ts';
import { print, Refused, withStore } from './terminal.ts';

/** `hangup migrate`. */
export function addMigrate(hangup: Command): void {
  hangup
    .command('migrate')
    .description('make the database, or bring its schema up to date, and exit; `serve` does it too')
    .option('--check', 'only look; exit code 1 unless it is up to date')
    .action(({ check }: { check?: true }) =>
      check ? checkSchema() : withStore(async (_, file) => print(`${file} is up to date`)),
    );
}

function checkSchema(): void {
  const { databaseFile: file } = parseSettings(readEnvironment(), 'administer');
  const { age, pending } = schemaOf(file);
  switch (age) {
    case 'current':
      print(`${file} is up to date`);
      return;
    case 'older':
      throw new Refused(
        `${file} is of an older hangup, and lacks ${pending.join(', ')}; \`hangup migrate\` brings it up to date (back it up first)`,
      );
    case 'newer':
      throw new Refused(`${file} is of a newer hangup: this one does not open it`);
    case 'none':
      throw new Refused(`${file} was not made by hangup`);
  }
}
