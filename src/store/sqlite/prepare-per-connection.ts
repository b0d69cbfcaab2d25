import type { Database } from './database.ts';

/**
 * Returns statements that are prepared once for each connection, and also run inside its transactions. To build and to
 * prepare a statement takes several times as long as to run it.
 */
export function preparePerConnection<Statements>(
  prepare: (db: Database) => Statements,
): (db: Database) => Statements {
  const byConnection = new WeakMap<Database, Statements>();
  return (db) => {
    const prepared = byConnection.get(db) ?? prepare(db);
    byConnection.set(db, prepared);
    return prepared;
  };
}
