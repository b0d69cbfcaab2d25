import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { expect, onTestFinished, test } from 'vitest';
import { API_KEY, API_SECRET, startEmulated } from '../harness/livekit.ts';
import { COMMAND, runHangup, serveHangup } from '../harness/process.ts';
import { temporaryFolder } from '../harness/temporary.ts';

const run = (args: string, cwd = temporaryFolder(), env = {}) => runHangup(args.split(' '), { cwd, env });
const KEY = /^hangup_live_[A-Za-z0-9_-]{43}$/;

test('keys create --json prints one JSON object with id and key, and creates the database', async () => {
  const cwd = temporaryFolder();
  const { code, stdout, stderr } = await run('keys create --org acme --name test --json', cwd);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(JSON.parse(stdout)).toEqual({
    id: expect.stringMatching(/^key_[0-9a-f]{32}$/),
    key: expect.stringMatching(KEY),
    organization: 'acme',
    organizationId: expect.stringMatching(/^org_/),
    name: 'test',
    scopes: ['calls:read', 'calls:write', 'calls:cancel', 'calls:stop', 'admin'],
    createdAt: expect.any(String),
    expiresAt: null,
    revokedAt: null,
    lastUsedAt: null,
  });
  expect(existsSync(join(cwd, 'data/hangup.db'))).toBe(true);
  expect(readFileSync(join(cwd, 'data/hangup.db'), 'latin1')).not.toContain(JSON.parse(stdout).key);
});

test('keys create prints only the key to standard output, and advice to standard error', async () => {
  const { code, stdout, stderr } = await run('keys create --org acme --name test');
  expect(code).toBe(0);
  expect(stdout.trimEnd()).toMatch(KEY);
  expect(stderr).toMatch(
    /^hangup: store this key now, .* if the key is lost, run `hangup keys revoke key_[0-9a-f]{32}`\n$/,
  );
});

test.each([
  ['a directory', 'file:.', /it is not a file/],
  ['in an impossible directory', 'file:/dev/null/hangup.db', /^hangup: Cannot open the database/],
  ['below /proc', 'file:/proc/hangup/hangup.db', /^hangup: Cannot open the database .*ENOENT.*mkdir/],
])('commands print one line and exit with 3 when the database is %s', async (_, url, message) => {
  for (const command of ['serve', 'migrate', 'keys create --org a --name b']) {
    const { code, stderr } = await run(command, temporaryFolder(), { DATABASE_URL: url, PORT: '0' });
    expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringMatching(message) });
    expect(stderr.trimEnd()).not.toContain('\n');
  }
});

test('a command prints one line and exits with 1 when it cannot write its output', () => {
  const [command, ...before] = COMMAND;
  const full = openSync('/dev/full', 'w');
  const { status, stderr } = spawnSync(command, [...before, 'openapi'], {
    cwd: temporaryFolder(),
    stdio: ['ignore', full, 'pipe'],
    encoding: 'utf8',
  });
  closeSync(full);
  expect({ status, stderr }).toEqual({
    status: 1,
    stderr: expect.stringMatching(/^hangup: cannot write to standard output: .*ENOSPC.*\n$/),
  });
});

test.each([
  ['with --json', ['--json']],
  ['without --json', []],
])('keys create %s revokes the new key when it cannot write the key', async (_, options) => {
  const cwd = temporaryFolder();
  const [command, ...before] = COMMAND;
  const args = [...before, 'keys', 'create', '--org', 'acme', '--name', 'lost', ...options];
  const full = openSync('/dev/full', 'w');
  const onFullDisk = spawnSync(command, args, { cwd, stdio: ['ignore', full, 'pipe'], encoding: 'utf8' });
  closeSync(full);
  expect(onFullDisk).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(
      /^hangup: cannot write the key \(.*ENOSPC.*\); key_\w+ is revoked\. Create another key/m,
    ),
  });
  const reader = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  reader.stdout.destroy();
  expect((await once(reader, 'exit'))[0]).toBe(1);
  const keys = JSON.parse((await run('keys list --json', cwd)).stdout);
  expect(keys).toEqual([
    expect.objectContaining({ name: 'lost', revokedAt: expect.any(String) }),
    expect.objectContaining({ name: 'lost', revokedAt: expect.any(String) }),
  ]);
});

