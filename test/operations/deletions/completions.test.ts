import { expect, test } from 'vitest';
import { shareCompletions } from '../../../src/operations/deletions/completions.ts';
import type { DeletionLease } from '../../../src/ports/store.ts';

/** Returns shared completions. The test ends each write, and fires the timer. */
function start() {
  const writes: (PromiseWithResolvers<readonly boolean[]> & { readonly calls: string })[] = [];
  const timers = new Map<() => void, number>();
  let isBusy = true;
  const complete = shareCompletions({
    store: {
      completeDeletions(leases: readonly DeletionLease[]) {
        const calls = leases.map(({ callId, attempt }) => `${callId}/${attempt}`).join(' ');
        const write = { ...Promise.withResolvers<readonly boolean[]>(), calls };
        writes.push(write);
        return write.promise;
      },
    },
    isBusy: () => isBusy,
    after(delayMs, run) {
      timers.set(run, delayMs);
      return () => void timers.delete(run);
    },
  });
  return {
    complete: (callId: string, attempt = 1) => complete({ callId, attempt }),
    writes,
    delays: () => [...timers.values()],
    fire() {
      for (const run of [...timers.keys()]) {
        timers.delete(run);
        run();
      }
    },
    endAttempts() {
      isBusy = false;
    },
  };
}

test('a completion is written at once when no other attempt is in flight', async () => {
  const { complete, writes, delays, endAttempts } = start();
  endAttempts();
  const completed = complete('a', 2);
  expect({ calls: writes.map(({ calls }) => calls), delays: delays() }).toEqual({
    calls: ['a/2'],
    delays: [],
  });
  writes[0]?.resolve([true]);
  expect(await completed).toBe(true);
});

test('the completions of attempts in flight share the write of the last one', async () => {
  const { complete, writes, delays, endAttempts } = start();
  const waiting = [complete('a'), complete('b')];
  expect({ writes, delays: delays() }).toEqual({ writes: [], delays: [10] });
  endAttempts();
  const last = complete('c');
  expect({ calls: writes.map(({ calls }) => calls), delays: delays() }).toEqual({
    calls: ['a/1 b/1 c/1'],
    delays: [],
  });
  writes[0]?.resolve([true, false, true]);
  expect(await Promise.all([...waiting, last])).toEqual([true, false, true]);
});

test('a completion waits 10 ms at most for a slow attempt', async () => {
  const { complete, writes, delays, fire } = start();
  const first = complete('a');
  fire();
  const second = complete('b');
  expect({ calls: writes.map(({ calls }) => calls), delays: delays() }).toEqual({
    calls: ['a/1'],
    delays: [10],
  });
  fire();
  for (const { resolve } of writes) resolve([true]);
  expect(await Promise.all([first, second])).toEqual([true, true]);
});

test('a write has 64 completions at most', () => {
  const { complete, writes, delays } = start();
  for (let i = 0; i < 65; i += 1) void complete(`c${i}`);
  expect(writes.map(({ calls }) => calls.split(' ').length)).toEqual([64]);
  expect(delays()).toEqual([10]);
});

test('the error of a write rejects its completions, and no later one', async () => {
  const { complete, writes, fire } = start();
  const failing = [complete('a'), complete('b')];
  fire();
  const later = complete('c');
  fire();
  const error = new Error('disk I/O error');
  writes[0]?.reject(error);
  writes[1]?.resolve([true]);
  const reasons = (await Promise.allSettled(failing)).map((end) => end.status === 'rejected' && end.reason);
  expect(reasons).toEqual([error, error]);
  expect(await later).toBe(true);
});
