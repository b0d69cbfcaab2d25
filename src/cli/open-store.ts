import type { SchemaVersion } from '../ports/diagnostics.ts';
import type { Store } from '../ports/store.ts';
import { assertDatabaseExists, DatabaseError, inspectSchema, openStore } from '../store/open-store.ts';
import { CliError, printProgress } from './output.ts';
import { readSettings } from './settings.ts';

/**
 * Opens the store for a command, then closes it. Does not create or migrate the database: the directory may be wrong, or
 * an older hangup may serve the database.
 */
export async function withExistingStore(use: (store: Store) => Promise<void>): Promise<void> {
  const { databaseFile: file } = readSettings();
  assertSchema(file, ['current', 'ahead']);
  await withMigratedStore(use);
}

/** Opens the store for a command, then closes it. Creates or migrates the database first if necessary. */
export async function withMigratedStore(use: (store: Store, file: string) => Promise<void>): Promise<void> {
  const { databaseFile } = readSettings();
  const store = openStore(databaseFile, {
    onMigrating: (migrations) => printProgress(`migrating ${databaseFile}: ${migrations.join(', ')}`),
  });
  try {
    await use(store, databaseFile);
  } finally {
    await store.close();
  }
}

/**
 * Checks that a database exists and that its schema has an allowed version.
 * @throws DatabaseError for a missing, foreign or newer database; CliError for an older one
 */
export function assertSchema(file: string, allowed: readonly SchemaVersion[]): void {
  assertDatabaseExists(file);
  const { version, pending } = inspectSchema(file);
  if (allowed.includes(version)) return;
  switch (version) {
    case 'behind':
      throw new CliError(
        `${file} belongs to an older version of hangup. Missing migrations: ${pending.join(', ')}. Back up the database, then run \`hangup migrate\`.`,
      );
    case 'ahead':
      throw new DatabaseError(`${file} belongs to a newer version of hangup. Use that version.`);
    default:
      throw new DatabaseError(`${file} was not created by hangup. Set DATABASE_URL.`);
  }
}
