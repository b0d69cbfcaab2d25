import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { buildCall, insertApiKey } from '../harness/calls.ts';
import { manualClock } from '../harness/manual-clock.ts';
import { runHangup } from '../harness/process.ts';
import { temporaryFolder } from '../harness/temporary.ts';

const run = (args: string, cwd: string) =>
  runHangup(args.split(' '), { cwd, env: { DATABASE_URL: 'file:hangup.db' } });

/** Returns the directory of a database with a discarded, a running and a completed deletion. */
async function prepare(): Promise<string> {
  const cwd = temporaryFolder();
  const clock = manualClock(2_000);
  const store = openSqliteStore(join(cwd, 'hangup.db'), { clock });
  const key = await insertApiKey(store);
  for (const id of ['lost', 'waiting', 'gone']) {
    const { organizationId } = key;
    await store.changeCall({ kind: 'register', call: buildCall({ id, organizationId }), apiKeyId: key.id });
    await store.changeCall({
      kind: 'cancel',
      callId: id,
      organizationId,
      apiKeyId: key.id,
      reason: null,
      leaseMs: 7_000,
      idempotency: null,
    });
  }
  const attempt = { attempt: 1, wasRescued: false, keptBecause: null };
  clock.set(3_000);
  const lost = { state: 'discarded', lastError: 'timed_out: no response within 10000 ms' } as const;
  await store.settleDeletion({ ...attempt, callId: 'lost', settlement: lost });
  await store.settleDeletion({ ...attempt, callId: 'gone', settlement: { state: 'completed' } });
  store.close();
  return cwd;
}

test('deletions list prints incomplete deletions by state, as a table or as JSON', async () => {
  const cwd = await prepare();
  const { stdout } = await run('deletions list', cwd);
  expect(stdout).toMatch(
    /^CALL +STATE +ATTEMPTS +SINCE +LAST ERROR\nlost +discarded +1 .*timed_out.*\nwaiting +running /,
  );
  expect(stdout).not.toContain('gone ');
  const json = JSON.parse((await run('deletions list --state discarded --json', cwd)).stdout);
  expect(json).toEqual([
    {
      callId: 'lost',
      cancellationId: null,
      roomName: 'lost',
      state: 'discarded',
      attempt: 1,
      lastError: 'timed_out: no response within 10000 ms',
      createdAt: '1970-01-01T00:00:02.000Z',
      attemptedAt: '1970-01-01T00:00:02.000Z',
      finalizedAt: '1970-01-01T00:00:03.000Z',
      nextAttemptAt: null,
    },
  ]);
  expect(await run('deletions list --state completed', cwd)).toMatchObject({ code: 2 });
});

test('deletions retry accepts a discarded deletion and refuses a completed or unknown one', async () => {
  const cwd = await prepare();
  expect(await run('deletions retry lost', cwd)).toMatchObject({ code: 0 });
  expect(JSON.parse((await run('deletions list --state discarded --json', cwd)).stdout)).toEqual([]);
  expect(await run('deletions retry gone', cwd)).toMatchObject({
    code: 1,
    stderr: 'hangup: the room of gone is already deleted; there is nothing to retry\n',
  });
  expect(await run('deletions retry nobody', cwd)).toMatchObject({ code: 1 });
});

test('deletions list prints "no open or discarded room deletions" when the queue is empty', async () => {
  const cwd = temporaryFolder();
  await run('migrate', cwd);
  expect(await run('deletions list', cwd)).toMatchObject({
    code: 0,
    stdout: 'no open or discarded room deletions\n',
  });
});
