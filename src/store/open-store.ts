/*
 * The public interface of this folder: the store of a command, the store of a server with a thread for writes, the counts of
 * rate limits, and operations on database files.
 */

export { createRateLimiter } from './rate-limiter.ts';
export { backupDatabase, restoreDatabase } from './sqlite/backup.ts';
export { assertDatabaseExists, DatabaseError, inspectSchema, toDatabaseError } from './sqlite/database.ts';
export { inspectDatabase } from './sqlite/inspect-database.ts';
export { readLiveKitServers } from './sqlite/livekit-servers.ts';
export { openSqliteStore as openStore } from './sqlite/sqlite-store.ts';
export { openThreadedStore as openServerStore } from './sqlite/threaded-store.ts';
