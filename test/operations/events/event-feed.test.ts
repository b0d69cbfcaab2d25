import { expect, test } from 'vitest';
import { createEventFeed } from '../../../src/operations/events/event-feed.ts';

/** Returns a feed on a log without a store. The test fires its timer, and sends signals. */
function createTestFeed() {
  let newest = 10;
  let polls = 0;
  let isFailing = false;
  let sendSignal = () => {};
  const timers: (() => void)[] = [];
  const settle = async () => {
    for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
  };
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
        return () => void timers.splice(timers.indexOf(run), 1);
      },
      every: () => () => {},
    },
    watchEvents: (wake) => {
      sendSignal = wake;
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
      await settle();
    },
    signal: async () => {
      sendSignal();
      await settle();
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

test('a signal starts the poll at once, and also the next poll if no reader waits', async () => {
  const { wait, append, polls, timers, signal } = createTestFeed();
  const first = wait(10);
  append();
  await signal();
  expect([first.isAwake, polls(), timers()]).toEqual([true, 1, 0]);
  append();
  await signal();
  expect(polls()).toBe(1);
  const second = wait(11);
  await signal();
  expect([second.isAwake, polls(), timers()]).toEqual([true, 2, 0]);
});

test('a signal during a poll is not lost, and signals do not stop the polls', async () => {
  const { wait, append, polls, timers, tick, signal } = createTestFeed();
  const reader = wait(10);
  const polled = tick();
  append();
  await signal();
  await polled;
  expect([reader.isAwake, timers()]).toEqual([true, 0]);
  const late = wait(11);
  await signal();
  append();
  expect([late.isAwake, timers()]).toEqual([false, 1]);
  const before = polls();
  await tick();
  expect([late.isAwake, polls()]).toEqual([true, before + 1]);
});
