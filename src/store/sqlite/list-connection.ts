import type SqliteDatabase from 'better-sqlite3';
import { type Database, openReader } from './database.ts';

/** In characters of SQL. A statement takes about 15 bytes for each, so the statements take up to 15 MB. */
export const MAX_SQL_LENGTH = 1_000_000;

/** Prepares a statement of the connection. */
export type Prepare = <Values extends unknown[], Row>(sql: string) => SqliteDatabase.Statement<Values, Row>;

/** A read-only connection whose statements have a limited size. */
export interface ListConnection<Work> {
  /** Returns the work on the open connection. The next call may close that connection. */
  work(): Work;
  close(): void;
}

/**
 * Returns a connection that is opened at its first use, and again when its statements have too much SQL. better-sqlite3
 * frees a statement only after V8 collects it, which V8 delays because it does not count SQLite's memory. Closing the
 * connection frees all statements at once.
 * @param start returns the work on a new connection
 */
export function createListConnection<Work>(
  db: Database,
  start: (client: SqliteDatabase.Database, prepare: Prepare) => Work,
): ListConnection<Work> {
  const open = openReader(db);
  let client: SqliteDatabase.Database | undefined;
  let work: Work | undefined;
  let sqlLength = 0;

  function close() {
    client?.close();
    client = undefined;
    work = undefined;
    sqlLength = 0;
  }

  function reopen(): Work {
    close();
    const opened = open();
    client = opened;
    work = start(opened, (sql) => {
      sqlLength += sql.length;
      return opened.prepare(sql);
    });
    return work;
  }

  return {
    work: () => (work === undefined || sqlLength > MAX_SQL_LENGTH ? reopen() : work),
    close,
  };
}
