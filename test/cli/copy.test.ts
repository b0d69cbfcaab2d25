import { existsSync } from 'node:fs';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Finding } from '../../src/doctor/finding.ts';
import { openStream, type StreamedData } from '../harness/event-stream.ts';
import { API_KEY, API_SECRET, startEmulated } from '../harness/livekit.ts';
import { postgresDatabase } from '../harness/postgres.ts';
import { hasPostgres, query } from '../harness/postgres-server.ts';
import { runHangup, serveHangup, startCommand } from '../harness/process.ts';
import { temporaryFolder } from '../harness/temporary.ts';

const PASSWORD = 'hunter2';
const ENTRIES = 30_000;

/** Returns a SQLite file, an empty Postgres database and a LiveKit. */
async function createDatabases() {
  const cwd = temporaryFolder();
  const url = await postgresDatabase({ isMigrated: false });
  const livekit = await startEmulated({});
  onTestFinished(() => livekit.stop());
  const withPassword = url.replace('hangup@', `hangup:${PASSWORD}@`);
  const settings = {
    LIVEKIT_URL: livekit.url,
    LIVEKIT_API_KEY: API_KEY,
    LIVEKIT_API_SECRET: API_SECRET,
  };
  return {
    cwd,
    url,
    livekit,
    /** Starts a server on a database. */
    serve: (database: string) => serveHangup({ cwd, env: { ...settings, DATABASE_URL: database } }),
    there: ['copy', '--from', 'file:hangup.db', '--to', withPassword],
    back: ['copy', '--from', withPassword, '--to', 'file:back.db'],
    async run(args: readonly string[], env = {}) {
      const result = await runHangup(args, { cwd, env });
      expect(result.stdout + result.stderr).not.toContain(PASSWORD);
      return result;
    },
    withPassword,
  };
}

/** Starts a copy, and kills the process when its progress matches. */
async function killCopy(args: readonly string[], cwd: string, when: RegExp): Promise<void> {
  const { child, stderr, result } = startCommand(args, { cwd });
  await expect.poll(stderr).toMatch(when);
  child.kill('SIGKILL');
  expect(await result).toMatchObject({ code: null, stdout: '' });
}

function clientOf(url: string, key: string) {
  const headers = { 'x-api-key': key, 'content-type': 'application/json' };
  return async (method: string, path: string, body?: object) => {
    const request = { method, headers, ...(body && { body: JSON.stringify(body) }) };
    const response = await fetch(`${url}/api/v1${path}`, request);
    const { data } = (await response.json()) as { data: unknown };
    return { status: response.status, data };
  };
}

/** Reads the events after a position until the room of a call is deleted. */
async function readUntilDeleted(target: { url: string; key: string }, position: number, callId: string) {
  await using stream = await openStream(target, '', { lastEventId: String(position) });
  const isDeleted = (event: StreamedData) =>
    event.type === 'call.room_deletion' && event.callId === callId && event.state === 'completed';
  await expect.poll(() => stream.events().some(isDeleted)).toBe(true);
  const events = stream.events();
  // Without a gap and without a duplicate.
  expect(events.map(({ id }) => Number(id))).toEqual(events.map((_, index) => position + 1 + index));
  const cancelled = { type: 'call.status_changed', callId, to: 'cancelled' };
  expect(events).toContainEqual(expect.objectContaining(cancelled));
}

type Run = Awaited<ReturnType<typeof createDatabases>>['run'];

async function expectDoctorToReport(run: Run, database: string): Promise<void> {
  const { code, stdout } = await run(['doctor', '--json'], { DATABASE_URL: database });
  expect(code).toBe(1);
  const { findings }: { findings: Finding[] } = JSON.parse(stdout);
  expect(findings.filter(({ level }) => level === 'failure')).toEqual([
    {
      check: 'database',
      level: 'failure',
      message: expect.stringMatching(/^(postgres|\/).* is an incomplete copy of another database$/),
      advice: 'start the same `hangup copy` again, and wait until the copy is complete',
    },
  ]);
}

