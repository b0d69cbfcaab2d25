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

/** Prepares a query at its first use. Its rows have the names of the selection: see {@link columnsOf}. */
export function prepareRows<Row>(
  db: Database,
  query: Buildable & { all(): Row[] },
  { json = [] }: { json?: readonly (keyof Row & string)[] } = {},
): { get(values?: Values): Row | undefined; all(values?: Values): Row[] } {
  const compiled = compileOnce<Row>(db, query);
  const parse = (row: Row): Row => {
    for (const name of json) {
      const value = row[name];
      if (typeof value === 'string') row[name] = JSON.parse(value);
    }
    return row;
  };
  return {
    get(values = {}) {
      const { statement, bind } = compiled();
      const row = statement.get(bind(values));
      return row && parse(row);
    },
    all(values = {}) {
      const { statement, bind } = compiled();
      return statement.all(bind(values)).map(parse);
    },
  };
}

/** Prepares a query without rows at its first use. `run` returns the number of changed rows. */
export function prepareRun(db: Database, query: Buildable): { run(values: Values): number } {
  const compiled = compileOnce(db, query);
  return {
    run(values) {
      const { statement, bind } = compiled();
      return statement.run(bind(values)).changes;
    },
  };
}

function compileOnce<Row>({ $client: client }: Database, query: Buildable) {
  let compiled: ReturnType<typeof compile<Row>> | undefined;
  return () => {
    compiled ??= compile<Row>(client, query);
    return compiled;
  };
}

function compile<Row>(client: Database['$client'], query: Buildable) {
  const { sql: built, params } = query.toSQL();
  // SQLite compiles a statement with `LIMIT ?` again after each bind, to plan for the new limit.
  const text = built.replaceAll(/ limit \?/g, ' limit ? + 0');
  const slots = params.map(toSlot);
  const bind = (values: Values) => slots.map((slot) => slot(values));
  return { statement: client.prepare<[unknown[]], Row>(text), bind };
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

/** Returns a placeholder for each name, as SQL: drizzle would encode the null of a JSON column as the text `null`. */
export function placeholdersFor<Name extends string>(
  names: Readonly<Record<Name, unknown>>,
): Record<Name, SQL> {
  const entries = Object.keys(names).map((name) => [name, sql`${sql.placeholder(name)}`]);
  return Object.fromEntries(entries);
}

/** Returns the values of a bound JSON list, for a condition: a parameter for each value fits lists of one length only. */
export const valuesOf = (name: string): SQL => sql`(SELECT value FROM json_each(${sql.placeholder(name)}))`;
