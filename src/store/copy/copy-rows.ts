import { DatabaseError } from '../database-error.ts';
import { checksumTable, type TableChecksum } from './checksum.ts';
import type { CopySource, CopyState, CopyTarget } from './endpoint.ts';
import { COPY_TABLES, type CopyTable, keyOf } from './tables.ts';

/** A transaction of this size takes milliseconds, and fits in memory with the largest metadata. */
const BATCH_ROWS = 1_000;

export interface CopyProgress {
  readonly table: string;
  readonly rows: number;
  readonly total: number;
  readonly isVerifying: boolean;
}

export interface CopiedTable extends TableChecksum {
  readonly table: string;
}

/**
 * Copies all rows, or those that an interrupted copy did not copy. Then reads both databases, and compares them.
 * @throws DatabaseError when the target has other data, or when the databases differ
 */
export async function copyRows(
  source: CopySource,
  target: CopyTarget,
  {
    batchRows = BATCH_ROWS,
    onProgress,
  }: { batchRows?: number; onProgress: (progress: CopyProgress) => void },
): Promise<readonly CopiedTable[]> {
  let state = await startOrContinue(source, target);
  const totals = new Map<CopyTable, number>();
  for (const table of COPY_TABLES) {
    const total = await source.countRows(table);
    totals.set(table, total);
    let { after = null, rows = 0 } = state.tables[table.name] ?? {};
    for (;;) {
      const page = await source.readRows(table, after, batchRows);
      const last = page.at(-1);
      if (last === undefined) break;
      after = keyOf(table, last);
      rows += page.length;
      state = { ...state, tables: { ...state.tables, [table.name]: { after, rows } } };
      await target.writeRows(table, page, state);
      onProgress({ table: table.name, rows, total, isVerifying: false });
    }
  }
  const copied: CopiedTable[] = [];
  for (const table of COPY_TABLES) {
    const total = totals.get(table) ?? 0;
    onProgress({ table: table.name, rows: total, total, isVerifying: true });
    copied.push({ table: table.name, ...(await compareTable(source, target, table, batchRows)) });
  }
  await target.complete(state);
  return copied;
}

async function startOrContinue(source: CopySource, target: CopyTarget): Promise<CopyState> {
  const position = await source.lastPosition();
  const found = await target.readState();
  if (found === null) {
    await assertEmpty(target);
    const state: CopyState = { source: source.name, position, tables: {} };
    await target.begin(state);
    return state;
  }
  if (found.source !== source.name) {
    throw new DatabaseError(
      `${target.name} is an incomplete copy of ${found.source}. Continue that copy, or copy into a new database.`,
    );
  }
  if (found.position !== position) {
    throw new DatabaseError(
      `${source.name} has changed since the copy began. Remove ${target.name}, and start the copy again.`,
    );
  }
  return found;
}

async function assertEmpty(target: CopyTarget): Promise<void> {
  for (const table of COPY_TABLES) {
    if ((await target.readRows(table, null, 1)).length === 0) continue;
    throw new DatabaseError(
      `${target.name} has data of its own in the table ${table.name}. Copy into a new database. Nothing was changed.`,
    );
  }
  if ((await target.lastPosition()) === 0) return;
  throw new DatabaseError(
    `${target.name} was in use: its audit log does not begin at 1. Copy into a new database. Nothing was changed.`,
  );
}

async function compareTable(
  source: CopySource,
  target: CopyTarget,
  table: CopyTable,
  batchRows: number,
): Promise<TableChecksum> {
  const [from, to] = await Promise.all([
    checksumTable(source, table, batchRows),
    checksumTable(target, table, batchRows),
  ]);
  if (from.rows === to.rows && from.checksum === to.checksum) return to;
  throw new DatabaseError(
    `The copy differs in the table ${table.name}: ${source.name} has ${from.rows} rows with the checksum ${from.checksum}, ${target.name} has ${to.rows} rows with ${to.checksum}. A database was changed during the copy. Remove ${target.name}, and start the copy again.`,
  );
}
