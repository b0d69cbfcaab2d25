import type SqliteDatabase from 'better-sqlite3';
import type { Database } from './database.ts';

type Transaction = SqliteDatabase.Transaction<(work: () => unknown) => unknown>;
const transactions = new WeakMap<Database, Transaction>();

/** Returns the connection's transactions. better-sqlite3 builds a transaction more slowly than it runs one. */
function transactionOf(db: Database): Transaction {
  const transaction = transactions.get(db) ?? db.$client.transaction((work: () => unknown) => work());
  transactions.set(db, transaction);
  return transaction;
}

/** Runs work in a transaction that holds SQLite's write lock, and returns its result. An error undoes the work. */
export function writeTransaction<T>(db: Database, work: () => T): T {
  return transactionOf(db).immediate(work) as T;
}

/** Runs work on one snapshot of the database, without the write lock, and returns its result. */
export function readTransaction<T>(db: Database, work: () => T): T {
  return transactionOf(db).deferred(work) as T;
}

/** The result of a write in a shared transaction, or the error that undid this write alone. */
export type Attempt = { readonly result: unknown } | { readonly error: unknown };

export interface SharedTransaction {
  /** Runs the work, which attempts writes, and commits them together. An error undoes all of them. */
  commit(work: () => void): void;
  /** Runs a write in a savepoint of its own. Throws when the error of a write undid the complete transaction. */
  attempt(write: () => unknown): Attempt;
}

export function sharedTransaction(db: Database): SharedTransaction {
  const { $client: client } = db;
  const savepoint = client.prepare('SAVEPOINT one_write');
  const release = client.prepare('RELEASE one_write');
  const rollback = client.prepare('ROLLBACK TO one_write');
  return {
    commit: (work) => writeTransaction(db, work),
    attempt(write) {
      savepoint.run();
      let attempt: Attempt;
      try {
        attempt = { result: write() };
      } catch (error) {
        // SQLite can end the complete transaction when the disk is full or faulty.
        if (!client.inTransaction) throw error;
        rollback.run();
        attempt = { error };
      }
      release.run();
      return attempt;
    },
  };
}
