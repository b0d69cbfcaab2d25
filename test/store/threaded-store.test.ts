import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { expect, onTestFinished, test } from 'vitest';
import { RequestError, StoreBusyError } from '../../src/domain/errors.ts';
import { systemClock } from '../../src/platform/clock.ts';
import type { Clock } from '../../src/ports/system.ts';
import { toDatabaseError } from '../../src/store/sqlite/database.ts';
import { openThreadedStore } from '../../src/store/sqlite/threaded-store.ts';
import { buildCall } from '../harness/calls.ts';
import { STORE_THREAD } from '../harness/process.ts';
import { POLICY } from '../harness/rosters.ts';
import { temporaryFolder } from '../harness/temporary.ts';
import { conformance } from './conformance.ts';

async function openTestStore(clock: Clock = systemClock) {
  const file = join(temporaryFolder(), 'hangup.db');
  const late: string[] = [];
  const store = await openThreadedStore(file, {
    clock,
    thread: STORE_THREAD,
    onMigrating: () => {},
    onLate: (method) => late.push(method),
  });
  return { file, store, late };
}

conformance('the store of a server', async (clock) => {
  const { store } = await openTestStore(clock);
  return store;
});

/** Holds the write lock, as another process would. */
function lockOf(file: string) {
  const other = new SqliteDatabase(file);
  onTestFinished(() => {
    other.close();
  });
  other.exec('BEGIN IMMEDIATE');
  return { release: () => other.exec('ROLLBACK') };
}

const newKey = (id: string) => ({
  id,
  organizationName: id,
  organizationIdIfNew: `org_${id}`,
  name: 'test',
  hash: id.padStart(64, '0'),
  scopes: [],
  expiresAt: null,
  now: 1,
});

test('writes wait for the lock of another process, and all succeed after its release', async () => {
  const { file, store } = await openTestStore();
  const { release } = lockOf(file);
  const made = Promise.all(['a', 'b', 'c'].map((id) => store.createApiKey(newKey(id))));
  // Reads succeed while the writes wait.
  expect(await store.listApiKeys()).toEqual([]);
  release();
  expect((await made).map(({ id }) => id)).toEqual(['a', 'b', 'c']);
  await store.close();
});

test('writes reject as busy while a lock stays, never run later, and succeed after its release', async () => {
  const { file, store, late } = await openTestStore();
  const { release } = lockOf(file);
  const ended = await Promise.allSettled(['a', 'b'].map((id) => store.createApiKey(newKey(id))));
  for (const { status, reason } of ended as PromiseRejectedResult[]) {
    expect({ status, reason }).toEqual({ status: 'rejected', reason: expect.any(StoreBusyError) });
    expect(toDatabaseError(reason)?.message).toMatch(/Another program holds the lock/);
  }
  release();
  await store.createApiKey(newKey('c'));
  expect((await store.listApiKeys()).map(({ id }) => id)).toEqual(['c']);
  expect(late).toEqual([]);
  await store.close();
});

test('an observation that changes nothing waits neither for a lock nor for the writes before it', async () => {
  const { file, store } = await openTestStore();
  const { release } = lockOf(file);
  const waiting = store.createApiKey(newKey('a'));
  const room = { name: 'nobody', sid: 'RM_1', createdAt: 1, metadata: '' };
  const { result, events } = await store.changeCall({
    kind: 'observation',
    observation: { kind: 'room', room, requestedAt: 2 },
    policy: POLICY,
    adopted: { id: 'adopted', agentId: null },
    leaseMs: null,
  });
  expect({ result, events }).toEqual({ result: null, events: [] });
  expect(await store.listApiKeys()).toEqual([]);
  release();
  await waiting;
  await store.close();
});

test('close waits for the queued writes', async () => {
  const { file, store } = await openTestStore();
  const { release } = lockOf(file);
  const made = store.createApiKey(newKey('a'));
  const closed = store.close();
  release();
  expect((await made).id).toBe('a');
  await closed;
  // The -wal was copied into the file.
  expect(statSync(file).size).toBeGreaterThan(0);
  expect(statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0).toBe(0);
});

test('an error of SQLite keeps its code when it leaves the thread', async () => {
  const { file, store } = await openTestStore();
  await store.createApiKey(newKey('a'));
  const error = await store.createApiKey({ ...newKey('a'), organizationName: 'b' }).catch((thrown) => thrown);
  expect(error).not.toBeInstanceOf(RequestError);
  expect(error.cause ?? error).toMatchObject({ code: expect.stringMatching(/^SQLITE_CONSTRAINT/) });
  expect(toDatabaseError(error)?.message).toMatch(/constraint failed/);
  await store.close();
  expect(file).toBeTruthy();
});

test('50 concurrent uses of a key are written once', async () => {
  const { file, store } = await openTestStore();
  await store.createApiKey(newKey('a'));
  const { release } = lockOf(file);
  const uses = Array.from({ length: 50 }, (_, i) => store.recordApiKeyUse({ id: 'a', now: i }));
  release();
  await Promise.all(uses);
  expect((await store.listApiKeys())[0]?.lastUsedAt).toBe(0);
  await store.recordApiKeyUse({ id: 'a', now: 99 });
  expect((await store.listApiKeys())[0]?.lastUsedAt).toBe(99);
  await store.close();
});

