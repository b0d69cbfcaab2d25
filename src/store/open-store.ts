/* The stores as the rest of hangup opens them: a command's store, and a server's store with a thread for writes. */
export { DatabaseError, databaseErrorOf } from './sqlite/database.ts';
export { liveKitServersOf } from './sqlite/livekit-servers.ts';
export { openSqliteStore as openStore } from './sqlite/sqlite-store.ts';
export { openThreadedStore as openServerStore } from './sqlite/threaded-store.ts';
