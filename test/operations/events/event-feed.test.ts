import { expect, test } from 'vitest';
import { createEventFeed } from '../../../src/operations/events/event-feed.ts';

/** Returns a feed on a log without a store, whose timer the test fires. */
function createTestFeed() {
  let newest = 10;
  let polls = 0;
  let isFailing = false;
  const timers: (() => void)[] = [];
  const feed = createEventFeed({
    store: {
      getEventRange: async () => {
        polls += 1;
        if (isFailing) throw new Error('busy');
        return { oldest: 1, newest };
      },
    },
    timers: {
      after: (_, run) => {
        timers.push(run);
        return () => {};
      },
      every: () => () => {},
    },
  });
  const wait = (after: number, signal = new AbortController().signal) => {
    const waiting = { isAwake: false };
    void feed.waitForEvent(after, signal).then(() => {
      waiting.isAwake = true;
    });
    return waiting;
  };
  return {
    wait,
    append: () => {
      newest += 1;
    },
    fail: (failing: boolean) => {
      isFailing = failing;
    },
    polls: () => polls,
    timers: () => timers.length,
    /** Fires the timer, and completes the poll. */
    tick: async () => {
      timers.shift()?.();
      for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
    },
  };
}

test('one poll serves all readers, and stops with the last reader', async () => {
  const { wait, append, polls, timers, tick } = createTestFeed();
  expect(timers()).toBe(0);
  const readers = [wait(10), wait(10), wait(11)];
  expect(timers()).toBe(1);
  await tick();
  expect(readers.map(({ isAwake }) => isAwake)).toEqual([false, false, false]);
  append();
  await tick();
  expect(readers.map(({ isAwake }) => isAwake)).toEqual([true, true, false]);
  append();
  await tick();
  expect(readers.map(({ isAwake }) => isAwake)).toEqual([true, true, true]);
  expect([polls(), timers()]).toEqual([3, 0]);
  wait(20);
  expect(timers()).toBe(1);
});

test('a failed poll is repeated', async () => {
  const { wait, append, fail, tick } = createTestFeed();
  const reader = wait(10);
  append();
  fail(true);
  await tick();
  expect(reader.isAwake).toBe(false);
  fail(false);
  await tick();
  expect(reader.isAwake).toBe(true);
});

test('an abort wakes up its reader, also before the wait', async () => {
  const { wait, timers, tick } = createTestFeed();
  const abort = new AbortController();
  const reader = wait(10, abort.signal);
  abort.abort();
  await tick();
  expect(reader.isAwake).toBe(true);
  expect(timers()).toBe(0);
  const late = wait(10, abort.signal);
  await tick();
  expect([late.isAwake, timers()]).toEqual([true, 0]);
});