test('the -wal that grew during a long read is truncated after the read (row 17)', async () => {
  const { file, store } = await openTestStore();
  const { organizationId } = await store.createApiKey(newKey('a'));
  const reader = new SqliteDatabase(file);
  reader.exec('BEGIN');
  reader.prepare('SELECT count(*) FROM calls').get();
  const walBytes = () => statSync(`${file}-wal`).size;
  const metadata = { text: 'x'.repeat(16_000) };
  for (let i = 0; walBytes() < 24 * 1024 * 1024; i += 100) {
    await Promise.all(
      Array.from({ length: 100 }, (_, j) =>
        store.changeCall({
          kind: 'register',
          call: buildCall({ id: `c${i + j}`, organizationId, metadata }),
          apiKeyId: null,
        }),
      ),
    );
  }
  reader.exec('COMMIT');
  reader.close();
  // The two commits that a server without any request makes within two minutes.
  await expect
    .poll(async () => {
      await store.checkWritable();
      return walBytes() <= 16 * 1024 * 1024;
    })
    .toBe(true);
  await store.close();
});

/** Returns the number of commits in a -wal file: a frame that ends a commit contains the size of the database. */
function commitsIn(walFile: string): number {
  const wal = readFileSync(walFile);
  const frameBytes = 24 + wal.readUInt32BE(8);
  const salt = wal.subarray(16, 24);
  let commits = 0;
  for (let at = 32; at + frameBytes <= wal.length; at += frameBytes) {
    if (!wal.subarray(at + 8, at + 16).equals(salt)) break;
    if (wal.readUInt32BE(at + 4) > 0) commits += 1;
  }
  return commits;
}

test('100 writes that wait for a lock share commits', async () => {
  const { file, store } = await openTestStore();
  const { release } = lockOf(file);
  const before = commitsIn(`${file}-wal`);
  const ids = Array.from({ length: 100 }, (_, i) => `k${i}`);
  const made = Promise.all(ids.map((id) => store.createApiKey(newKey(id))));
  release();
  await made;
  // A commit takes no write after 10 ms, so a slow machine needs several.
  expect(commitsIn(`${file}-wal`) - before).toBeLessThan(50);
  await store.close();
});

test('a write that fails in a shared commit undoes its own changes alone', async () => {
  const { file, store } = await openTestStore();
  const { release } = lockOf(file);
  const ended = Promise.allSettled([
    store.createApiKey(newKey('a')),
    // A constraint fails after the insert of a new organization.
    store.createApiKey({ ...newKey('a'), organizationName: 'b', organizationIdIfNew: 'org_b' }),
    // The rescue of an unknown call has no organization for its audit event.
    store.settleDeletion({
      callId: 'unknown',
      attempt: 1,
      settlement: { state: 'completed' },
      wasRescued: true,
      keptBecause: null,
    }),
    store.createApiKey(newKey('c')),
  ]);
  release();
  expect((await ended).map(({ status }) => status)).toEqual([
    'fulfilled',
    'rejected',
    'rejected',
    'fulfilled',
  ]);
  expect(await store.listOrganizations()).toEqual(['a', 'c']);
  expect((await store.listApiKeys()).map(({ id }) => id)).toEqual(['a', 'c']);
  await store.close();
});

test('writes beyond 2,000 without a reply reject at once, except settlements', async () => {
  const { file, store } = await openTestStore();
  const { organizationId } = await store.createApiKey(newKey('a'));
  const { release } = lockOf(file);
  const register = (id: string) =>
    store.changeCall({ kind: 'register', call: buildCall({ id, organizationId }), apiKeyId: null });
  const waiting = Array.from({ length: 2_000 }, (_, i) => register(`c${i}`));
  await expect(register('refused')).rejects.toBeInstanceOf(StoreBusyError);
  const settled = store.settleDeletion({
    callId: 'c0',
    attempt: 1,
    settlement: { state: 'completed' },
    wasRescued: false,
    keptBecause: null,
  });
  const turn = new Promise((resolve) => setImmediate(resolve, 'one turn'));
  expect(await Promise.race([settled, turn])).toBe('one turn');
  // The other writes still wait for the lock.
  expect(await store.findCall('c0')).toBeNull();
  release();
  const results = await Promise.all(waiting);
  expect(results.filter(({ result }) => result.kind === 'registered')).toHaveLength(2_000);
  // A settlement expires after 500 ms, which a loaded machine may need for the other writes.
  await settled.catch(() => {});
  expect((await register('accepted')).result.kind).toBe('registered');
  expect(await store.findCall('refused')).toBeNull();
  await store.close();
});

test('a write that cannot be sent to the thread rejects, and the other writes of its message succeed', async () => {
  const { store } = await openTestStore();
  const { organizationId } = await store.createApiKey(newKey('a'));
  const unclonable = { ...buildCall({ id: 'c1', organizationId }), metadata: { call: () => {} } };
  const ended = await Promise.allSettled([
    store.createApiKey(newKey('b')),
    store.changeCall({ kind: 'register', call: unclonable, apiKeyId: null }),
    store.createApiKey(newKey('c')),
  ]);
  expect(ended.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(await store.findCall('c1')).toBeNull();
  await store.close();
});
