import { join } from 'node:path';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { temporaryFolder } from '../harness/temporary.ts';
import { eventHistories } from './event-histories.ts';

const MODULE = new URL('../../src/store/sqlite/sqlite-store.ts', import.meta.url).href;

eventHistories('the store on a SQLite file', {
  createDatabase: () => join(temporaryFolder(), 'hangup.db'),
  open: (file, clock) => openSqliteStore(file, { clock }),
  openInThread: `async (file, clock) => (await import('${MODULE}')).openSqliteStore(file, { clock })`,
});
