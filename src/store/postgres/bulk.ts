import { type Column, getTableColumns } from 'drizzle-orm';
import { getTableConfig, type PgTable } from 'drizzle-orm/pg-core';
import { prepareSql, type Session, type Value } from './session.ts';

/*
 * Statements for any number of rows: each column is one parameter, a list. One statement for 64 rows takes a fraction of the
 * time of 64 statements.
 */

type Rows<Name extends string> = readonly { readonly [N in Name]: unknown }[];

interface BulkStatement<Name extends string> {
  /** Writes the rows, in their order. Without rows, runs no statement. */
  run(session: Session, rows: Rows<Name>): Promise<unknown>;
}

/** Inserts rows. */
export function insertRows<Name extends string>(table: PgTable, names: readonly Name[]): BulkStatement<Name> {
  const { name: tableName } = getTableConfig(table);
  const columns = columnsOf(table, names);
  return bulk(
    columns,
    names,
    `INSERT INTO ${tableName} (${listOf(columns)}) SELECT * FROM ${unnest(columns)}`,
  );
}

/** Inserts rows, and replaces the columns of the rows that exist. */
export function upsertRows<Name extends string>(
  table: PgTable,
  names: readonly Name[],
  key: readonly Name[],
): BulkStatement<Name> {
  const { name: tableName } = getTableConfig(table);
  const columns = columnsOf(table, names);
  const changing = columnsOf(
    table,
    names.filter((name) => !key.includes(name)),
  );
  const assignments = changing.map(({ name }) => `${name} = excluded.${name}`).join(', ');
  return bulk(
    columns,
    names,
    `INSERT INTO ${tableName} (${listOf(columns)}) SELECT * FROM ${unnest(columns)}
     ON CONFLICT (${listOf(columnsOf(table, key))}) DO UPDATE SET ${assignments}`,
  );
}

/** Sets columns of the rows with the same key. */
export function updateRows<Name extends string>(
  table: PgTable,
  names: readonly Name[],
  key: Name,
): BulkStatement<Name> {
  const { name: tableName } = getTableConfig(table);
  const columns = columnsOf(table, names);
  const [keyColumn] = columnsOf(table, [key]);
  const assignments = columns
    .filter(({ name }) => name !== keyColumn?.name)
    .map(({ name }) => `${name} = changed.${name}`)
    .join(', ');
  return bulk(
    columns,
    names,
    `UPDATE ${tableName} SET ${assignments} FROM ${unnest(columns)} AS changed (${listOf(columns)})
     WHERE ${tableName}.${keyColumn?.name} = changed.${keyColumn?.name}`,
  );
}

function columnsOf(table: PgTable, names: readonly string[]): Column[] {
  const columns: Record<string, Column> = getTableColumns(table);
  return names.map((name) => {
    const column = columns[name];
    if (column === undefined) throw new Error(`unknown column ${name}`);
    return column;
  });
}

const listOf = (columns: readonly Column[]) => columns.map(({ name }) => name).join(', ');

const typeOf = (column: Column) => column.getSQLType().replace(/ COLLATE .*/, '');

const unnest = (columns: readonly Column[]) =>
  `unnest(${columns.map((column, index) => `$${index + 1}::${typeOf(column)}[]`).join(', ')})`;

function bulk<Name extends string>(
  columns: readonly Column[],
  names: readonly Name[],
  text: string,
): BulkStatement<Name> {
  const statement = prepareSql(text);
  const isJson = columns.map((column) => typeOf(column) === 'json');
  return {
    async run(session, rows) {
      if (rows.length === 0) return;
      await statement.run(
        session,
        names.map((name, index) => rows.map((row) => toValue(row[name], isJson[index] === true))),
      );
    },
  };
}

type Scalar = Exclude<Value, readonly unknown[]>;

function toValue(value: unknown, isJson: boolean): Scalar {
  if (value === null) return null;
  return isJson ? JSON.stringify(value) : (value as Scalar);
}
