import { describe, expect, onTestFinished, test } from 'vitest';
import type { Finding } from '../../src/doctor/finding.ts';
import { API_KEY, API_SECRET, startEmulated } from '../harness/livekit.ts';
import { postgresDatabase } from '../harness/postgres.ts';
import { hasPostgres, query } from '../harness/postgres-server.ts';
import { runHangup, serveHangup } from '../harness/process.ts';
import { temporaryFolder } from '../harness/temporary.ts';

const PASSWORD = 'hunter2';

/** Returns a database with a password in its URL, and commands that use it. */
async function createDatabase({ isMigrated = true } = {}) {
  const url = await postgresDatabase({ isMigrated });
  const { host, pathname } = new URL(url);
  const cwd = temporaryFolder();
  const livekit = await startEmulated({});
  onTestFinished(() => livekit.stop());
  const env = {
    DATABASE_URL: url.replace('hangup@', `hangup:${PASSWORD}@`),
    LIVEKIT_URL: livekit.url,
    LIVEKIT_API_KEY: API_KEY,
    LIVEKIT_API_SECRET: API_SECRET,
  };
  const run = async (command: string, extra: Record<string, string> = {}) => {
    const result = await runHangup(command.split(' '), { cwd, env: { ...env, ...extra } });
    expect(result.stdout + result.stderr, command).not.toContain(PASSWORD);
    return result;
  };
  return { url, name: `postgres://${host}${pathname}`, cwd, env, run };
}

