import { statSync } from 'node:fs';
import SqliteDatabase from 'better-sqlite3';
import { expect, onTestFinished, test } from 'vitest';
import type { Emulator } from '../../src/emulator/emulator.ts';
import type { Store } from '../../src/ports/store.ts';
import { type BreakMoment, startCommitForwarder } from '../harness/commit-forwarder.ts';
import { onPostgres, onSqlite } from '../harness/hangup.ts';
import { cancelAll, HALF_CANCELLED, prepareCalls, stopAll } from '../harness/live-calls.ts';

async function expectConsistent(
  { store, emulator }: { store: Store; emulator: Emulator },
  { ids, answered }: { ids: readonly string[]; answered: readonly string[] },
) {
  const rooms = new Set(emulator.roomNames());
  for (const id of ids) {
    const record = await store.findCall(id);
    const isCancelled = record?.call.status === 'cancelled';
    expect(record?.deletion !== null, `${id} is cancelled exactly if a deletion exists`).toBe(isCancelled);
    if (answered.includes(id)) expect(isCancelled, `${id} was answered 200`).toBe(true);
    expect(rooms.has(id), `the room of ${id} exists exactly if the call is live`).toBe(!isCancelled);
  }
}

test('acknowledged cancels and their deletions survive kill -9 during 50 cancels', async () => {
  const { emulator, store, key, ids, serve } = await prepareCalls(300);
  const answered: string[] = [];
  // Responses are slow, so the kill comes before, between and after them.
  emulator.setFault('DeleteRoom', { kind: 'slow', delayMs: 20 });
  for (let round = 0; round < 6; round += 1) {
    const hangup = await serve();
    const batch = ids.slice(round * 50, (round + 1) * 50);
    let answers = 0;
    const cancels = cancelAll(hangup.url, key, batch, () => {
      answers += 1;
    });
    const cancelled = async () => {
      const records = await Promise.all(batch.map((id) => store.findCall(id)));
      return records.filter((record) => record?.call.status === 'cancelled').length;
    };
    // Each round is killed when 1, 10, 19, ... of its 50 cancels are stored.
    await expect.poll(() => cancelled()).toBeGreaterThanOrEqual(1 + 9 * round);
    // The last round is killed after some responses.
    const settled = async () => {
      const records = await Promise.all(batch.map((id) => store.findCall(id)));
      return records.filter((record) => record?.deletion?.state === 'completed').length;
    };
    if (round === 5) {
      await expect.poll(() => settled()).toBeGreaterThanOrEqual(10);
      await expect.poll(() => answers).toBeGreaterThan(0);
    }
    await hangup.kill('SIGKILL');
    answered.push(...(await cancels));
  }
  emulator.setFault('DeleteRoom', null);
  const hangup = await serve();
  await expect.poll(() => store.nextDeletionAt(), { timeout: 60_000 }).toBeNull();
  await expectConsistent({ store, emulator }, { ids, answered });
  expect(answered.length).toBeGreaterThan(0);
  expect(await hangup.kill('SIGTERM')).toBe(0);
});

test('rooms of cancelled calls are deleted after a crash and an outage of LiveKit', async () => {
  const { emulator, store, key, ids, serve } = await prepareCalls(20);
  await emulator.pause();
  const first = await serve();
  const answered = await cancelAll(first.url, key, ids);
  expect(answered).toEqual(ids);
  await first.kill('SIGKILL');
  await serve();
  await emulator.resume();
  await expect.poll(() => emulator.roomNames(), { timeout: 60_000 }).toEqual([]);
  await expect.poll(() => store.nextDeletionAt(), { timeout: 60_000 }).toBeNull();
  await expectConsistent({ store, emulator }, { ids, answered });
});

test('two processes on one database never claim the same deletion at the same time', async () => {
  const { emulator, store, key, ids, serve } = await prepareCalls(50);
  await emulator.pause();
  const [first, second] = await Promise.all([serve(), serve()]);
  await cancelAll(first.url, key, ids.slice(0, 25));
  await cancelAll(second.url, key, ids.slice(25));
  await emulator.resume();
  await expect.poll(() => store.nextDeletionAt(), { timeout: 60_000 }).toBeNull();
  await expectConsistent({ store, emulator }, { ids, answered: ids });
  // No process settles a deletion without its lease.
  for (const hangup of [first, second]) expect(hangup.output()).not.toMatch(/lost its lease|lease lost/);
});

