import { errorMessage, StoreBusyError } from '../domain/errors.ts';
import { type DatabaseAddress, describeDatabase } from '../platform/database-address.ts';
import type { SchemaVersion } from '../ports/diagnostics.ts';
import type { Store } from '../ports/store.ts';
import { DatabaseError, inspectSchema, openStore } from '../store/open-store.ts';
import { CliError, printProgress } from './output.ts';
import { readSettings } from './settings.ts';

/**
 * Opens the store for a command, then closes it. Does not create or migrate the database: the directory may be wrong, or
 * an older hangup may serve the database.
 */
export async function withExistingStore(use: (store: Store) => Promise<void>): Promise<void> {
  await assertSchema(readSettings().database, ['current', 'ahead']);
  await withMigratedStore(use);
}

/** Opens the store for a command, then closes it. Creates or migrates the database first if necessary. */
export async function withMigratedStore(
  use: (store: Store, databaseName: string) => Promise<void>,
): Promise<void> {
  const { database } = readSettings();
  const name = describeDatabase(database);
  const store = await openStore(database, {
    onWaiting: reportWaiting(name),
    onMigrating: (migrations) => printProgress(`migrating ${name}: ${migrations.join(', ')}`),
  });
  try {
    await use(store, name);
  } catch (error) {
    if (database.kind === 'sqlite' || !(error instanceof StoreBusyError)) throw error;
    throw new DatabaseError(
      `Cannot use ${name}: ${errorMessage(error)}. Check that Postgres runs and accepts writes.`,
    );
  } finally {
    await store.close();
  }
}

const reportWaiting = (name: string) => (reason: string) =>
  printProgress(`waiting up to 30 s for ${name}: ${reason}`);

/**
 * Checks that a database exists and that its schema has an allowed version.
 * @throws DatabaseError for a missing, foreign or newer database; CliError for an older one
 */
export async function assertSchema(
  database: DatabaseAddress,
  allowed: readonly SchemaVersion[],
): Promise<void> {
  const name = describeDatabase(database);
  const { version, pending } = await inspectSchema(database, { onWaiting: reportWaiting(name) });
  if (allowed.includes(version)) return;
  switch (version) {
    case 'behind':
      throw new CliError(
        `${name} belongs to an older version of hangup. Missing migrations: ${pending.join(', ')}. Back up the database, then run \`hangup migrate\`.`,
      );
    case 'ahead':
      throw new DatabaseError(`${name} belongs to a newer version of hangup. Use that version.`);
    default:
      throw new DatabaseError(
        database.kind === 'sqlite'
          ? `${name} was not created by hangup. Set DATABASE_URL.`
          : `${name} has no tables of hangup. Set DATABASE_URL, or create the tables with \`hangup migrate\`.`,
      );
  }
}
