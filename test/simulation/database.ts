import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import type { Clock } from '../../src/ports/system.ts';
import { type LocalStore, openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { fastestFolder } from '../harness/fastest-folder.ts';
import { startPostgresDatabase } from './postgres-database.ts';

/** The database of a simulation. Each call of a store, and each query, is one step: it has ended when the function returns. */
export interface SimulatedDatabase {
  /** The clock of the stores; null: each process uses its own. */
  readonly clock: DatabaseClock | null;
  openStore(clock: Clock): LocalStore;
  /** Runs SQL that both databases accept, with `?` for parameters. Numbers and JSON can be texts. */
  query(sql: string, values?: readonly (string | number | null)[]): unknown[];
  /** The SQL of the order in which calls were created: clocks jump. */
  readonly creationOrder: string;
  close(): Promise<void>;
}

export interface DatabaseClock extends Clock {
  /** How far the clock is ahead. */
  offsetMs: number;
}

export type StoreKind = 'sqlite' | 'postgres';

export const openSimulatedDatabase = (
  kind: StoreKind,
  virtualClock: { readonly now: number },
): Promise<SimulatedDatabase> =>
  kind === 'postgres' ? startPostgresDatabase(virtualClock) : openSqliteDatabase();

async function openSqliteDatabase(): Promise<SimulatedDatabase> {
  const folder = mkdtempSync(join(fastestFolder(), 'hangup-simulation-'));
  const file = join(folder, 'hangup.db');
  openSqliteStore(file).close();
  const reader = new SqliteDatabase(file, { readonly: true });
  const statements = new Map<string, SqliteDatabase.Statement<unknown[]>>();
  return {
    clock: null,
    openStore: (clock) => openSqliteStore(file, { clock }),
    query(sql, values = []) {
      const statement = statements.get(sql) ?? reader.prepare<unknown[]>(sql);
      statements.set(sql, statement);
      return statement.all(...values);
    },
    creationOrder: 'rowid',
    async close() {
      reader.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
