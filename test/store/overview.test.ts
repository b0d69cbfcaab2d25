import { join } from 'node:path';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { openThreadedStore } from '../../src/store/sqlite/threaded-store.ts';
import { STORE_THREAD } from '../harness/process.ts';
import { temporaryFolder } from '../harness/temporary.ts';
import { overviewConformance } from './overview-conformance.ts';

overviewConformance('the store on a SQLite file', (clock) =>
  openSqliteStore(join(temporaryFolder(), 'hangup.db'), { clock }),
);
overviewConformance('the store of a server', (clock) =>
  openThreadedStore(join(temporaryFolder(), 'hangup.db'), {
    clock,
    thread: STORE_THREAD,
    onMigrating: () => {},
    onLate: () => {},
  }),
);