test('keys list and keys revoke never show the key itself', async () => {
  const cwd = temporaryFolder();
  const made = JSON.parse(
    (await run('keys create --org acme --name a --scope calls:read --expires 90d --json', cwd)).stdout,
  );
  expect(made.scopes).toEqual(['calls:read']);
  expect(Date.parse(made.expiresAt) - Date.now()).toBeGreaterThan(89 * 86_400_000);
  await run('keys create --org other --name b', cwd);
  const listed = (await run('keys list', cwd)).stdout;
  expect(listed).toMatch(/^key_\w+ {2}acme +a +calls:read +valid until /m);
  expect(listed).toMatch(
    /^key_\w+ {2}other +b +calls:read,calls:write,calls:cancel,calls:stop,admin +valid$/m,
  );
  expect(listed).not.toContain('hangup_live_');
  expect(JSON.parse((await run('keys list --org acme --json', cwd)).stdout)).toHaveLength(1);
  expect(await run(`keys revoke ${made.id}`, cwd)).toMatchObject({ code: 0 });
  expect((await run('keys list --org acme', cwd)).stdout).toMatch(/revoked/);
  expect(await run('keys revoke key_none', cwd)).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/key not found: key_none/),
  });
});

test.each([
  'keys list',
  'keys revoke key_1',
  'adoption list',
  'adoption remove --prefix call-',
  'deletions list',
  'deletions retry call_1',
  'prune',
  'prune --dry-run',
  'migrate --check',
])('hangup %s does not create a missing database', async (args) => {
  const cwd = temporaryFolder();
  expect(await run(args, cwd)).toMatchObject({
    code: 3,
    stdout: '',
    stderr: expect.stringMatching(
      /Database not found: \S+hangup\.db\. Set DATABASE_URL to the server's database/,
    ),
  });
  expect(readdirSync(cwd)).toEqual([]);
});

test('adoption adds, lists and removes prefixes', async () => {
  const cwd = temporaryFolder();
  await run('migrate', cwd);
  expect(await run('adoption list', cwd)).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/no prefixes/),
  });
  expect(await run('adoption add --org acme --prefix call-', cwd)).toMatchObject({ code: 0 });
  expect(await run('adoption add --org other --prefix call-', cwd)).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/the prefix call- already exists/),
  });
  expect(JSON.parse((await run('adoption list --json', cwd)).stdout)).toEqual([
    { prefix: 'call-', organization: 'acme' },
  ]);
  expect(await run('adoption remove --prefix call-', cwd)).toMatchObject({ code: 0 });
  expect(await run('adoption remove --prefix call-', cwd)).toMatchObject({ code: 1 });
});

test('hangup adopt works as the old name of hangup adoption and warns on standard error', async () => {
  const cwd = temporaryFolder();
  const warning =
    'hangup: warning: `hangup adopt` is the old name of `hangup adoption`; the next release removes the old name\n';
  await run('migrate', cwd);
  expect(await run('adopt add --org acme --prefix call-', cwd)).toMatchObject({
    code: 0,
    stderr: expect.stringContaining(warning),
  });
  expect(await run('adopt list --json', cwd)).toEqual({
    code: 0,
    stdout: '[{"prefix":"call-","organization":"acme"}]\n',
    stderr: warning,
  });
  expect((await run('adopt --help', cwd)).stdout).toMatch(/^Usage: hangup adoption/);
  // The help and the completion do not offer the old name.
  expect((await run('--help', cwd)).stdout).not.toMatch(/\badopt\b/);
  expect((await run('completion bash', cwd)).stdout).not.toMatch(/\badopt\b/);
});

test('adoption add refuses an unknown organization and changes nothing', async () => {
  const cwd = temporaryFolder();
  const names = async () =>
    JSON.parse((await run('adoption list --json', cwd)).stdout).map(
      (entry: { organization: string }) => entry.organization,
    );
  await run('keys create --org acme --name test', cwd);
  expect(await run('adoption add --org acmee --prefix call-', cwd)).toEqual({
    code: 1,
    stdout: '',
    stderr:
      'hangup: organization not found: acmee. Existing organizations: acme. Correct --org, or create the organization with --create-org.\n',
  });
  expect(await names()).toEqual([]);
  expect(await run('adoption add --org acme --prefix call-', cwd)).toMatchObject({ code: 0, stderr: '' });
  expect(await run('adoption add --org other --prefix other- --create-org', cwd)).toMatchObject({
    code: 0,
    stderr: expect.stringMatching(/^hangup: created the organization other; /),
  });
  expect(await names()).toEqual(['acme', 'other']);
});