onSqlite(
  'cancels that share a commit are complete or absent after kill -9 while the commit is written',
  async () => {
    const perRound = 150;
    // Each round ends hangup after this number of pages of its commits: 0 is at the release of the lock.
    const rounds = [0, 1, 20, 60, 120, 180, 240];
    const { emulator, store, key, ids, file, serve } = await prepareCalls(rounds.length * perRound);
    const other = new SqliteDatabase(file);
    onTestFinished(() => {
      other.close();
    });
    const walBytes = () => statSync(`${file}-wal`).size;
    const pageBytes = 24 + Number(other.pragma('page_size', { simple: true }));
    const answered: string[] = [];
    for (const [round, pages] of rounds.entries()) {
      const hangup = await serve();
      await expect
        .poll(() => {
          other.pragma('wal_checkpoint(TRUNCATE)');
          return walBytes();
        })
        .toBe(0);
      other.exec('BEGIN IMMEDIATE');
      const cancels = cancelAll(hangup.url, key, ids.slice(round * perRound, (round + 1) * perRound));
      // The check of the store waits for a second after the cancels. All cancels are then queued.
      expect((await fetch(`${hangup.url}/readyz`)).status).toBe(503);
      const until = walBytes() + pages * pageBytes;
      const deadline = performance.now() + 2_000;
      other.exec('ROLLBACK');
      // Without a pause: hangup must end before its commit does.
      while (walBytes() < until && performance.now() < deadline);
      const ended = hangup.kill('SIGKILL');
      answered.push(...(await cancels));
      await ended;
      expect(other.prepare(HALF_CANCELLED).pluck().all(), `round ${round}`).toEqual([]);
      for (const id of answered) {
        expect((await store.findCall(id))?.call.status, `${id} was answered 200`).toBe('cancelled');
      }
    }
    await serve();
    await expect.poll(() => store.nextDeletionAt(), { timeout: 60_000 }).toBeNull();
    await expectConsistent({ store, emulator }, { ids, answered });
  },
);

const BREAKS: readonly BreakMoment[] = ['before', 'sent', 'committed', 'before', 'sent', 'committed'];

onPostgres('cancels that share a commit are complete or absent after kill -9 at the commit', async () => {
  // More than the cancels of two commits.
  const perRound = 150;
  let moment: BreakMoment = 'never';
  let commits = 0;
  let broken = () => {};
  const { emulator, store, key, ids, sql, serve, blockWrites } = await prepareCalls(
    BREAKS.length * perRound,
    {
      network: (url) =>
        startCommitForwarder(
          url,
          () => {
            commits += 1;
            return commits === 2 ? moment : 'never';
          },
          () => broken(),
        ),
    },
  );
  const answered: string[] = [];
  const cancelledBefore: number[] = [];
  for (const [round, next] of BREAKS.entries()) {
    const batch = ids.slice(round * perRound, (round + 1) * perRound);
    const hangup = await serve();
    const ended = new Promise((resolve) => {
      broken = () => {
        broken = () => {};
        resolve(hangup.kill('SIGKILL'));
      };
    });
    const allowWrites = await blockWrites();
    const cancels = cancelAll(hangup.url, key, batch);
    // The check of the store waits for a second after the cancels, which are then queued.
    expect((await fetch(`${hangup.url}/readyz`)).status).toBe(503);
    // The first cancels commit, and the others share the next commits.
    commits = 0;
    moment = next;
    await allowWrites();
    await ended;
    moment = 'never';
    answered.push(...(await cancels));
    expect(await sql(HALF_CANCELLED), `round ${round}`).toEqual([]);
    for (const id of answered) {
      expect((await store.findCall(id))?.call.status, `${id} was answered 200`).toBe('cancelled');
    }
    const records = await Promise.all(batch.map((id) => store.findCall(id)));
    cancelledBefore.push(records.filter((record) => record?.call.status === 'cancelled').length);
  }
  // Each round ended hangup before its last cancel, or the test tests nothing.
  expect(cancelledBefore.filter((cancelled) => cancelled < perRound).length).toBeGreaterThan(0);
  await serve();
  await expect.poll(() => store.nextDeletionAt(), { timeout: 60_000 }).toBeNull();
  await expectConsistent({ store, emulator }, { ids, answered });
});

test('a cancellation that was answered cancels every call and deletes every room, through kill -9 at any moment', async () => {
  const count = 4_000;
  const { emulator, store, key, sql, serve } = await prepareCalls(count);
  const countOf = async (source: string) => {
    const [row] = (await sql(`SELECT count(*) AS count ${source}`)) as { count: number | string }[];
    return Number(row?.count);
  };
  const recorded = () => countOf("FROM calls WHERE status = 'cancelled'");
  const deleted = () => countOf("FROM room_deletions WHERE state = 'completed'");
  let hangup = await serve();
  const id = await stopAll(hangup.url, key);
  const moments: [name: string, isReached: () => Promise<boolean>][] = [
    ['right after the response', async () => true],
    ['after the first calls', async () => (await recorded()) > 0],
    ['after half of the calls', async () => (await recorded()) >= count / 2],
    ['while rooms are deleted', async () => (await deleted()) >= count / 4],
  ];
  for (const [name, isReached] of moments) {
    await expect.poll(isReached, { interval: 1, timeout: 30_000, message: name }).toBe(true);
    await hangup.kill('SIGKILL');
    expect(await sql(HALF_CANCELLED), name).toEqual([]);
    hangup = await serve();
  }
  // Two processes share the rest.
  await serve();
  await expect
    .poll(() => store.findCancellation(id), { timeout: 60_000 })
    .toMatchObject({
      state: 'completed',
      counts: {
        cancelled: count,
        alreadyEnded: 0,
        notFound: 0,
        rooms: { deleted: count, pending: 0, discarded: 0 },
      },
    });
  expect(await recorded()).toBe(count);
  expect(await sql(HALF_CANCELLED)).toEqual([]);
  expect(emulator.roomNames()).toEqual([]);
});
