import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { expect, test } from 'vitest';
import { type LocalStore, openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { buildCall, insertApiKey } from '../harness/calls.ts';
import { manualClock } from '../harness/manual-clock.ts';
import { runHangup } from '../harness/process.ts';
import { temporaryFolder } from '../harness/temporary.ts';

const DAY_MS = 86_400_000;

async function prepare(
  clock = manualClock(),
): Promise<{ cwd: string; store: LocalStore; organizationId: string }> {
  const cwd = temporaryFolder();
  const store = openSqliteStore(join(cwd, 'hangup.db'), { clock });
  const { organizationId } = await insertApiKey(store);
  return { cwd, store, organizationId };
}

/** Calls that ended 1 to 60 days ago, a live call, and an ended call whose room may still exist. */
async function prepareCalls() {
  const now = Date.now();
  const { cwd, store, organizationId } = await prepare(manualClock(now - 60 * DAY_MS));
  const put = (id: string, parts: object) =>
    store.changeCall({
      kind: 'register',
      call: buildCall({ id, organizationId, createdAt: now - 90 * DAY_MS, ...parts }),
      apiKeyId: null,
    });
  for (const days of [1, 29, 31, 60]) {
    await put(`ended-${days}`, { status: 'completed', endedAt: now - days * DAY_MS });
  }
  await put('live', { status: 'active' });
  await put('not-gone', { status: 'active' });
  const cancel = {
    kind: 'cancel',
    organizationId,
    apiKeyId: 'key_1',
    reason: null,
    leaseMs: 0,
    idempotency: null,
  } as const;
  await store.changeCall({ callId: 'not-gone', ...cancel });
  await store.changeCall({ callId: 'live', ...cancel, organizationId: 'org_other' });
  const settlement = { state: 'discarded', lastError: 'x' } as const;
  await store.settleDeletion({
    callId: 'not-gone',
    attempt: 1,
    settlement,
    wasRescued: false,
    keptBecause: null,
  });
  store.close();
  const ids = () => {
    const client = new SqliteDatabase(join(cwd, 'hangup.db'), { readonly: true });
    const found = client.prepare<[], string>('SELECT id FROM calls ORDER BY id').pluck().all();
    client.close();
    return found;
  };
  const run = (args: string, env: Record<string, string> = {}) =>
    runHangup(args.split(' '), { cwd, env: { DATABASE_URL: 'file:hangup.db', ...env } });
  return { ids, run };
}

test('prune deletes nothing with the default settings', async () => {
  const { ids, run } = await prepareCalls();
  const before = ids();
  expect(await run('prune')).toMatchObject({ code: 0, stdout: expect.stringContaining('0 ended calls') });
  expect(ids()).toEqual(before);
});

test('prune deletes calls that ended long ago, except those whose room may still exist', async () => {
  const { ids, run } = await prepareCalls();
  const env = { CALL_RETENTION_DAYS: '30', AUDIT_RETENTION_DAYS: '70' };
  const before = ids();
  const dry = await run('prune --dry-run --json', env);
  expect(JSON.parse(dry.stdout)).toEqual({ calls: 2, audit: 7, events: 0, deleted: false });
  expect(ids()).toEqual(before);
  expect(JSON.parse((await run('prune --json', env)).stdout)).toEqual({
    calls: 2,
    audit: 7,
    events: 0,
    deleted: true,
  });
  expect(ids()).toEqual(['ended-1', 'ended-29', 'live', 'not-gone']);
  expect(JSON.parse((await run('prune --dry-run --json', env)).stdout)).toMatchObject({ calls: 0, audit: 0 });
});

test('prune keeps a call for RECREATED_ROOM_WINDOW_MS when CALL_RETENTION_DAYS is shorter', async () => {
  const { ids, run } = await prepareCalls();
  const env = { CALL_RETENTION_DAYS: '1', RECREATED_ROOM_WINDOW_MS: String(10 * DAY_MS) };
  await run('prune', env);
  expect(ids()).toEqual(['ended-1', 'live', 'not-gone']);
});

test('the store prunes calls and audit entries in batches', async () => {
  const { store, organizationId } = await prepare();
  for (let i = 0; i < 450; i += 1) {
    const call = buildCall({ id: `c${i}`, organizationId, status: 'failed', createdAt: i, endedAt: i + 1 });
    await store.changeCall({ kind: 'register', call, apiKeyId: null });
  }
  expect(await store.pruneCalls({ before: 1_000, limit: 200 })).toBe(200);
  expect(await store.findCall('c0')).toBeNull();
  expect(await store.findCall('c200')).not.toBeNull();
  expect(await store.pruneCalls({ before: 1_000, limit: 200 })).toBe(200);
  expect(await store.pruneCalls({ before: 1_000, limit: 200 })).toBe(50);
  // Includes the entry of the key.
  expect(await store.pruneAudit({ before: 300, now: 1_000, limit: 200 })).toBe(200);
  expect(await store.pruneAudit({ before: 300, now: 1_000, limit: 200 })).toBe(101);
  expect(await store.pruneAudit({ before: 300, now: 1_000, limit: 200 })).toBe(0);
  store.close();
});

test('prune deletes old entries after newer ones in one run and prints their number', async () => {
  const { cwd, store } = await prepare();
  store.close();
  const client = new SqliteDatabase(join(cwd, 'hangup.db'));
  client.exec('DELETE FROM audit_log');
  const write = client.prepare(
    "INSERT INTO audit_log (at, organization_id, action, actor, subject_id) VALUES (?, 'org_1', 'call.created', 'livekit', 'c')",
  );
  // Entries from a clock that was ahead and was then set back.
  client.transaction(() => {
    for (let i = 0; i < 100; i += 1) write.run(Date.now() + 1_000 * DAY_MS);
  })();
  write.run(Date.now());
  client.transaction(() => {
    for (let i = 0; i < 1_000; i += 1) write.run(Date.now() - 60 * DAY_MS);
  })();
  const run = (args: string) =>
    runHangup(args.split(' '), { cwd, env: { DATABASE_URL: 'file:hangup.db', AUDIT_RETENTION_DAYS: '30' } });
  expect(JSON.parse((await run('prune --json')).stdout)).toMatchObject({ audit: 1_000, deleted: true });
  expect(client.prepare('SELECT count(*) FROM audit_log').pluck().get()).toBe(101);
  client.close();
});