test('adoption add creates the first organization and reports it', async () => {
  expect(await run('adoption add --org acme --prefix call-')).toMatchObject({
    code: 0,
    stderr: expect.stringMatching(/^hangup: created the organization acme; /),
  });
});

test.each([
  'adoption add --org acme',
  'keys create --org acme',
  'keys create --org acme --name test --scope calls:everything',
  'keys create --org acme --name test --expires yesterday',
  'keys create --org acme --name test --expires 2020-01-01',
  'keys create --org acme --name test --expires 2127-02-30',
  'keys create --org acme --name test --expires 2127-02-30T00:00:00Z',
  'keys create --org acme --name test --expires 2127-01-31T24:00:00Z',
  'keys create --org acme --name test --expires 2127-01-31T12:00:00',
  'keys create --org acme --name test --expires 2127-01-31+01:00',
  'keys create --org acme --name test --expires 90d --expires 1d',
  'keys create --org acme --org other --name test',
  'keys create acme --org acme --name test',
  'keys create --org acme --name test --Scope calls:read',
  'keys list acme',
  'keys revoke key_1 key_2',
  'deletions retry call_1 call_2',
  'prune --dry-run now',
  'version --json',
  'keys create --org acme --name test --loud',
  'keys frobnicate',
  'frobnicate',
  '--frobnicate',
  'serve --port 80',
  'migrate now',
])('hangup %s exits with 2 and prints the error', async (args) => {
  const cwd = temporaryFolder();
  const { code, stderr, stdout } = await run(args, cwd);
  expect(code).toBe(2);
  expect(stderr).toMatch(/error: /);
  expect(stdout).toBe('');
  expect(existsSync(join(cwd, 'data'))).toBe(false);
});

test('an argument that is not UTF-8 exits with 2 and changes nothing', () => {
  const cwd = temporaryFolder();
  const words = [...COMMAND, 'keys', 'create', '--name', 'test'].map((word) => `'${word}'`).join(' ');
  const { status, stderr } = spawnSync('bash', ['-c', `${words} --org $'\\xff'`], { cwd, encoding: 'utf8' });
  expect({ status, stderr }).toEqual({
    status: 2,
    stderr: 'hangup: an argument is not valid UTF-8. Nothing was started.\n',
  });
  expect(readdirSync(cwd)).toEqual([]);
});

test('every command has a help text, and hangup --help lists the exit codes', async () => {
  expect((await run('--help')).stdout).toMatch(/serve.*keys.*migrate.*openapi.*version.*Exit codes:\n {2}0/s);
  for (const command of [
    'serve',
    'keys',
    'keys create',
    'keys list',
    'keys revoke',
    'adoption',
    'adoption add',
    'adoption list',
    'adoption remove',
    'stop',
    'stop list',
    'stop watch',
    'stop lift',
    'doctor',
    'migrate',
    'openapi',
    'version',
  ]) {
    const { code, stdout } = await run(`${command} --help`);
    expect(code, command).toBe(0);
    expect(stdout).toMatch(new RegExp(`^Usage: hangup ${command}`));
  }
});

test('version, openapi and migrate print their results', async () => {
  const cwd = temporaryFolder();
  expect((await run('version', cwd)).stdout).toMatch(/^\d+\.\d+\.\d+( \([0-9a-f]{12}(-dirty)?\))?\n$/);
  expect(JSON.parse((await run('openapi', cwd)).stdout)).toMatchObject({ openapi: '3.1.1' });
  expect(existsSync(join(cwd, 'data'))).toBe(false);
  expect(await run('migrate', cwd)).toMatchObject({ code: 0, stdout: 'data/hangup.db is up to date\n' });
});

