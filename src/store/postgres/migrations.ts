import { join } from 'node:path';
import { readMigrationFiles } from 'drizzle-orm/migrator';
import { MIGRATIONS_FOLDER } from '../../platform/assets.ts';
import type { SchemaVersion } from '../../ports/diagnostics.ts';
import { COPY_TABLE } from '../copy/copy-mark.ts';
import { DatabaseError, type OnMigrate } from '../database-error.ts';
import { migrationNames } from '../migration-names.ts';
import type { Connections } from './database.ts';
import { prepareSql, type Session, statementOf } from './session.ts';

const FOLDER = join(MIGRATIONS_FOLDER, 'postgres');
/** A migration of a large database takes minutes. */
const MIGRATION_TIMEOUT_MS = 3_600_000;

const lock = prepareSql("SELECT pg_advisory_xact_lock(hashtextextended('hangup:migrations', 0)) IS NULL");
const exists = prepareSql<{ isOurs: boolean }>(
  `SELECT to_regclass('__drizzle_migrations') IS NOT NULL AS "isOurs"`,
);
const copyMark = prepareSql<{ exists: boolean }>(`SELECT to_regclass('${COPY_TABLE}') IS NOT NULL AS exists`);
const applied = prepareSql<{ hash: string }>('SELECT hash FROM __drizzle_migrations ORDER BY id');
const record = prepareSql('INSERT INTO __drizzle_migrations (id, hash, created_at) VALUES ($1, $2, $3)');

/**
 * Applies drizzle-kit's files, recorded in drizzle's table, in one transaction under an advisory lock: several nodes that
 * start at once migrate once. A failed migration changes nothing.
 */
export async function migrate(db: Connections, onMigrating: OnMigrate): Promise<void> {
  const migrations = readMigrationFiles({ migrationsFolder: FOLDER });
  const known = migrations.map(({ hash }) => hash);
  await db.connection(async (connection) => {
    try {
      await connection.begin(MIGRATION_TIMEOUT_MS);
      await connection.execute(statementOf('SET LOCAL lock_timeout = 0'), []);
      await lock.get(connection);
      await connection.execute(
        statementOf(
          'CREATE TABLE IF NOT EXISTS __drizzle_migrations (id integer PRIMARY KEY, hash text NOT NULL, created_at bigint NOT NULL)',
        ),
        [],
      );
      const hashes = (await applied.all(connection)).map(({ hash }) => hash);
      if (hashes.some((hash, index) => hash !== known[index])) throw newerError();
      const missing = migrations.slice(hashes.length);
      if (hashes.length > 0 && missing.length > 0) onMigrating(migrationNames(FOLDER).slice(hashes.length));
      for (const [index, { sql, hash, folderMillis }] of missing.entries()) {
        for (const text of sql) await connection.execute({ name: '', text }, []);
        await record.run(connection, [hashes.length + index + 1, hash, folderMillis]);
      }
      await connection.commit();
    } catch (error) {
      await connection.rollback();
      throw error;
    }
  });
}

const newerError = () =>
  new DatabaseError(
    'The database was created by a newer or different version of hangup. Start that version, or restore a backup of this version.',
  );

/** Returns the names of the missing migrations of a database that is behind. */
export async function listPendingMigrations(session: Session): Promise<readonly string[]> {
  return migrationNames(FOLDER).slice((await applied.all(session)).length);
}

/** Compares the schema with this version's. Reads each time: a newer version may migrate the database of a running server. */
export async function readSchemaVersion(session: Session): Promise<SchemaVersion> {
  const { isOurs = false } = (await exists.get(session)) ?? {};
  if (!isOurs) return 'uninitialized';
  const hashes = (await applied.all(session)).map(({ hash }) => hash);
  const known = knownMigrations();
  if (hashes.some((hash, index) => hash !== known[index])) return 'ahead';
  return hashes.length < known.length ? 'behind' : 'current';
}

/** Whether a copy into the database began, and is not complete. */
export async function isIncompleteCopy(session: Session): Promise<boolean> {
  return (await copyMark.get(session, []))?.exists === true;
}

let knownHashes: readonly string[] | undefined;

/** Returns the hashes of this version's migrations. The files do not change while the process runs. */
function knownMigrations(): readonly string[] {
  knownHashes ??= readMigrationFiles({ migrationsFolder: FOLDER }).map(({ hash }) => hash);
  return knownHashes;
}
