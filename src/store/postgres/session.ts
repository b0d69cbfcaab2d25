import { createHash } from 'node:crypto';
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
import { drizzle } from 'drizzle-orm/node-postgres';
import type { PgTable } from 'drizzle-orm/pg-core';

/*
 * Every query of the store. A topic's file builds its statements once, at the top, and runs them on a session:
 *
 *   const find = prepareRows(build.select(ORGANIZATION).from(organizations).where(eq(organizations.name, placeholder('name'))));
 *   const row = await find.get(session, { name });
 *
 *   const ids = prepareSql<{ id: string }>('SELECT id FROM calls WHERE room_name = ANY($1::text[])');
 *   const rows = await ids.all(session, [roomNames]);
 *
 * A method of the store that reads is `(session: Session, input) => Promise<Result>`. A method that writes is
 * `(db: Database, input) => Promise<Result>`, and calls `transaction(db, async (tx) => { … tx.now … tx.appendAudit(event) … })`.
 *
 * Types of the values in rows: text: string. bigint, integer, smallint, count(*): number. json: the parsed value.
 * Parameters: string, number, boolean, null, and arrays of them for `ANY($1::text[])` or `unnest($1::text[])`. A json
 * parameter is text that the caller made with JSON.stringify.
 */

/** A value of a parameter. */
export type Value = string | number | boolean | null | readonly (string | number | boolean | null)[];
/** Values by the name of their placeholder. */
export type Values = Readonly<Record<string, Value>>;

/** Returns a text as Postgres stores it, without the character NUL, which a text of LiveKit can contain. JSON escapes NUL. */
export const toStoredText = (text: string) => (text.includes('\0') ? text.replaceAll('\0', '\uFFFD') : text);

/** SQL with parameters `$1`, `$2`, … The name is the same for the same SQL, on each connection and in each process. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

export interface Result {
  readonly rows: readonly unknown[];
  /** The number of changed or returned rows. */
  readonly count: number;
}

/**
 * Runs statements: the {@link Database}, where each statement is a transaction of its own on any connection of the pool, or a
 * {@link Transaction}. Statements of one transaction that are started without waiting travel together, and run in order.
 */
export interface Session {
  /** @throws StoreBusyError when the database cannot be reached or does not respond in time */
  execute(statement: Statement, values: readonly Value[]): Promise<Result>;
}

/** A prepared query of one kind of parameters: a list for SQL text, values by name for a query that drizzle built. */
export interface PreparedRows<Row, Input> {
  get(session: Session, values?: Input): Promise<Row | undefined>;
  all(session: Session, values?: Input): Promise<Row[]>;
}

export interface PreparedRun<Input> {
  /** Returns the number of changed rows. */
  run(session: Session, values: Input): Promise<number>;
}

/** Builds queries. Runs none: it has no connection. */
export const build = drizzle.mock();
export const { placeholder } = sql;

interface Buildable {
  toSQL(): Query;
}

/** Prepares a query that drizzle builds. Its rows have the names of the selection: see {@link columnsOf}. */
export function prepareRows<Row>(query: Buildable & PromiseLike<Row[]>): PreparedRows<Row, Values> {
  const { statement, bind } = compile(query);
  return rowsOf<Row, Values>(statement, bind, {});
}

/** Prepares a query without rows that drizzle builds. */
export function prepareRun(query: Buildable): PreparedRun<Values> {
  const { statement, bind } = compile(query);
  return { run: async (session, values) => (await session.execute(statement, bind(values))).count };
}

/** Prepares SQL text. Give columns the names of the row: `room_name AS "roomName"`. `run` is for SQL without rows. */
export function prepareSql<Row = never>(
  text: string,
): PreparedRows<Row, readonly Value[]> & PreparedRun<readonly Value[]> {
  const statement = statementOf(text);
  return {
    ...rowsOf<Row, readonly Value[]>(statement, (values) => values, []),
    run: async (session, values) => (await session.execute(statement, values)).count,
  };
}

export function statementOf(text: string): Statement {
  // Postgres cuts names at 63 bytes.
  return { text, name: `h${createHash('sha256').update(text).digest('hex').slice(0, 24)}` };
}

function rowsOf<Row, Input>(
  statement: Statement,
  bind: (values: Input) => readonly Value[],
  none: Input,
): PreparedRows<Row, Input> {
  const all = async (session: Session, values = none) => {
    const { rows } = await session.execute(statement, bind(values));
    return rows as Row[];
  };
  return { all, get: async (session, values) => (await all(session, values))[0] };
}

function compile(query: Buildable) {
  const { sql: text, params } = query.toSQL();
  const slots = params.map(toSlot);
  const bind = (values: Values) => slots.map((slot) => slot(values));
  return { statement: statementOf(text), bind };
}

/** Returns a function that reads the value of a parameter: a constant of the query, or the value of a placeholder. */
function toSlot(param: unknown): (values: Values) => Value {
  const slot = is(param, Param) ? param.value : param;
  if (!is(slot, Placeholder)) return () => param as Value;
  const { name } = slot;
  return (values) => {
    const value = values[name];
    if (value === undefined) throw new Error(`no value for the placeholder ${name}`);
    return value;
  };
}

type Columns<Table extends PgTable, Name extends keyof Table['_']['columns']> = {
  [K in Name]: SQL.Aliased<GetColumnData<Table['_']['columns'][K]>>;
};

/** Returns the selection of a table's columns, each as the name that the schema gives it. */
export function columnsOf<
  Table extends PgTable,
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

/** Returns the same selection as text, for SQL that drizzle cannot build. */
export const selectListOf = (columns: Readonly<Record<string, Column>>, alias: string): string =>
  Object.entries(columns)
    .map(([name, column]) => `${alias}.${column.name} AS "${name}"`)
    .join(', ');

/** Returns a placeholder for each name, as SQL: drizzle would encode the null of a JSON column as the text `null`. */
export function placeholdersFor<Name extends string>(
  names: Readonly<Record<Name, unknown>>,
): Record<Name, SQL> {
  const entries = Object.keys(names).map((name) => [name, sql`${sql.placeholder(name)}`]);
  return Object.fromEntries(entries);
}

/** Returns the condition that a text column has one of the values of a bound list. */
export const isAnyOf = (column: Column, name: string): SQL =>
  sql`${column} = ANY(${sql.placeholder(name)}::text[])`;