describe.skipIf(!hasPostgres())('hangup copy', () => {
  test('moves calls, deletions and the event stream to Postgres and back, also when it is killed', async () => {
    const { cwd, url, livekit, serve, there, back, run, withPassword } = await createDatabases();
    const first = await serve('file:hangup.db');
    const created = await run(['keys', 'create', '--org', 'acme', '--name', 'ops', '--json'], {
      DATABASE_URL: 'file:hangup.db',
    });
    const { key, organizationId } = JSON.parse(created.stdout);
    const before = clientOf(first.url, key);
    await livekit.join('live', 'caller');
    await livekit.join('later', 'caller');
    for (const id of ['live', 'later', 'cancelled']) {
      expect(await before('POST', '/calls', { id, roomName: id, direction: 'inbound' })).toMatchObject({
        status: 201,
      });
    }
    expect(await before('DELETE', '/calls/cancelled')).toMatchObject({ status: 200 });
    expect(await run(there)).toEqual({
      code: 3,
      stdout: '',
      stderr:
        'hangup: hangup.db is in use by a running hangup or another program. Stop hangup, then start the copy again.\n',
    });
    expect(await first.kill('SIGTERM')).toBe(0);
    const entries = new SqliteDatabase(join(cwd, 'hangup.db'));
    entries
      .prepare(
        `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${ENTRIES})
         INSERT INTO audit_log (at, organization_id, action, actor, subject_id, from_status, to_status)
         SELECT i, ?, 'call.status_changed', 'livekit', 'call' || i, 'ringing', 'active' FROM n`,
      )
      .run(organizationId);
    const last = Number(
      entries.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'audit_log'").pluck().get(),
    );
    entries.close();

    await killCopy(there, cwd, /copied 1000 of \d+ rows of audit_log/);
    const incomplete = /is an incomplete copy of another database. Start the same `hangup copy` again/;
    await expect(serve(withPassword)).rejects.toThrow(incomplete);
    await expectDoctorToReport(run, withPassword);
    const copied = await run(there);
    expect(copied.code, copied.stderr).toBe(0);
    expect(copied.stdout).toContain('verified the copy');
    expect(copied.stderr).not.toContain('copied 1000 of');
    expect(await query(url, 'SELECT count(*)::int AS rows, max(id)::int AS last FROM audit_log')).toEqual([
      { rows: last, last },
    ]);

    const second = await serve(withPassword);
    const after = clientOf(second.url, key);
    expect(await after('GET', '/calls/cancelled')).toMatchObject({
      status: 200,
      data: { status: 'cancelled', roomDeletion: { state: 'completed' } },
    });
    expect(await after('DELETE', '/calls/live')).toMatchObject({
      status: 200,
      data: { status: 'cancelled' },
    });
    await expect.poll(() => livekit.roomNames()).toEqual(['later']);
    // From a position before the copy to the deletion of the room.
    await readUntilDeleted({ url: second.url, key }, last - 10, 'live');
    expect(await run(back)).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('A running hangup serves postgres://'),
    });
    expect(existsSync(join(cwd, 'back.db'))).toBe(false);
    expect(await second.kill('SIGTERM')).toBe(0);

    await killCopy(back, cwd, /copied 1000 of \d+ rows of audit_log/);
    await expect(serve('file:back.db')).rejects.toThrow(incomplete);
    await expectDoctorToReport(run, 'file:back.db');
    expect(await run(back)).toMatchObject({ code: 0 });
    const third = await serve('file:back.db');
    const again = clientOf(third.url, key);
    expect(await again('GET', '/calls/live')).toMatchObject({ data: { status: 'cancelled' } });
    expect(await again('DELETE', '/calls/later')).toMatchObject({ status: 200 });
    await expect.poll(() => livekit.roomNames()).toEqual([]);
    await readUntilDeleted({ url: third.url, key }, last, 'later');
    expect(await third.kill('SIGTERM')).toBe(0);
  }, 240_000);

  test('arguments that name no copy exit with 2 and do not print the password', async () => {
    const { run, withPassword } = await createDatabases();
    const invalid = `postgres://hangup:${PASSWORD}@127.0.0.1:1`;
    for (const [from, to, problem] of [
      ['file:a.db', 'file:b.db', 'Use `hangup backup` to copy a SQLite file.'],
      [withPassword, withPassword, 'Use pg_dump to copy a Postgres database.'],
      ['file:a.db', invalid, '--to is invalid: expected postgres://USER:PASSWORD@HOST:5432/DATABASE'],
      [invalid, 'file:a.db', '--from is invalid: expected postgres://'],
    ] as const) {
      expect(await run(['copy', '--from', from, '--to', to]), problem).toMatchObject({
        code: 2,
        stdout: '',
        stderr: expect.stringContaining(problem),
      });
    }
    expect(await run(['copy', '--from', 'file:a.db'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("required option '--to <url>' not specified"),
    });
    expect(await run(['copy', '--from', 'file:missing.db', '--to', withPassword])).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('Database not found: missing.db'),
    });
  });
});
