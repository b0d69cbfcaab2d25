import { expect, test } from 'vitest';
import { StoreBusyError } from '../../src/domain/errors.ts';
import { createLane, type LaneOutcome, runTogether } from '../../src/store/postgres/lane.ts';

/** A lane whose batches a test ends. */
function testLane({ maxBatch = 3, maxRunning = 1, maxWaiting = 100 } = {}) {
  const batches: { items: readonly string[]; end: PromiseWithResolvers<readonly LaneOutcome<string>[]> }[] =
    [];
  let now = 0;
  const lane = createLane<string, string>({
    nowMs: () => now,
    maxBatch,
    maxRunning,
    maxWaiting,
    timeoutMs: 1_000,
    run: (items) => {
      const end = Promise.withResolvers<readonly LaneOutcome<string>[]>();
      batches.push({ items, end });
      return end.promise;
    },
  });
  return {
    lane,
    started: () => batches.map(({ items }) => items.join('')),
    finish(index: number) {
      const batch = batches[index];
      batch?.end.resolve(batch.items.map((item) => ({ result: item.toUpperCase() })));
    },
    fail: (index: number, error: Error) => batches[index]?.end.reject(error),
    setTime: (time: number) => {
      now = time;
    },
  };
}

test('the items of one turn of the event loop share a batch, and each gets its result', async () => {
  const { lane, started, finish } = testLane();
  const results = Promise.all(['a', 'b'].map(lane.push));
  await expect.poll(started).toEqual(['ab']);
  finish(0);
  expect(await results).toEqual(['A', 'B']);
});

test('the items that arrive during a batch share the next ones, up to the largest size, in order', async () => {
  const { lane, started, finish } = testLane();
  const first = lane.push('a');
  await expect.poll(started).toEqual(['a']);
  const others = Promise.all(['b', 'c', 'd', 'e'].map(lane.push));
  finish(0);
  expect(await first).toBe('A');
  await expect.poll(started).toEqual(['a', 'bcd']);
  finish(1);
  await expect.poll(started).toEqual(['a', 'bcd', 'e']);
  finish(2);
  expect(await others).toEqual(['B', 'C', 'D', 'E']);
});

test('as many batches run at once as may', async () => {
  const { lane, started, finish } = testLane({ maxBatch: 1, maxRunning: 2 });
  const results = Promise.all(['a', 'b', 'c'].map(lane.push));
  await expect.poll(started).toEqual(['a', 'b']);
  finish(1);
  await expect.poll(started).toEqual(['a', 'b', 'c']);
  finish(0);
  finish(2);
  expect(await results).toEqual(['A', 'B', 'C']);
});

test('an item that waited too long is refused, and never starts', async () => {
  const { lane, started, finish, setTime } = testLane();
  const first = lane.push('a');
  await expect.poll(started).toEqual(['a']);
  const late = lane.push('b');
  setTime(1_000);
  const next = lane.push('c');
  finish(0);
  await expect(late).rejects.toThrow(StoreBusyError);
  await expect.poll(started).toEqual(['a', 'c']);
  finish(1);
  expect(await Promise.all([first, next])).toEqual(['A', 'C']);
});

test('items beyond the largest queue are refused at once', async () => {
  const { lane, started, finish } = testLane({ maxWaiting: 2 });
  const accepted = Promise.all(['a', 'b'].map(lane.push));
  await expect(lane.push('c')).rejects.toThrow(/too many requests wait/);
  await expect.poll(started).toEqual(['ab']);
  finish(0);
  expect(await accepted).toEqual(['A', 'B']);
});

test('the error of a batch is the error of its items, and the lane continues', async () => {
  const { lane, started, finish, fail } = testLane();
  const failed = Promise.allSettled(['a', 'b'].map(lane.push));
  await expect.poll(started).toEqual(['ab']);
  const next = lane.push('c');
  fail(0, new Error('lost'));
  expect((await failed).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  await expect.poll(started).toEqual(['ab', 'c']);
  finish(1);
  expect(await next).toBe('C');
});

test('a drained lane has answered every item', async () => {
  const { lane, started, finish } = testLane();
  const ends: string[] = [];
  const results = ['a', 'b', 'c', 'd'].map((item) => lane.push(item).then((result) => ends.push(result)));
  const drained = lane.drained().then(() => ends.push('drained'));
  await expect.poll(started).toEqual(['abc']);
  finish(0);
  await expect.poll(started).toEqual(['abc', 'd']);
  finish(1);
  await Promise.all([...results, drained]);
  expect(ends).toEqual(['A', 'B', 'C', 'D', 'drained']);
});

test('after an error of one item, each item runs alone', async () => {
  const runs: string[] = [];
  const outcomes = await runTogether(['a', 'bad', 'c'], async (items) => {
    runs.push(items.join());
    if (items.includes('bad')) throw new Error('refused');
    return items.map((item) => ({ result: item }));
  });
  expect(runs).toEqual(['a,bad,c', 'a', 'bad', 'c']);
  expect(outcomes).toEqual([{ result: 'a' }, { error: new Error('refused') }, { result: 'c' }]);
});

test('a database that is busy is the error of all items', async () => {
  const busy = runTogether(['a', 'b'], () => Promise.reject(new StoreBusyError()));
  await expect(busy).rejects.toThrow(StoreBusyError);
});
