import type { CopyRow, CopyTable } from './tables.ts';

/** The progress of a copy, written in the transaction of each batch. */
export interface CopyState {
  /** Name of the source. */
  readonly source: string;
  /** The source's position in the audit log. */
  readonly position: number;
  readonly tables: Readonly<Record<string, TableProgress>>;
}

interface TableProgress {
  /** The key of the last copied row. */
  readonly after: CopyRow;
  readonly rows: number;
}

/** A database that only this process uses, from the opening until `close`. */
export interface CopySource {
  /** Without a password. */
  readonly name: string;
  /** Returns the id of the newest entry of the audit log, also after pruning. */
  lastPosition(): Promise<number>;
  countRows(table: CopyTable): Promise<number>;
  /** Returns rows in the order of their keys. @param after null: from the start */
  readRows(table: CopyTable, after: CopyRow | null, limit: number): Promise<CopyRow[]>;
  close(): Promise<void>;
}

export interface CopyTarget extends CopySource {
  /** Returns the state of an incomplete copy; null for another database. */
  readState(): Promise<CopyState | null>;
  /** Marks the database as an incomplete copy. */
  begin(state: CopyState): Promise<void>;
  /** Inserts rows and stores the state, in one transaction. @throws DatabaseError that names the row that cannot be inserted */
  writeRows(table: CopyTable, rows: readonly CopyRow[], state: CopyState): Promise<void>;
  /** Sets the position of the audit log, and removes the mark of an incomplete copy. */
  complete(state: CopyState): Promise<void>;
}