test('serve exits with 2 and lists all invalid settings', async () => {
  const env = { PORT: 'eighty', LIVEKIT_URL: 'ftp://example.com', LIVEKIT_API_SECRET: 'hunter2' };
  const { code, stderr } = await run('serve', temporaryFolder(), env);
  expect(code).toBe(2);
  expect(stderr).toMatch(/LIVEKIT_URL: .*\n {2}PORT: .*\n {2}LIVEKIT_API_KEY: /);
  expect(stderr).not.toMatch(/hunter2|eighty/);
});

test('serve refuses the emulator when NODE_ENV is production', async () => {
  expect(await run('serve', temporaryFolder(), { NODE_ENV: 'production' })).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/LIVEKIT_URL: required unless NODE_ENV is development/),
  });
});

test('the environment has priority over .env', async () => {
  const cwd = temporaryFolder();
  writeFileSync(join(cwd, '.env'), 'DATABASE_URL="file:from-dotenv.db"\n');
  await run('migrate', cwd);
  expect(existsSync(join(cwd, 'from-dotenv.db'))).toBe(true);
  await run('migrate', cwd, { DATABASE_URL: 'file:from-environment.db' });
  expect(existsSync(join(cwd, 'from-environment.db'))).toBe(true);
});

test('serve on a taken port exits with 4 and sends nothing to LiveKit', async () => {
  const requests: (string | undefined)[] = [];
  const server = createServer((request) => requests.push(request.url)).listen(0, '127.0.0.1');
  onTestFinished(() => {
    server.close();
  });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const { code, stderr } = await run('serve', temporaryFolder(), {
    PORT: String(port),
    LIVEKIT_URL: `http://127.0.0.1:${port}`,
    LIVEKIT_API_KEY: 'devkey',
    LIVEKIT_API_SECRET: 'secretsecretsecretsecretsecretsecret',
  });
  expect({ code, requests }).toEqual({ code: 4, requests: [] });
  expect(stderr).toMatch(
    /^hangup: listen EADDRINUSE.* Another program uses the port\. Stop that program, or set PORT\.\n$/,
  );
});

test('a closed output pipe ends a command silently and does not stop a server', async () => {
  const cwd = temporaryFolder();
  const piped = `${COMMAND.map((word) => `'${word}'`).join(' ')} openapi | head -c 9; exit "\${PIPESTATUS[0]}"`;
  const { status, stdout, stderr } = spawnSync('bash', ['-c', piped], { cwd, encoding: 'utf8' });
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '{\n  "open', stderr: '' });

  const hangup = await serveHangup({ env: {}, cwd });
  await waitForWelcome(hangup);
  hangup.child.stdout?.destroy();
  hangup.child.stderr?.destroy();
  for (let i = 0; i < 10; i += 1) expect((await fetch(`${hangup.url}/openapi.json`)).status).toBe(200);
  expect(await hangup.kill('SIGTERM')).toBe(0);
});

