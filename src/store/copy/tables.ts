import { type Column, getTableColumns } from 'drizzle-orm';
import { getTableConfig, type PgTable } from 'drizzle-orm/pg-core';
import {
  adoptionPrefixes,
  apiKeys,
  auditLog,
  calls,
  cancellations,
  idempotencyKeys,
  livekitEvents,
  livekitServers,
  organizations,
  passLeases,
  roomDeletions,
} from '../postgres/schema.ts';

/** A value of a row in both dialects. JSON is its exact text. */
export type CopyValue = string | number | null;
/** Values in the order of the table's columns. */
export type CopyRow = readonly CopyValue[];

interface CopyColumn {
  readonly name: string;
  /** A type of Postgres: text, json, bigint, integer or smallint. */
  readonly type: string;
}

/** A table with the same name and the same columns in both dialects. */
export interface CopyTable {
  readonly name: string;
  /** Without generated columns, which each dialect has its own of. */
  readonly columns: readonly CopyColumn[];
  /** Positions of the primary key's columns. Both dialects compare text bytewise. */
  readonly key: readonly number[];
}

/**
 * The copied tables. A table comes after those that it refers to. Not copied: the members of the fleet and the counts of rate
 * limits, which belong to running processes; the days of scheduled times, which triggers write from the calls; and the position
 * of the audit log, which each dialect stores in another way.
 */
export const COPY_TABLES: readonly CopyTable[] = [
  organizations,
  apiKeys,
  cancellations,
  calls,
  roomDeletions,
  auditLog,
  idempotencyKeys,
  livekitEvents,
  adoptionPrefixes,
  livekitServers,
  passLeases,
].map(toCopyTable);

function toCopyTable(table: PgTable): CopyTable {
  const { name, primaryKeys } = getTableConfig(table);
  const columns = Object.values<Column>(getTableColumns(table)).filter(
    ({ generated }) => generated === undefined,
  );
  const keyNames = primaryKeys[0]?.columns.map((column) => column.name);
  const isInKey = (column: Column) => keyNames?.includes(column.name) ?? column.primary;
  return {
    name,
    columns: columns.map((column) => ({
      name: column.name,
      type: column.getSQLType().replace(/ COLLATE .*/, ''),
    })),
    key: columns.flatMap((column, position) => (isInKey(column) ? [position] : [])),
  };
}

/** Returns the key of a row. */
export const keyOf = ({ key }: CopyTable, row: CopyRow): CopyRow =>
  key.map((position) => row[position] ?? null);

/** Returns the names of the key's columns, as SQL. */
export const keyColumns = ({ key, columns }: CopyTable): readonly string[] =>
  key.map((position) => `"${columns[position]?.name}"`);

/** Returns the name of a row in messages. */
export const describeRow = (table: CopyTable, row: CopyRow): string =>
  `the row ${JSON.stringify(keyOf(table, row))} of the table ${table.name}`;
