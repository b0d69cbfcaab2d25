import { type SQL, sql } from 'drizzle-orm';
import type { SQLiteColumn } from 'drizzle-orm/sqlite-core';

/** Returns columns that SQLite names like the fields of the domain, so that its rows need no mapping. */
export function nameFields(columns: Record<string, SQLiteColumn>): Record<string, SQL.Aliased> {
  return Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, sql`${column}`.as(name)]));
}

/** Returns an expression of one JSON object with these fields. */
export function toJsonObject(fields: Record<string, SQLiteColumn | SQL>): SQL {
  const pairs = Object.entries(fields).map(([name, value]) => sql`${sql.raw(`'${name}'`)}, ${value}`);
  return sql`json_object(${sql.join(pairs, sql`, `)})`;
}
