import type { Database } from './database.ts';
import { prepareSql, type Session } from './session.ts';

const MAX_TOTALS = 1_000;

/**
 * Two transactions with the same snapshot see the same data: each commit that writes changes the snapshot. Another server
 * can have the same snapshot with other data, for example after a failover.
 */
const readSnapshot = prepareSql<{ snapshot: string }>(
  "SELECT pg_current_snapshot()::text || ' since ' || pg_postmaster_start_time()::text AS snapshot",
);

interface Totals {
  readonly snapshot: string;
  readonly byFilters: Map<string, number>;
}

const totals = new WeakMap<Database, Totals>();

/**
 * Returns a number that was counted on the same snapshot, or counts, in a transaction on one snapshot. Counting takes longer
 * than reading a page.
 * @param filters the filters of the count, as a key
 */
export async function countOnce(
  db: Database,
  session: Session,
  filters: string,
  count: () => Promise<number>,
): Promise<number> {
  const { snapshot } = (await readSnapshot.get(session)) ?? { snapshot: '' };
  const counted = totals.get(db);
  const known = counted?.snapshot === snapshot ? counted.byFilters.get(filters) : undefined;
  if (known !== undefined) return known;
  const total = await count();
  const latest = totals.get(db);
  if (latest?.snapshot === snapshot && latest.byFilters.size < MAX_TOTALS)
    latest.byFilters.set(filters, total);
  else totals.set(db, { snapshot, byFilters: new Map([[filters, total]]) });
  return total;
}
