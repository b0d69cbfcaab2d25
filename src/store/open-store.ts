/*
 * The way into the store for the rest of hangup: a command's store, a server's store with a thread for writes, and what
 * an operator does with a database file.
 */
export { backupDatabase, restoreDatabase } from './sqlite/backup.ts';
export { assertDatabaseExists, DatabaseError, inspectSchema, toDatabaseError } from './sqlite/database.ts';
export { readLiveKitServers } from './sqlite/livekit-servers.ts';
export { openSqliteStore as openStore } from './sqlite/sqlite-store.ts';
export { openThreadedStore as openServerStore } from './sqlite/threaded-store.ts';