describe.skipIf(!hasPostgres())('with a Postgres database', () => {
  test('migrate creates the tables, and migrate --check reports missing migrations by name', async () => {
    const { url, name, run } = await createDatabase({ isMigrated: false });
    expect(await run('migrate --check')).toMatchObject({
      code: 3,
      stderr: `hangup: ${name} has no tables of hangup. Set DATABASE_URL, or create the tables with \`hangup migrate\`.\n`,
    });
    expect(await run('keys list')).toMatchObject({ code: 3 });
    expect(await run('migrate')).toEqual({ code: 0, stdout: `${name} is up to date\n`, stderr: '' });
    expect(await run('migrate --check')).toEqual({ code: 0, stdout: `${name} is up to date\n`, stderr: '' });
    await query(url, 'DROP TABLE fleet_members, pass_leases, rate_limits');
    await query(url, 'DROP INDEX calls_by_phone_end, room_deletions_incomplete_by_created');
    await query(url, 'DELETE FROM __drizzle_migrations WHERE id > 1');
    expect(await run('migrate --check')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Missing migrations: 0001_fleet'),
    });
    expect(await run('migrate')).toMatchObject({
      code: 0,
      stderr: expect.stringContaining(`migrating ${name}: 0001_fleet`),
    });
    await query(url, "UPDATE __drizzle_migrations SET hash = 'other' WHERE id = 2");
    expect(await run('keys list')).toMatchObject({ code: 3, stderr: expect.stringMatching(/newer/) });
  });

  test('keys, adoption, prune and deletions work', async () => {
    const { run } = await createDatabase();
    const created = await run('keys create --org acme --name ops --json');
    expect(created.code).toBe(0);
    const { id } = JSON.parse(created.stdout);
    expect((await run('keys list')).stdout).toContain(id);
    expect(await run(`keys revoke ${id}`)).toMatchObject({ code: 0, stdout: `revoked ${id} (ops)\n` });
    expect(await run('adoption add --org acme --prefix call-')).toMatchObject({ code: 0 });
    expect((await run('adoption list')).stdout).toMatch(/call-\s+acme/);
    expect(await run('adoption remove --prefix call-')).toMatchObject({ code: 0 });
    expect(JSON.parse((await run('prune --json')).stdout)).toMatchObject({ calls: 0, audit: 0 });
    expect((await run('deletions list')).stdout).toBe('no open or discarded room deletions\n');
    expect(await run('deletions retry unknown')).toMatchObject({ code: 1 });
  });

  test.each([
    ['backup copy.db', 'pg_dump'],
    ['restore copy.db', 'pg_restore'],
  ])('hangup %s fails with one sentence that names %s', async (command, tool) => {
    const { run } = await createDatabase();
    const [name] = command.split(' ');
    expect(await run(command)).toEqual({
      code: 1,
      stdout: '',
      stderr: `hangup: \`hangup ${name}\` works with SQLite files only: use ${tool} for the Postgres database in DATABASE_URL\n`,
    });
  });

  test('doctor reports the schema, the durability, the rooms, the deletions and the webhooks', async () => {
    const { name, run } = await createDatabase();
    const { code, stdout } = await run('doctor --json');
    const { findings }: { findings: Finding[] } = JSON.parse(stdout);
    expect({ code, levels: findings.map(({ check, level }) => `${check}: ${level}`) }).toEqual({
      code: 0,
      levels: [
        'settings: ok',
        'database: ok',
        'durability: ok',
        'livekit: ok',
        'credentials: ok',
        'clock: ok',
        'version: unknown',
        'rooms: ok',
        'deletions: ok',
        'webhooks: unknown',
      ],
    });
    expect(findings[1]?.message).toBe(`${name} has the schema of this version`);
    expect(findings[2]?.message).toMatch(/^Postgres \d+.*, synchronous_commit=on; no synchronous standby/);
  });

  test('doctor fails at once with the cause and one remedy when nothing listens, and does not print the password', async () => {
    const { run } = await createDatabase();
    const elsewhere = { DATABASE_URL: `postgres://hangup:${PASSWORD}@127.0.0.1:1/hangup` };
    const doctor = await run('doctor --json', elsewhere);
    expect(doctor.code).toBe(1);
    const { findings }: { findings: Finding[] } = JSON.parse(doctor.stdout);
    expect(findings[1]).toMatchObject({
      message:
        'cannot use postgres://127.0.0.1:1/hangup: the database cannot be reached: connect ECONNREFUSED 127.0.0.1:1',
      advice: 'check DATABASE_URL, and that Postgres runs and accepts connections of this user and machine',
    });
  });

  test('a wrong parameter of the URL is an invalid setting, or an invalid argument of copy', async () => {
    const { run } = await createDatabase({ isMigrated: false });
    const url = `postgres://hangup:${PASSWORD}@127.0.0.1:1/hangup?sslmode=maybe`;
    const problem = 'sslmode must be disable, require, verify-ca or verify-full';
    for (const command of ['serve', 'migrate --check']) {
      expect(await run(command, { DATABASE_URL: url })).toEqual({
        code: 2,
        stdout: '',
        stderr: expect.stringContaining(`DATABASE_URL: ${problem}`),
      });
    }
    const doctor = await run('doctor --json', { DATABASE_URL: url });
    expect(doctor).toMatchObject({ code: 1, stdout: expect.stringContaining(problem) });
    for (const [from, to] of [
      ['file:x.db', url],
      [url, 'file:x.db'],
    ]) {
      const option = from === url ? '--from' : '--to';
      expect(await run(`copy --from ${from} --to ${to}`)).toEqual({
        code: 2,
        stdout: '',
        stderr: `hangup: ${option} is invalid: ${problem}. Nothing was started.\n`,
      });
    }
  });

  test('the server logs the database without its password, is ready, and cancels a call', async () => {
    const { name, cwd, env, run } = await createDatabase();
    const { key } = JSON.parse((await run('keys create --org acme --name ops --json')).stdout);
    const hangup = await serveHangup({ cwd, env });
    const headers = { 'x-api-key': key, 'content-type': 'application/json' };
    const ready = await (await fetch(`${hangup.url}/readyz`)).json();
    expect(ready).toMatchObject({
      data: { status: 'ready', connections: { max: 10, open: expect.any(Number), waiting: 0 } },
    });
    const calls = `${hangup.url}/api/v1/calls`;
    expect((await fetch(calls, { method: 'POST', headers, body: '{"id":"c1"}' })).status).toBe(201);
    expect((await fetch(`${calls}/c1`, { method: 'DELETE', headers })).status).toBe(200);
    expect(await hangup.kill('SIGTERM')).toBe(0);
    expect(hangup.output()).toContain(`"database":"${name}"`);
    expect(hangup.output()).not.toContain(PASSWORD);
  });
});
