import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test, vi } from 'vitest';
import { ApiError } from '../../src/cli/api-client.ts';
import { type Cancellation, type Counts, formatBar, isDone } from '../../src/cli/stop/cancellation.ts';
import { createBar, createLines } from '../../src/cli/stop/progress.ts';
import { retryTransientFailures } from '../../src/cli/stop/retry.ts';

const countsOf = (cancelled: number, deleted: number, discarded = 0): Counts => ({
  cancelled,
  rooms: { deleted, pending: cancelled - deleted - discarded, discarded },
});
const cancellationOf = (counts: Counts, state: Cancellation['state'] = 'running'): Cancellation => ({
  id: 'can_1',
  state,
  reason: 'test',
  createdAt: '2026-11-26T08:00:00.000Z',
  hold: null,
  counts,
});

test.each([
  ['nothing is recorded', countsOf(0, 0), 100, '[                    ]'],
  ['half of the calls are recorded', countsOf(50, 0), 100, '[==========          ]'],
  ['all calls are recorded and half of the rooms are gone', countsOf(100, 50), 100, '[##########==========]'],
  ['one room is left', countsOf(100, 99), 100, '[###################=]'],
  ['a room is discarded', countsOf(100, 99, 1), 100, '[###################=]'],
  ['all rooms are gone', countsOf(100, 100), 100, '[####################]'],
  ['more calls matched than expected', countsOf(200, 100), 100, '[##########==========]'],
  ['no call matches', countsOf(0, 0), 0, '[                    ]'],
])('the bar when %s', (_, counts, expected, bar) => {
  expect(formatBar(counts, { expected, width: 20 })).toBe(bar);
});

test('a stop is done when it is completed and no room is left', () => {
  expect(isDone(cancellationOf(countsOf(2, 2), 'completed'))).toBe(true);
  expect(isDone(cancellationOf(countsOf(2, 2), 'running'))).toBe(false);
  expect(isDone(cancellationOf(countsOf(2, 1), 'completed'))).toBe(false);
  expect(isDone(cancellationOf(countsOf(2, 1, 1), 'completed'))).toBe(false);
});

test('the bar rewrites one line that fits the terminal, and notes stay above it', () => {
  const written: string[] = [];
  const bar = createBar({ columns: 40, write: (text) => written.push(text) }, { expected: 2 });
  bar.show(cancellationOf(countsOf(2, 0)));
  bar.note('a note');
  bar.show(cancellationOf(countsOf(2, 2), 'completed'));
  bar.close();
  bar.close();
  expect(written).toEqual([
    '\r[=====] 2 cancelled; rooms: 0 gone, 2 p\x1b[K',
    '\n',
    'hangup: a note\n',
    '\r[#####] 2 cancelled; rooms: 2 gone, 0 p\x1b[K',
    '\n',
  ]);
  // Without \r and the code. Text in the last column would wrap on some terminals.
  expect(written[0]).toHaveLength(39 + 4);
});

test('the bar of 10,000 calls fits 80 columns with all numbers', () => {
  const written: string[] = [];
  const bar = createBar({ columns: 80, write: (text) => written.push(text) }, { expected: 10_000 });
  bar.show(cancellationOf(countsOf(10_000, 4_000, 1_000)));
  expect(written[0]).toMatch(/^\r\[#+=+\] 10000 cancelled; rooms: 4000 gone, 5000 pending, 1000 discarded/);
  expect(written[0]).toHaveLength(79 + 4);
});

test('without a terminal, a state is printed at once, and new counts at most every 5 s', () => {
  const printed: string[] = [];
  const write = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    printed.push(String(text));
    return true;
  });
  onTestFinished(() => write.mockRestore());
  let now = 0;
  const lines = createLines({ now: () => now });
  const showAt = (atMs: number, ...args: Parameters<typeof cancellationOf>) => {
    now = atMs;
    lines.show(cancellationOf(...args));
  };
  showAt(0, countsOf(0, 0));
  showAt(1_000, countsOf(9, 0));
  showAt(4_999, countsOf(9, 3));
  showAt(5_000, countsOf(9, 4));
  showAt(60_000, countsOf(9, 4));
  showAt(60_001, countsOf(9, 9), 'completed');
  write.mockRestore();
  expect(printed).toEqual([
    'hangup: can_1 running: 0 cancelled; rooms: 0 gone, 0 pending, 0 discarded\n',
    'hangup: can_1 running: 9 cancelled; rooms: 4 gone, 5 pending, 0 discarded\n',
    'hangup: can_1 completed: 9 cancelled; rooms: 9 gone, 0 pending, 0 discarded\n',
  ]);
});

const failure = (isTransient: boolean, retryAfterMs: number | null = null) =>
  new ApiError('failed', { status: null, isTransient, retryAfterMs });

test('transient failures are retried until the limit, and other failures are not', async () => {
  const { signal } = new AbortController();
  const run = async (errors: readonly Error[], limitMs: number) => {
    const left = [...errors];
    const retried: string[] = [];
    const result = retryTransientFailures(
      async () => {
        const error = left.shift();
        if (error !== undefined) throw error;
        return 'done';
      },
      { limitMs, signal, onRetry: ({ message }) => retried.push(message) },
    );
    return { outcome: await result.catch((error: Error) => error), retries: retried.length };
  };
  expect(await run([failure(true)], 60_000)).toEqual({ outcome: 'done', retries: 1 });
  const last = failure(true);
  // The first delay is 500 ms.
  expect(await run([last], 499)).toEqual({ outcome: last, retries: 0 });
  const refused = failure(false);
  expect(await run([failure(true), refused], 60_000)).toEqual({ outcome: refused, retries: 1 });
  const bug = new TypeError('a bug');
  expect(await run([bug], 60_000)).toEqual({ outcome: bug, retries: 0 });
});

test('a retry waits for the time in retry-after, and fails at once when the limit is shorter', async () => {
  const { signal } = new AbortController();
  const errors = [failure(true, 700)];
  const startedAt = performance.now();
  const attempt = async () => {
    const error = errors.shift();
    if (error !== undefined) throw error;
    return performance.now() - startedAt;
  };
  const onRetry = () => {};
  expect(await retryTransientFailures(attempt, { limitMs: 60_000, signal, onRetry })).toBeGreaterThan(690);
  const last = failure(true, 60_001);
  const result = retryTransientFailures(() => Promise.reject(last), { limitMs: 60_000, signal, onRetry });
  await expect(result).rejects.toBe(last);
});

test('an abort ends the wait for a retry', async () => {
  const controller = new AbortController();
  const result = retryTransientFailures(() => Promise.reject(failure(true)), {
    limitMs: 60_000,
    signal: controller.signal,
    onRetry: () => void sleep(0).then(() => controller.abort()),
  });
  await expect(result).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
});
