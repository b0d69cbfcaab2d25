import { join } from 'node:path';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { openThreadedStore } from '../../src/store/sqlite/threaded-store.ts';
import { STORE_THREAD } from '../harness/process.ts';
import { temporaryFolder } from '../harness/temporary.ts';
import { fleetConformance } from './fleet-conformance.ts';

fleetConformance('stores on a SQLite file', () => {
  const file = join(temporaryFolder(), 'hangup.db');
  return (clock) => openSqliteStore(file, { clock });
});

fleetConformance('stores of servers', () => {
  const file = join(temporaryFolder(), 'hangup.db');
  return (clock) =>
    openThreadedStore(file, { clock, thread: STORE_THREAD, onMigrating: () => {}, onLate: () => {} });
});
