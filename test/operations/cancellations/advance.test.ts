import { expect, test } from 'vitest';
import { advanceCancellations } from '../../../src/operations/cancellations/advance.ts';
import type { AdvancedCancellation } from '../../../src/ports/store.ts';

/** Runs one pass over cancellations with these results of their writes; a null is a failed write. */
async function pass(results: Record<string, (AdvancedCancellation | null)[]>, { abortAfter = 99 } = {}) {
  const writes: string[] = [];
  const recordedAfter: number[] = [];
  const errors: object[] = [];
  const abort = new AbortController();
  const isRunning = await advanceCancellations(
    {
      store: {
        listRunningCancellations: async () => Object.keys(results),
        advanceCancellation: async ({ id }) => {
          writes.push(id);
          if (writes.length === abortAfter) abort.abort();
          const result = results[id]?.shift();
          if (result == null) throw new Error('disk full');
          return result;
        },
      },
      log: { info: () => {}, warn: () => {}, error: (fields) => void errors.push(fields) },
      onRecorded: () => void recordedAfter.push(writes.length),
    },
    abort.signal,
  );
  return { isRunning, writes, recordedAfter, errors };
}

const more = { cancelled: 200, isRecorded: false, isCompleted: false };
const recorded = { cancelled: 5, isRecorded: true, isCompleted: false };
const waiting = { cancelled: 0, isRecorded: true, isCompleted: false };
const completed = { cancelled: 0, isRecorded: true, isCompleted: true };

test('cancellations are advanced in turn, so that a large one does not delay a small one', async () => {
  expect(await pass({ large: [more, more, recorded], small: [recorded] })).toMatchObject({
    writes: ['large', 'small', 'large', 'large'],
    isRunning: true,
  });
});

test('the rooms of recorded calls are deleted while the next calls are recorded', async () => {
  expect((await pass({ can: [more, recorded] })).recordedAfter).toEqual([1, 2]);
  expect((await pass({ can: [waiting] })).recordedAfter).toEqual([]);
});

test('a pass without running cancellations ends the interval', async () => {
  expect((await pass({})).isRunning).toBe(false);
  expect((await pass({ can: [completed] })).isRunning).toBe(false);
  expect((await pass({ can: [completed], other: [waiting] })).isRunning).toBe(true);
});

test('a failed write does not stop other cancellations, and is repeated by the next pass', async () => {
  expect(await pass({ broken: [null], can: [more, completed] })).toMatchObject({
    writes: ['broken', 'can', 'can'],
    errors: [{ cancellationId: 'broken' }],
    isRunning: true,
  });
});

test('a stop of the process ends the pass after the current write', async () => {
  expect((await pass({ can: [more, more, more] }, { abortAfter: 2 })).writes).toEqual(['can', 'can']);
});
