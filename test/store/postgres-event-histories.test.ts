import { openPostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { postgresDatabase } from '../harness/postgres.ts';
import { eventHistories } from './event-histories.ts';

const MODULE = new URL('../../src/store/postgres/postgres-store.ts', import.meta.url).href;

eventHistories('the store on Postgres', {
  createDatabase: postgresDatabase,
  open: (url, clock) => openPostgresStore({ url, clock }),
  openInThread: `async (url, clock) => (await import('${MODULE}')).openPostgresStore({ url, clock })`,
});
