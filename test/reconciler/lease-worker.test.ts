import { expect, test } from 'vitest';
import { createLeaseWorker } from '../../src/reconciler/lease-worker.ts';

/** Returns a worker on a queue of numbered tasks. The test ends the attempts. */
function start({ tasks, concurrency }: { tasks: number; concurrency: number }) {
  const due = Array.from({ length: tasks }, (_, number) => number);
  const limits: number[] = [];
  const inFlight = new Map<number, PromiseWithResolvers<void>>();
  const releases = new Map<number, () => void>();
  const logged: object[] = [];
  let mostInFlight = 0;
  let now = 0;
  let capacityReports = 0;
  let mayStart = true;
  let present = concurrency;
  const nextDueAt: number | null = 5_000;
  const worker = createLeaseWorker<number>({
    queue: {
      async claim(limit) {
        limits.push(limit);
        return due.splice(0, limit);
      },
      nextDueAt: async () => nextDueAt,
    },
    attempt(task, release) {
      const end = Promise.withResolvers<void>();
      inFlight.set(task, end);
      releases.set(task, release);
      mostInFlight = Math.max(mostInFlight, inFlight.size);
      return end.promise;
    },
    mayStart: () => mayStart,
    concurrency: () => present,
    onCapacity: () => {
      capacityReports += 1;
    },
    clock: { now: () => now },
    log: { error: (fields, message) => logged.push({ ...fields, message }) },
  });
  const settle = async (task: number, error?: Error) => {
    const end = inFlight.get(task);
    inFlight.delete(task);
    if (error === undefined) end?.resolve();
    else end?.reject(error);
    // A macrotask, after all promise callbacks.
    await new Promise((resolve) => setImmediate(resolve));
  };
  return {
    worker,
    wait: (durationMs: number) => {
      now += durationMs;
    },
    limits,
    logged,
    due,
    running: () => [...inFlight.keys()],
    mostInFlight: () => mostInFlight,
    capacityReports: () => capacityReports,
    setConcurrency: (concurrency: number) => {
      present = concurrency;
    },
    allowStarts: (isAllowed: boolean) => {
      mayStart = isAllowed;
    },
    release: (task: number) => releases.get(task)?.(),
    endAttempt: (task: number) => settle(task),
    failAttempt: settle,
  };
}

test('claims tasks up to the concurrency limit without waiting for their attempts', async () => {
  const { worker, running, limits } = start({ tasks: 5, concurrency: 3 });
  expect(await worker.claim()).toBeNull();
  expect(running()).toEqual([0, 1, 2]);
  expect(limits).toEqual([3]);
});

test('claims nothing at the concurrency limit', async () => {
  const { worker, limits } = start({ tasks: 5, concurrency: 2 });
  await worker.claim();
  expect(await worker.claim()).toBeNull();
  expect(limits).toEqual([2]);
});

test('reports capacity when an attempt ends, and then claims as many tasks as attempts ended', async () => {
  const { worker, running, limits, capacityReports, endAttempt, mostInFlight, wait } = start({
    tasks: 5,
    concurrency: 3,
  });
  await worker.claim();
  expect(capacityReports()).toBe(0);
  wait(100);
  await endAttempt(1);
  expect(capacityReports()).toBe(1);
  await worker.claim();
  expect(limits).toEqual([3, 1]);
  expect(running()).toEqual([0, 2, 3]);
  expect(mostInFlight()).toBe(3);
});

test('tasks are claimed ahead while attempts are fast, and start in order when attempts end', async () => {
  const { worker, running, limits, capacityReports, endAttempt, mostInFlight, wait } = start({
    tasks: 40,
    concurrency: 2,
  });
  await worker.claim();
  wait(24);
  await endAttempt(0);
  expect(await worker.claim()).toBeNull();
  expect(limits).toEqual([2, 17]);
  expect(running()).toEqual([1, 2]);
  // Sixteen tasks wait. The next claim comes when two wait.
  for (let task = 1; task <= 13; task += 1) await endAttempt(task);
  expect(capacityReports()).toBe(1);
  wait(1);
  await endAttempt(14);
  expect(capacityReports()).toBe(2);
  expect(running()).toEqual([15, 16]);
  await worker.claim();
  expect(limits).toEqual([2, 17, 14]);
  // A slow attempt ends the claims ahead.
  wait(25);
  await endAttempt(15);
  expect(await worker.claim()).toBeNull();
  expect(limits).toEqual([2, 17, 14]);
  expect(mostInFlight()).toBe(2);
});

