import { expect, test } from 'vitest';
import type { Emulator } from '../../src/emulator/emulator.ts';
import type { Store } from '../../src/ports/store.ts';
import { until } from '../harness/hangup.ts';
import { cancelAll, prepareCalls } from '../harness/live-calls.ts';

async function expectConsistent(
  { store, emulator }: { store: Store; emulator: Emulator },
  { ids, answered }: { ids: readonly string[]; answered: readonly string[] },
) {
  const rooms = new Set(emulator.roomNames());
  for (const id of ids) {
    const record = await store.findCall(id);
    const isCancelled = record?.call.status === 'cancelled';
    expect(record?.deletion !== null, `${id} is cancelled exactly when a deletion is on record`).toBe(
      isCancelled,
    );
    if (answered.includes(id)) expect(isCancelled, `${id} was answered 200`).toBe(true);
    expect(rooms.has(id), `the room of ${id} is there exactly when it lives`).toBe(!isCancelled);
  }
}

test('kill -9 during 50 cancels, at many moments: what was answered 200 holds, no cancel is without a deletion', async () => {
  const { emulator, store, key, ids, serve } = await prepareCalls(300);
  const answered: string[] = [];
  // LiveKit answers in its own time, so that the kill falls before, between and after its answers.
  emulator.setFault('DeleteRoom', { kind: 'slow', delayMs: 20 });
  for (let round = 0; round < 6; round += 1) {
    const hangup = await serve();
    const some = ids.slice(round * 50, (round + 1) * 50);
    const cancels = cancelAll(hangup.url, key, some);
    const cancelled = async () => {
      const records = await Promise.all(some.map((id) => store.findCall(id)));
      return records.filter((record) => record?.call.status === 'cancelled').length;
    };
    // Each round is killed when so many of its 50 are on record: 1, 10, 19, ...
    await until('some are cancelled', async () => (await cancelled()) >= 1 + 9 * round);
    // The last one also when some have been answered.
    const settled = async () => {
      const records = await Promise.all(some.map((id) => store.findCall(id)));
      return records.filter((record) => record?.deletion?.state === 'completed').length;
    };
    if (round === 5) await until('some rooms are deleted', async () => (await settled()) >= 10);
    await hangup.kill('SIGKILL');
    answered.push(...(await cancels));
  }
  emulator.setFault('DeleteRoom', null);
  const hangup = await serve();
  await until('every deletion is settled', async () => (await store.nextDeletionAt()) === null, 60_000);
  await expectConsistent({ store, emulator }, { ids, answered });
  expect(answered.length).toBeGreaterThan(0);
  expect(await hangup.kill('SIGTERM')).toBe(0);
}, 120_000);

test('killed while LiveKit is away: after both are back every room of a cancelled call is gone', async () => {
  const { emulator, store, key, ids, serve } = await prepareCalls(20);
  await emulator.pause();
  const first = await serve();
  const answered = await cancelAll(first.url, key, ids);
  expect(answered).toEqual(ids);
  await first.kill('SIGKILL');
  await serve();
  await emulator.resume();
  await until('every room is gone', () => emulator.roomNames().length === 0, 60_000);
  await until('every deletion is settled', async () => (await store.nextDeletionAt()) === null, 60_000);
  await expectConsistent({ store, emulator }, { ids, answered });
}, 120_000);

test('two processes on one database: each deletion is claimed by one of them at a time', async () => {
  const { emulator, store, key, ids, serve } = await prepareCalls(50);
  await emulator.pause();
  const [one, two] = await Promise.all([serve(), serve()]);
  await cancelAll(one.url, key, ids.slice(0, 25));
  await cancelAll(two.url, key, ids.slice(25));
  await emulator.resume();
  await until('every deletion is settled', async () => (await store.nextDeletionAt()) === null, 60_000);
  await expectConsistent({ store, emulator }, { ids, answered: ids });
  // What one has leased the other leaves alone, so nobody ever settles without a lease.
  for (const hangup of [one, two]) expect(hangup.output()).not.toContain('lost its lease');
}, 120_000);
