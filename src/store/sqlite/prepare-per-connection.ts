import type { Database } from './database.ts';

/**
 * Returns statements that are prepared once for each connection, and also run inside its transactions. Building and
 * preparing a statement takes several times as long as running the statement.
 */
export function preparePerConnection<Statements>(
  prepare: (db: Database) => Statements,
): (db: Database) => Statements {
  const statementsByConnection = new WeakMap<Database, Statements>();
  return (db) => {
    const prepared = statementsByConnection.get(db) ?? prepare(db);
    statementsByConnection.set(db, prepared);
    return prepared;
  };
}