test('a claim takes at most 128 tasks ahead', async () => {
  const { worker, running, limits, endAttempt } = start({ tasks: 1_000, concurrency: 100 });
  await worker.claim();
  await endAttempt(0);
  await worker.claim();
  expect(limits).toEqual([100, 129]);
  expect(running()).toHaveLength(100);
});

test('more attempts start after the concurrency was increased, and fewer after it was reduced', async () => {
  const { worker, running, limits, setConcurrency, endAttempt } = start({ tasks: 9, concurrency: 1 });
  await worker.claim();
  setConcurrency(3);
  await worker.claim();
  expect(running()).toEqual([0, 1, 2]);
  setConcurrency(1);
  for (const task of [0, 1, 2]) await endAttempt(task);
  await worker.claim();
  expect(running()).toEqual([3]);
  expect(limits).toHaveLength(3);
});

test('idle waits for the tasks that were claimed ahead', async () => {
  const { worker, running, endAttempt } = start({ tasks: 4, concurrency: 1 });
  await worker.claim();
  await endAttempt(0);
  await worker.claim();
  let isIdle = false;
  const idle = worker.idle().then(() => {
    isIdle = true;
  });
  for (const task of [1, 2, 3]) {
    expect({ isIdle, running: running() }).toEqual({ isIdle: false, running: [task] });
    await endAttempt(task);
  }
  await idle;
});

test('a released attempt frees its capacity once, and idle waits for its settlement', async () => {
  const { worker, limits, capacityReports, release, endAttempt, wait } = start({ tasks: 5, concurrency: 3 });
  await worker.claim();
  wait(100);
  for (const task of [0, 1, 1]) release(task);
  expect(capacityReports()).toBe(2);
  await worker.claim();
  expect(limits).toEqual([3, 2]);
  let isIdle = false;
  const idle = worker.idle().then(() => {
    isIdle = true;
  });
  for (const task of [2, 3, 4, 0]) await endAttempt(task);
  expect({ isIdle, capacityReports: capacityReports() }).toEqual({ isIdle: false, capacityReports: 5 });
  await endAttempt(1);
  await idle;
});

test('the worker is busy while an attempt is neither released nor ended', async () => {
  const { worker, release, endAttempt } = start({ tasks: 2, concurrency: 2 });
  expect(worker.isBusy()).toBe(false);
  await worker.claim();
  release(0);
  expect(worker.isBusy()).toBe(true);
  await endAttempt(1);
  expect(worker.isBusy()).toBe(false);
  await endAttempt(0);
});

test('tasks that were claimed ahead wait while no attempt may start, until the next claim', async () => {
  const { worker, running, endAttempt, allowStarts } = start({ tasks: 9, concurrency: 2 });
  await worker.claim();
  // Fast, so the next claim leases more tasks than it starts.
  await endAttempt(0);
  await worker.claim();
  expect(running()).toEqual([1, 2]);
  allowStarts(false);
  await endAttempt(1);
  await endAttempt(2);
  expect(running()).toEqual([]);
  await worker.idle();
  allowStarts(true);
  await worker.claim();
  expect(running()).toEqual([3, 4]);
});

test('returns when the next task is due if it has free capacity', async () => {
  const { worker } = start({ tasks: 1, concurrency: 3 });
  expect(await worker.claim()).toBe(5_000);
});

test('a rejected attempt is logged and frees its capacity', async () => {
  const { worker, logged, capacityReports, failAttempt, limits } = start({ tasks: 3, concurrency: 2 });
  await worker.claim();
  const error = new Error('disk I/O error');
  await failAttempt(0, error);
  expect(logged).toEqual([{ err: error, message: 'attempt failed without settling its lease' }]);
  expect(capacityReports()).toBe(1);
  await worker.claim();
  expect(limits).toEqual([2, 1]);
});

test('idle resolves when all attempts have ended', async () => {
  const { worker, endAttempt } = start({ tasks: 2, concurrency: 2 });
  await worker.idle();
  await worker.claim();
  let isIdle = false;
  const idle = worker.idle().then(() => {
    isIdle = true;
  });
  await endAttempt(0);
  expect(isIdle).toBe(false);
  await endAttempt(1);
  await idle;
});

test('a failed claim rejects and starts no attempt', async () => {
  const started: unknown[] = [];
  const worker = createLeaseWorker({
    queue: { claim: () => Promise.reject(new Error('database is locked')), nextDueAt: async () => null },
    attempt: async (task) => void started.push(task),
    mayStart: () => true,
    concurrency: () => 2,
    onCapacity: () => {},
    clock: { now: () => 0 },
    log: { error: () => {} },
  });
  await expect(worker.claim()).rejects.toThrow('database is locked');
  expect(started).toEqual([]);
  await worker.idle();
});
