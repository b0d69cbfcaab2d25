/*
 * The public interface of this folder: the store of a command, the store of a server, and operations on databases. Postgres
 * is loaded at its first use, because most servers use SQLite.
 */

import { systemClock } from '../platform/clock.ts';
import type { DatabaseAddress } from '../platform/database-address.ts';
import type { SchemaVersion } from '../ports/diagnostics.ts';
import type { ServerStore } from '../ports/server-store.ts';
import type { OpenStore } from '../ports/store.ts';
import type { Timers } from '../ports/system.ts';
import type { copyDatabase as copy } from './copy/copy-database.ts';
import type { OnMigrate, OnWait } from './database-error.ts';
import { createRateLimiter } from './rate-limiter.ts';
import { assertDatabaseExists, inspectSchema as inspectFile } from './sqlite/database.ts';
import { readLiveKitServers as readServersOfFile } from './sqlite/livekit-servers.ts';
import { openSqliteStore } from './sqlite/sqlite-store.ts';
import { openThreadedStore } from './sqlite/threaded-store.ts';

export { backupDatabase, restoreDatabase } from './sqlite/backup.ts';
export { DatabaseError, toDatabaseError } from './sqlite/database.ts';
export { inspectDatabase } from './sqlite/inspect-database.ts';

const postgres = () => import('./postgres/postgres-store.ts');
const postgresInspection = () => import('./postgres/inspect-database.ts');

/** Opens the store of a command, after creating or migrating the database. @throws DatabaseError */
export async function openStore(
  address: DatabaseAddress,
  { onMigrating, onWaiting }: { onMigrating: OnMigrate; onWaiting?: OnWait },
): Promise<OpenStore> {
  if (address.kind === 'sqlite') return openSqliteStore(address.file, { onMigrating });
  return (await postgres()).openPostgresStore({ url: address.url, onMigrating, onWaiting });
}

/** Opens the store of a server, after creating or migrating the database. @throws DatabaseError */
export async function openServerStore(
  address: DatabaseAddress,
  {
    clock,
    timers,
    thread,
    onMigrating,
    onLate,
    onWaiting,
    onNotListening,
  }: Parameters<typeof openThreadedStore>[1] & {
    timers: Timers;
    onWaiting?: OnWait;
    onNotListening?: (error: unknown) => void;
  },
): Promise<ServerStore> {
  if (address.kind === 'sqlite') {
    const own = { ...(thread && { thread }), onMigrating, onLate };
    return {
      ...(await openThreadedStore(address.file, { clock, ...own })),
      countConnections: () => null,
      watchEvents: () => {},
      createRateLimiter: () => createRateLimiter({ clock }),
    };
  }
  // All processes share the clock of the database, except in tests.
  const ownClock = clock === systemClock ? {} : { clock };
  const options = { ...ownClock, timers, ...(onNotListening && { onNotListening }) };
  return (await postgres()).openPostgresStore({ url: address.url, onMigrating, onWaiting, ...options });
}

/** Compares the schema of a database with this version's, and lists the missing migrations. @throws DatabaseError */
export async function inspectSchema(
  address: DatabaseAddress,
  options: { onWaiting: OnWait },
): Promise<{ version: SchemaVersion; pending: readonly string[] }> {
  if (address.kind === 'postgres') return (await postgresInspection()).inspectSchema(address.url, options);
  assertDatabaseExists(address.file);
  return inspectFile(address.file);
}

/** Returns the URLs of the LiveKit servers that a database was used with, the latest first. Changes nothing. */
export async function readLiveKitServers(
  address: DatabaseAddress,
  options: { onWaiting: OnWait },
): Promise<readonly string[]> {
  if (address.kind === 'sqlite') return readServersOfFile(address.file);
  return (await postgresInspection()).readLiveKitServers(address.url, options);
}

/** Reads the facts of a Postgres database. Never throws. */
export async function inspectPostgres(url: string, subject: { roomNames: readonly string[] }) {
  return (await postgresInspection()).inspectPostgres(url, subject);
}

/** Copies a database into one of the other kind, and verifies the copy. @throws DatabaseError */
export async function copyDatabase(...args: Parameters<typeof copy>): ReturnType<typeof copy> {
  return (await import('./copy/copy-database.ts')).copyDatabase(...args);
}
