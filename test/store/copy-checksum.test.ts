import { isDeepStrictEqual } from 'node:util';
import { expect, test } from 'vitest';
import { checksumTable } from '../../src/store/copy/checksum.ts';
import { COPY_TABLES, type CopyRow, keyOf } from '../../src/store/copy/tables.ts';

test.each(COPY_TABLES)(
  'the checksum of $name differs when one value differs, on each page',
  async (table) => {
    const checksumOf = (rows: readonly CopyRow[]) => {
      const readRows = async (_: unknown, after: CopyRow | null, limit: number) => {
        const start = rows.findIndex((row) => isDeepStrictEqual(keyOf(table, row), after)) + 1;
        return rows.slice(start, start + limit);
      };
      return checksumTable({ readRows }, table, 1);
    };
    const original = [0, 1, 2].map((row) => table.columns.map((_, column) => `value ${row} ${column}`));
    const changed = original.flatMap((values, position) =>
      values.map((_, column) => original.with(position, values.with(column, 'other'))),
    );
    const checksums = await Promise.all([original, ...changed].map(checksumOf));
    expect(new Set(checksums.map(({ rows }) => rows))).toEqual(new Set([3]));
    const distinct = new Set(checksums.map(({ checksum }) => checksum));
    expect(distinct.size).toBe(1 + 3 * table.columns.length);
  },
);