test('the first start creates an organization, a key and live calls, and its curl line cancels a call', async () => {
  const cwd = temporaryFolder();
  const hangup = await serveHangup({ env: {}, cwd });
  const shown = await waitForWelcome(hangup);
  expect(shown).toMatch(/built-in LiveKit emulator/);
  const [, url = '', key = ''] = /curl -X DELETE (\S+) -H 'x-api-key: (\S+)'/.exec(shown) ?? [];
  expect(key).toMatch(KEY);
  const answer = await fetch(url, { method: 'DELETE', headers: { 'x-api-key': key } });
  expect(await answer.json()).toMatchObject({ data: { status: 'cancelled' } });
  const call = await (await fetch(url, { headers: { 'x-api-key': key } })).json();
  expect(call).toMatchObject({ data: { roomDeletion: { state: 'completed', attempt: 1 } } });

  // The server accepts a key that another process creates at once, and refuses a revoked key at once.
  const made = JSON.parse((await run('keys create --org demo --name second --json', cwd)).stdout);
  const list = () => fetch(`${hangup.url}/api/v1/calls`, { headers: { 'x-api-key': made.key } });
  expect(await (await list()).json()).toMatchObject({ data: { pagination: { total: 3 } } });
  await run(`keys revoke ${made.id}`, cwd);
  expect((await list()).status).toBe(401);

  const signIn = async (server: string, link: string) => {
    const [page, apiKey] = link.split('#key=');
    expect(page).toBe(`${server}/console`);
    const response = await fetch(`${server}/console/session`, {
      method: 'POST',
      headers: { 'x-hangup-console': '1', 'content-type': 'application/json' },
      body: JSON.stringify({ apiKey }),
    });
    expect(response.status).toBe(200);
    const { data } = (await response.json()) as { data: { scopes: string[]; expiresAt: string | null } };
    expect(data.scopes).toContain('admin');
    return { expiresAt: data.expiresAt, cookie: response.headers.getSetCookie()[0]?.split(';')[0] ?? '' };
  };
  const linkIn = (text: string) => /^ {2}(\S+\/console#key=\S+)$/m.exec(text)?.[1] ?? '';
  const first = await signIn(hangup.url, linkIn(shown));
  expect(linkIn(shown)).toBe(`${hangup.url}/console#key=${key}`);
  expect(first.expiresAt).toBeNull();

  expect(await hangup.kill('SIGTERM')).toBe(0);
  const again = await serveHangup({ env: {}, cwd });
  const shownAgain = await waitForWelcome(again);
  expect(shownAgain).not.toContain(key);
  const second = await signIn(again.url, linkIn(shownAgain));
  const leftMs = Date.parse(second.expiresAt ?? '') - Date.now();
  expect(leftMs / 3_600_000).toBeGreaterThan(23.9);
  expect(leftMs / 3_600_000).toBeLessThanOrEqual(24);
  // The session of the first start outlasts the restart.
  for (const { cookie } of [first, second])
    expect((await fetch(`${again.url}/console/trpc/apiKeys.current`, { headers: { cookie } })).status).toBe(
      200,
    );
  expect(shownAgain).toMatch(
    process.env.HANGUP_BINARY
      ? /^ {2}hangup keys create --org demo/m
      : /^ {2}npx hangup keys create --org demo/m,
  );
  const live = await fetch(`${again.url}/api/v1/calls?status=active`, { headers: { 'x-api-key': key } });
  expect(await live.json()).toMatchObject({ data: { pagination: { total: 3 } } });
});

test('the emulator is refused on a database that has served a real LiveKit, and changes nothing', async () => {
  const cwd = temporaryFolder();
  const livekit = await startEmulated({});
  onTestFinished(() => livekit.stop());
  const real = { LIVEKIT_URL: livekit.url, LIVEKIT_API_KEY: API_KEY, LIVEKIT_API_SECRET: API_SECRET };
  // Operators try the emulator first.
  const first = await serveHangup({ env: {}, cwd });
  await waitForWelcome(first);
  await first.kill('SIGTERM');
  const hangup = await serveHangup({ env: real, cwd });
  const { key } = JSON.parse((await run('keys create --org acme --name test --json', cwd)).stdout);
  const headers = { 'x-api-key': key, 'content-type': 'application/json' };
  await fetch(`${hangup.url}/api/v1/calls`, {
    method: 'POST',
    headers,
    body: '{"id":"c1","status":"active"}',
  });
  await hangup.kill('SIGTERM');

  const before = readFileSync(join(cwd, 'data/hangup.db'));
  for (const NODE_ENV of ['', 'test']) {
    const refused = await run('serve', cwd, { PORT: '0', NODE_ENV });
    expect(refused).toEqual({
      code: 2,
      stdout: '',
      stderr: `hangup: Invalid settings:\n  LIVEKIT_URL: required, because data/hangup.db contains calls of ${livekit.url}, which the built-in emulator would end. To try hangup, set DATABASE_URL to another file\n`,
    });
  }
  expect(readFileSync(join(cwd, 'data/hangup.db')).equals(before)).toBe(true);
  const doctor = await run('doctor', cwd);
  expect(doctor).toMatchObject({ code: 1, stdout: expect.stringMatching(/LIVEKIT_URL is not set, and the/) });

  const again = await serveHangup({ env: real, cwd });
  expect(again.output()).not.toContain('different LIVEKIT_URL');
  await again.kill('SIGTERM');
  const another = await startEmulated({});
  onTestFinished(() => another.stop());
  const moved = await serveHangup({ env: { ...real, LIVEKIT_URL: another.url }, cwd });
  expect(moved.output()).toMatch(/"level":"warn".*this database was used with a different LIVEKIT_URL/);
  await moved.kill('SIGTERM');
  // The warning repeats at each change.
  const back = await serveHangup({ env: real, cwd });
  expect(back.output()).toMatch(/"level":"warn".*this database was used with a different LIVEKIT_URL/);
  await back.kill('SIGTERM');
});

test('an emulator exits when another process serves its database with a LiveKit; two LiveKits are an error', async () => {
  const cwd = temporaryFolder();
  const sandbox = await serveHangup({ env: {}, cwd });
  await waitForWelcome(sandbox);
  const livekits = [await startEmulated({}), await startEmulated({})];
  onTestFinished(async () => {
    for (const livekit of livekits) await livekit.stop();
  });
  const [env = {}, another = {}] = livekits.map(({ url }) => ({
    LIVEKIT_URL: url,
    LIVEKIT_API_KEY: API_KEY,
    LIVEKIT_API_SECRET: API_SECRET,
  }));
  const ended = once(sandbox.child, 'close');
  const hangup = await serveHangup({ env, cwd });
  expect((await ended)[0]).toBe(2);
  expect(sandbox.output()).toMatch(/LIVEKIT_URL: required, because data\/hangup\.db contains calls of http/);
  expect(hangup.output()).not.toContain('another hangup process');

  const second = await serveHangup({ env: another, cwd });
  const conflict = '"msg":"another hangup process';
  await expect.poll(() => hangup.output()).toContain(conflict);
  await second.kill('SIGTERM');
  expect(await hangup.kill('SIGTERM')).toBe(0);
  // Both continue, because neither can determine which LIVEKIT_URL is wrong.
  expect(second.output()).not.toContain(conflict);
});

test('a start succeeds without demo calls when a hold refuses them', async () => {
  const cwd = temporaryFolder();
  const first = await serveHangup({ env: {}, cwd });
  const key = /hangup_live_\S+/.exec(await waitForWelcome(first))?.[0] ?? '';
  const body = JSON.stringify({ filter: { agentId: 'receptionist' }, reason: 'wrong advice', hold: true });
  const headers = { 'x-api-key': key, 'content-type': 'application/json' };
  const path = `${first.url}/api/v1/cancellations`;
  expect((await fetch(path, { method: 'POST', headers, body })).status).toBe(202);
  const countLiveCalls = async () => {
    const response = await fetch(`${first.url}/api/v1/calls?status=active`, { headers });
    return ((await response.json()) as { data: { calls: unknown[] } }).data.calls.length;
  };
  await expect.poll(countLiveCalls).toBe(0);
  await first.kill('SIGTERM');
  const second = await serveHangup({ env: {}, cwd });
  expect(await waitForWelcome(second)).toContain('A hold refuses the demo calls.');
  expect(await second.kill('SIGTERM')).toBe(0);
});

test('the first start exits with 3 when it cannot create the demo calls', async () => {
  const cwd = temporaryFolder();
  await run('migrate', cwd);
  const client = new SqliteDatabase(join(cwd, 'data/hangup.db'));
  client.exec("CREATE TRIGGER no BEFORE INSERT ON calls BEGIN SELECT raise(ABORT, 'no more calls'); END");
  client.close();
  expect(await run('serve', cwd, { PORT: '0' })).toMatchObject({
    code: 3,
    stderr: expect.stringMatching(/^hangup: The database cannot be used: no more calls\. /),
  });
});

test('a start that fails to listen does not bind the database to its LiveKit', async () => {
  const cwd = temporaryFolder();
  const sandbox = await serveHangup({ env: {}, cwd });
  await waitForWelcome(sandbox);
  const env = { LIVEKIT_URL: 'http://127.0.0.1:1', LIVEKIT_API_KEY: API_KEY, LIVEKIT_API_SECRET: API_SECRET };
  const PORT = new URL(sandbox.url).port;
  expect(await run('serve', cwd, { ...env, PORT })).toMatchObject({ code: 4 });
  await sandbox.kill('SIGTERM');
  await waitForWelcome(await serveHangup({ env: {}, cwd }));
});

async function waitForWelcome(hangup: { output(): string }): Promise<string> {
  await expect.poll(() => hangup.output()).toContain('press Ctrl-C');
  return hangup.output();
}
