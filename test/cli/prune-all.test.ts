import { expect, test } from 'vitest';
import { pruneAll } from '../../src/cli/prune-all.ts';

/** Prunes batches that take a fixed time each. @returns the steps in their order */
async function stepsOf(database: 'sqlite' | 'postgres', { batches = 0, batchMs = 0 }): Promise<string[]> {
  const steps: string[] = [];
  let now = 0;
  let remaining = batches;
  await pruneAll({
    database,
    pruneBatch: async () => {
      now += batchMs;
      remaining -= 1;
      steps.push('batch');
      return { hasMore: remaining > 0, deleted: 20 };
    },
    timer: {
      now: () => now,
      sleep: async (durationMs) => {
        now += durationMs;
        steps.push(`pause of ${durationMs} ms`);
      },
    },
    onProgress: (deletedRows) => steps.push(`${deletedRows} rows`),
  });
  return steps;
}

test('prune on SQLite pauses after each 10 ms of work, and not after the last batch', async () => {
  expect(await stepsOf('sqlite', { batches: 5, batchMs: 6 })).toEqual([
    'batch',
    'batch',
    'pause of 20 ms',
    'batch',
    'batch',
    'pause of 20 ms',
    'batch',
  ]);
  // The pause itself is not work.
  expect(await stepsOf('sqlite', { batches: 3, batchMs: 11 })).toEqual([
    'batch',
    'pause of 20 ms',
    'batch',
    'pause of 20 ms',
    'batch',
  ]);
});

test('prune on Postgres does not pause, because its transactions do not exclude other writers', async () => {
  expect(await stepsOf('postgres', { batches: 3, batchMs: 11 })).toEqual(['batch', 'batch', 'batch']);
});

test('prune reports its progress every 5 s', async () => {
  expect(await stepsOf('postgres', { batches: 5, batchMs: 2_500 })).toEqual([
    'batch',
    'batch',
    '40 rows',
    'batch',
    'batch',
    '80 rows',
    'batch',
  ]);
});
