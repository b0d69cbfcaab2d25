import { InvalidArgumentError } from 'commander';
import { parseSettings, readEnvironment } from '../config.ts';
import { openSqliteStore, type SqliteStore } from '../store/sqlite-store.ts';

/** What was asked for cannot be; nothing was changed. The message says what to do. */
export class Refused extends Error {
  override readonly name = 'Refused';
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** How far a command is: on standard error, for standard output has what scripts read. */
export function tell(text: string): void {
  process.stderr.write(`hangup: ${text}\n`);
}

/** Columns as wide as their widest word. */
export function printTable(rows: readonly (readonly string[])[]): void {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  for (const row of rows) {
    print(row.map((word, i) => (i === row.length - 1 ? word : word.padEnd(widths[i] ?? 0))).join('  '));
  }
}

/** The store that the settings name; closed behind its use. */
export async function withStore(use: (store: SqliteStore, file: string) => Promise<void>): Promise<void> {
  const { databaseFile } = parseSettings(readEnvironment(), 'administer');
  const store = openSqliteStore(databaseFile, (migrations) =>
    tell(`bringing ${databaseFile} up to date: ${migrations.join(', ')}`),
  );
  try {
    await use(store, databaseFile);
  } finally {
    store.close();
  }
}

/** Of an organization, of a key, how the names of rooms begin. */
export function parseName(text: string): string {
  if (/^[^\p{Cc}]{1,128}$/u.test(text) && text.trim() === text) return text;
  throw new InvalidArgumentError('expected 1 to 128 characters.');
}
