import { openPostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { postgresDatabase } from '../harness/postgres.ts';
import { cancellationConformance } from './cancellation-conformance.ts';
import { conformance } from './conformance.ts';
import { eventConformance } from './event-conformance.ts';
import { fleetConformance } from './fleet-conformance.ts';

const NAME = 'the store on Postgres';
const open = async (clock: Parameters<Parameters<typeof conformance>[1]>[0]) =>
  openPostgresStore({ url: await postgresDatabase(), clock });

conformance(NAME, open);
cancellationConformance(NAME, open);
eventConformance(NAME, open);
fleetConformance(NAME, async () => {
  const url = await postgresDatabase();
  return (clock) => openPostgresStore({ url, clock });
});
