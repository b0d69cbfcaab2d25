import { expect, test } from 'vitest';
import { StoreBusyError } from '../../src/domain/errors.ts';
import { createLoop } from '../../src/reconciler/loop.ts';

/** Returns a loop. The test ends the runs. */
function start() {
  const ends: PromiseWithResolvers<void>[] = [];
  const logged: object[] = [];
  const stopping = new AbortController();
  const loop = createLoop(
    'rooms',
    () => {
      const end = Promise.withResolvers<void>();
      ends.push(end);
      return end.promise;
    },
    { log: { error: (fields, message) => logged.push({ ...fields, message }) }, signal: stopping.signal },
  );
  const settle = async (action: (end: PromiseWithResolvers<void> | undefined) => void) => {
    action(ends.at(-1));
    // A macrotask, after all promise callbacks.
    await new Promise((resolve) => setImmediate(resolve));
  };
  return {
    loop,
    stopping,
    logged,
    runs: () => ends.length,
    endRun: () => settle((end) => end?.resolve()),
    failRun: (error: Error) => settle((end) => end?.reject(error)),
  };
}

test('a trigger starts a run', async () => {
  const { loop, runs, endRun } = start();
  expect(runs()).toBe(0);
  loop.trigger();
  expect(runs()).toBe(1);
  await endRun();
  expect(runs()).toBe(1);
  loop.trigger();
  expect(runs()).toBe(2);
});

test('triggers during a run start exactly one more run after it', async () => {
  const { loop, runs, endRun } = start();
  loop.trigger();
  for (let i = 0; i < 3; i += 1) loop.trigger();
  expect(runs()).toBe(1);
  await endRun();
  expect(runs()).toBe(2);
  await endRun();
  expect(runs()).toBe(2);
});

test('a failed run is logged with the name of the loop, and the loop continues', async () => {
  const { loop, logged, runs, failRun } = start();
  loop.trigger();
  loop.trigger();
  const error = new Error('disk I/O error');
  await failRun(error);
  expect(logged).toEqual([
    { err: error, loop: 'rooms', message: 'background loop failed; it runs again on schedule' },
  ]);
  expect(runs()).toBe(2);
});

test('idle resolves after the run in flight and the run that it was triggered for', async () => {
  const { loop, endRun } = start();
  await loop.idle();
  loop.trigger();
  loop.trigger();
  let isIdle = false;
  const idle = loop.idle().then(() => {
    isIdle = true;
  });
  await endRun();
  expect(isIdle).toBe(false);
  await endRun();
  await idle;
  expect(isIdle).toBe(true);
});

test('no run starts after the abort, and a requested run is dropped', async () => {
  const { loop, stopping, runs, endRun } = start();
  loop.trigger();
  loop.trigger();
  stopping.abort();
  await endRun();
  loop.trigger();
  expect(runs()).toBe(1);
  await loop.idle();
});

test('runs that fail while the database is unavailable are logged once, and again after a success', async () => {
  const { loop, logged, endRun, failRun } = start();
  for (let i = 0; i < 3; i += 1) {
    loop.trigger();
    await failRun(new StoreBusyError());
  }
  expect(logged).toHaveLength(1);
  loop.trigger();
  await failRun(new Error('another error'));
  expect(logged).toHaveLength(2);
  loop.trigger();
  await endRun();
  loop.trigger();
  await failRun(new StoreBusyError());
  expect(logged).toHaveLength(3);
});
