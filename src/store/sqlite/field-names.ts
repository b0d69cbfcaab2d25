import { type SQL, sql } from 'drizzle-orm';
import type { SQLiteColumn } from 'drizzle-orm/sqlite-core';

/** Returns columns that SQLite names like the fields of the domain, so that its rows need no mapping. */
export function nameFields(columns: Record<string, SQLiteColumn>): Record<string, SQL.Aliased> {
  return Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, sql`${column}`.as(name)]));
}
