import { hash } from 'node:crypto';
import type { CopySource } from './endpoint.ts';
import { type CopyRow, type CopyTable, keyOf } from './tables.ts';

export interface TableChecksum {
  readonly rows: number;
  /** Sum of the rows' hashes, as hex: independent of the order of the rows. */
  readonly checksum: string;
}

const MASK = (1n << 128n) - 1n;

/** Reads a complete table. */
export async function checksumTable(
  database: Pick<CopySource, 'readRows'>,
  table: CopyTable,
  batchSize: number,
): Promise<TableChecksum> {
  let sum = 0n;
  let rows = 0;
  let after: CopyRow | null = null;
  for (;;) {
    const page: CopyRow[] = await database.readRows(table, after, batchSize);
    for (const row of page) {
      sum = (sum + BigInt(`0x${hash('sha256', JSON.stringify(row), 'hex').slice(0, 32)}`)) & MASK;
    }
    rows += page.length;
    const last = page.at(-1);
    if (last === undefined) return { rows, checksum: sum.toString(16).padStart(32, '0') };
    after = keyOf(table, last);
  }
}
