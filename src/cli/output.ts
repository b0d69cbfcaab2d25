import { InvalidArgumentError } from 'commander';
import { parseSettings, type Settings } from '../platform/config.ts';
import { environmentWarnings, readEnvironment } from '../platform/environment.ts';
import type { SchemaVersion } from '../ports/diagnostics.ts';
import type { Store } from '../ports/store.ts';
import { assertDatabaseExists, DatabaseError, inspectSchema, openStore } from '../store/open-store.ts';

/** What was asked for cannot be; nothing was changed. The message says what to do. */
export class Refused extends Error {
  override readonly name = 'Refused';
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Resolves when the text is written. @throws the error of a reader that has gone, of a full disk */
export function printSafely(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(`${text}\n`, (error) => (error ? reject(error) : resolve()));
  });
}

/** How far a command is: on standard error, for standard output has what scripts read. */
export function tell(text: string): void {
  process.stderr.write(`hangup: ${text}\n`);
}

let isWarned = false;

/** The settings of a command. What was given without effect is on standard error, once. @throws SettingsError */
export function readSettings(): Settings {
  const settings = parseSettings(readEnvironment(), 'administer');
  if (!isWarned) for (const warning of environmentWarnings()) tell(`warning: ${warning}`);
  isWarned = true;
  return settings;
}

/** Columns as wide as their widest word. */
export function printTable(rows: readonly (readonly string[])[]): void {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  for (const row of rows) {
    print(row.map((word, i) => (i === row.length - 1 ? word : word.padEnd(widths[i] ?? 0))).join('  '));
  }
}

/**
 * The store that the settings name; closed behind its use. Of a database that is not there, or not up to date, nothing
 * is made: that may be a wrong folder, or one that an older hangup serves.
 */
export async function withStore(use: (store: Store) => Promise<void>): Promise<void> {
  const { databaseFile: file } = readSettings();
  refuseUnless(file, ['current', 'ahead']);
  await withMadeStore(use);
}

/** The same, made or brought up to date when it must be. */
export async function withMadeStore(use: (store: Store, file: string) => Promise<void>): Promise<void> {
  const { databaseFile } = readSettings();
  const store = openStore(databaseFile, {
    onMigrating: (migrations) => tell(`bringing ${databaseFile} up to date: ${migrations.join(', ')}`),
  });
  try {
    await use(store, databaseFile);
  } finally {
    await store.close();
  }
}

/** @throws DatabaseError when there is none of this hangup's or an older one's; Refused when its schema is older, and that is none of these ages */
export function refuseUnless(file: string, ages: readonly SchemaVersion[]): void {
  assertDatabaseExists(file);
  const { age, pending } = inspectSchema(file);
  if (ages.includes(age)) return;
  switch (age) {
    case 'behind':
      throw new Refused(
        `${file} is of an older hangup, and lacks ${pending.join(', ')}; \`hangup migrate\` brings it up to date (back it up first)`,
      );
    case 'ahead':
      throw new DatabaseError(`${file} is of a newer hangup: this one does not open it`);
    default:
      throw new DatabaseError(`${file} was not made by hangup. Set DATABASE_URL.`);
  }
}

/** Of an organization, of a key, how the names of rooms begin. */
export function parseName(text: string): string {
  if (/^[^\p{Cc}]{1,128}$/u.test(text) && text.trim() === text) return text;
  throw new InvalidArgumentError('expected 1 to 128 characters.');
}
