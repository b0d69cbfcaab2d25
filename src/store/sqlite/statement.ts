import {
  type Column,
  type GetColumnData,
  getTableColumns,
  is,
  Param,
  Placeholder,
  type Query,
  type SQL,
  sql,
} from 'drizzle-orm';
import type { SQLiteTable } from 'drizzle-orm/sqlite-core';
import type { Database } from './database.ts';

/*
 * Statements of better-sqlite3 for the queries that drizzle builds. drizzle's own prepared statements map each row in
 * JavaScript, which takes as long as the query.
 */

/** Values by the name of their placeholder. */
export type Values = Readonly<Record<string, string | number | null>>;

interface Buildable {
  toSQL(): Query;
}

/** Prepares a query whose rows have the names of its selection. Select columns with {@link columnsOf}. */
export function prepareRows<Row>(
  { $client: client }: Database,
  query: Buildable & { all(): Row[] },
  { json = [] }: { json?: readonly (keyof Row & string)[] } = {},
): { get(values?: Values): Row | undefined; all(values?: Values): Row[] } {
  const { text, bind } = compile(query);
  const statement = client.prepare<unknown[], Row>(text);
  const parse = (row: Row): Row => {
    for (const name of json) {
      const value = row[name];
      if (typeof value === 'string') row[name] = JSON.parse(value);
    }
    return row;
  };
  return {
    get(values = {}) {
      const row = statement.get(...bind(values));
      return row && parse(row);
    },
    all: (values = {}) => statement.all(...bind(values)).map(parse),
  };
}

/** Prepares a query without rows. `run` returns the number of changed rows. */
export function prepareRun({ $client: client }: Database, query: Buildable): { run(values: Values): number } {
  const { text, bind } = compile(query);
  const statement = client.prepare<unknown[]>(text);
  return { run: (values) => statement.run(...bind(values)).changes };
}

function compile(query: Buildable): { text: string; bind: (values: Values) => unknown[] } {
  const { sql: built, params } = query.toSQL();
  const slots = params.map(toSlot);
  return {
    // SQLite compiles a statement with `LIMIT ?` again after each bind, to plan for the new limit.
    text: built.replaceAll(/ limit \?/g, ' limit ? + 0'),
    bind: (values) => slots.map((slot) => slot(values)),
  };
}

/** Returns a function that reads the value of a parameter: a constant of the query, or the value of a placeholder. */
function toSlot(param: unknown): (values: Values) => unknown {
  const placeholder = is(param, Param) ? param.value : param;
  if (!is(placeholder, Placeholder)) return () => param;
  const { name } = placeholder;
  return (values) => {
    const value = values[name];
    if (value === undefined) throw new Error(`no value for the placeholder ${name}`);
    return value;
  };
}

/** Returns a bound text to compare with. With a plain parameter and an ORDER BY, SQLite compiles the statement after each bind. */
export const text = (name: string): SQL<string> => sql`CAST(${sql.placeholder(name)} AS TEXT)`;

type Columns<Table extends SQLiteTable, Name extends keyof Table['_']['columns']> = {
  [K in Name]: SQL.Aliased<GetColumnData<Table['_']['columns'][K]>>;
};

/** Returns the selection of a table's columns, each as the name that the schema gives it. */
export function columnsOf<
  Table extends SQLiteTable,
  Excluded extends keyof Table['_']['columns'] & string = never,
>(
  table: Table,
  excluded: readonly Excluded[] = [],
): Columns<Table, Exclude<keyof Table['_']['columns'], Excluded>> {
  const entries = Object.entries<Column>(getTableColumns(table))
    .filter(([name]) => !excluded.some((column) => column === name))
    .map(([name, column]) => [name, sql`${column}`.as(name)]);
  return Object.fromEntries(entries);
}
