import type { Database } from './database.ts';

/**
 * Statements that are prepared once for each connection, and run inside its transactions too: to build and to prepare
 * one takes several times as long as to run it.
 */
export function prepared<Statements>(prepare: (db: Database) => Statements): (db: Database) => Statements {
  const byConnection = new WeakMap<Database, Statements>();
  return (db) => {
    const known = byConnection.get(db);
    if (known !== undefined) return known;
    const made = prepare(db);
    byConnection.set(db, made);
    return made;
  };
}
