import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Call } from '../../src/domain/call.ts';
import { type Hangup, startHangup, type TestSettings } from '../harness/hangup.ts';
import { API_KEY, API_SECRET, startEmulated } from '../harness/livekit.ts';
import { COMMAND, runHangup, serveHangup, startCommand } from '../harness/process.ts';
import { temporaryFolder } from '../harness/temporary.ts';

type Emulated = Awaited<ReturnType<typeof startEmulated>>;
/** hangup on an emulator, also when LIVEKIT_SERVER is set. */
type EmulatedHangup = Hangup & { readonly livekit: Emulated };

async function startOnEmulator(settings: TestSettings = {}): Promise<EmulatedHangup> {
  const livekit = await startEmulated({});
  const hangup = await startHangup({ livekit, settings });
  const stop = async () => {
    await hangup.stop();
    await livekit.stop();
  };
  return { ...hangup, livekit, stop };
}

let hangup: EmulatedHangup;
beforeAll(async () => {
  hangup = await startOnEmulator();
});
afterAll(() => hangup.stop());

const environment = (on: Pick<Hangup, 'url' | 'key'> = hangup) => ({
  HANGUP_URL: on.url,
  HANGUP_API_KEY: on.key,
});
const stop = (args: string, env: Record<string, string> = environment()) =>
  runHangup(['stop', ...args.split(' ')], { cwd: temporaryFolder(), env });
const start = (args: string, env: Record<string, string> = environment()) =>
  startCommand(['stop', ...args.split(' ')], { cwd: temporaryFolder(), env });

/** Inserts live calls of an agent of their own, because the tests share a database. */
async function insertCalls(
  agentId: string,
  calls: readonly Partial<Call>[],
  on: Hangup = hangup,
): Promise<string[]> {
  const ids = calls.map((_, i) => `${agentId}-${i}`);
  for (const [i, parts] of calls.entries()) {
    await on.insertCall({ id: ids[i] ?? '', agentId, status: 'active', ...parts });
  }
  return ids;
}

async function statusesOf(ids: readonly string[], on: Hangup = hangup): Promise<(string | undefined)[]> {
  const records = await Promise.all(ids.map((id) => on.store.findCall(id)));
  return records.map((record) => record?.call.status);
}

/** Returns the cancellations with a reason. */
async function cancellationsFor(reason: string, on: Hangup = hangup) {
  const { organizationId } = on;
  const all = await on.store.listCancellations({ organizationId, after: null, limit: 100 });
  return all.filter((cancellation) => cancellation.reason === reason);
}

/** Keeps the rooms of deletions until the returned function is called. */
function keepRooms({ livekit }: EmulatedHangup = hangup): () => void {
  livekit.emulator.setFault('DeleteRoom', { kind: 'status500' });
  const release = () => livekit.emulator.setFault('DeleteRoom', null);
  onTestFinished(release);
  return release;
}

const STOP_ID = /can_[0-9a-f]{32}/;
const idIn = (output: string) => STOP_ID.exec(output)?.[0] ?? '';

describe('hangup stop refuses', () => {
  test.each([
    ['no selector', '--reason test --yes', /error: no calls are selected; use --agent, .* or --all/],
    ['no reason', '--all --yes', /error: required option --reason is missing/],
    ['--all with a filter', '--all --agent a1 --reason test --yes', /--all cannot be combined with a filter/],
    ['no terminal and no --yes', '--all --reason test', /not a terminal, .*; use --yes/],
    ['--json without --yes', '--all --reason test --json', /--json requires --yes or --dry-run/],
    ['an ended status', '--status completed --reason test --yes', /'completed' is invalid/],
    ['a wrong date', '--from 2026-02-30 --reason test --yes', /expected an ISO 8601 date or time/],
    ['a wrong number', '--all --expect-at-most 1e3 --reason test --yes', /expected a whole number/],
    ['two agents', '--agent a --agent b --reason test --yes', /was given twice/],
    ['a call id', 'call_1 --reason test --yes', /too many arguments/],
    ['options before a subcommand', '--all lift can_1', /`hangup stop lift` takes its options after it/],
    ['a missing id', 'watch', /missing required argument 'id'/],
  ])('%s with exit code 2', async (_, args, message) => {
    // No server listens there: the arguments are checked before any request.
    const refused = await stop(args, { HANGUP_URL: 'http://127.0.0.1:9', HANGUP_API_KEY: hangup.key });
    expect(refused).toEqual({ code: 2, stdout: '', stderr: expect.stringMatching(message) });
  });

  test('a missing key with exit code 2, and a key without the scope with exit code 1', async () => {
    const args = '--all --reason no-scope --yes';
    expect(await stop(args, { HANGUP_URL: hangup.url })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('HANGUP_API_KEY: required'),
    });
    const key = await hangup.createKey('acme', ['calls:read', 'calls:write', 'calls:cancel']);
    expect(await stop(args, { ...environment(), HANGUP_API_KEY: key })).toEqual({
      code: 1,
      stdout: '',
      stderr: 'hangup: Access denied - API key lacks scope: calls:stop (HTTP 403).\n',
    });
    expect(await cancellationsFor('no-scope')).toEqual([]);
  });

  test('more calls than --expect-at-most, and changes nothing', async () => {
    const ids = await insertCalls('too-many', [{}, {}]);
    const args = '--agent too-many --reason too-many --expect-at-most 1';
    for (const mode of ['--yes', '--dry-run']) {
      expect(await stop(`${args} ${mode}`)).toMatchObject({
        code: 1,
        stderr: expect.stringContaining(
          'hangup: matches 2 calls, more than --expect-at-most 1. Nothing was started.\n',
        ),
      });
    }
    expect(await cancellationsFor('too-many')).toEqual([]);
    expect(await statusesOf(ids)).toEqual(['active', 'active']);
    expect(await stop('--agent too-many --reason enough --expect-at-most 2 --yes')).toMatchObject({
      code: 0,
    });
  });
});

describe('hangup stop', () => {
  test('--dry-run prints the selector and the calls, and cancels none', async () => {
    const ids = await insertCalls('dry', [
      { phoneNumber: '+15551234567', createdAt: 1_000 },
      ...Array.from({ length: 11 }, () => ({ status: 'ringing' as const, createdAt: 1_000 })),
    ]);
    const args = '--agent dry --status ringing active --from 1970-01-01 --reason dry --hold --dry-run';
    const { code, stdout, stderr } = await stop(args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const lines = stdout.split('\n');
    expect(lines.slice(0, 3)).toEqual([
      'selected: live calls with agent dry, status ringing or active, created from 1970-01-01',
      'hold:     yes; new calls that match get 409 until the hold is lifted',
      'matches:  12 calls (0 initiated, 0 connecting, 11 ringing, 1 active)',
    ]);
    expect(lines[4]).toMatch(/^CALL +STATUS +AGENT +PHONE +CREATED$/);
    expect(lines[5]).toMatch(/^dry-\d+ +ringing +dry +- +1970-01-01T00:00:01.000Z$/);
    expect(lines.slice(-2)).toEqual(['... and 2 more', '']);
    const single = await stop('--phone +15551234567 --agent dry --reason dry --dry-run');
    expect(single.stdout).toMatch(/^dry-0 +active +dry +\+15551234567 +1970-/m);

    const json = await stop(`${args} --json`);
    expect(JSON.parse(json.stdout)).toMatchObject({
      data: { dryRun: true, matched: { ringing: 11, active: 1, total: 12 } },
    });
    expect(await cancellationsFor('dry')).toEqual([]);
    expect(new Set(await statusesOf(ids))).toEqual(new Set(['active', 'ringing']));
  });

  test('--yes cancels exactly the matching calls, and exits with 0 when no room is left', async () => {
    const ids = await insertCalls('yes', [{ status: 'ringing' }, { status: 'ringing' }]);
    const others = await insertCalls('yes-other', [{ status: 'ringing' }]);
    const active = await insertCalls('yes-active', [{}]);
    const { code, stdout, stderr } = await stop('--agent yes --status ringing --reason yes --yes');
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^completed can_[0-9a-f]{32}: 2 calls cancelled; no room is left\n$/),
    });
    expect(stderr).toContain('matches:  2 calls (0 initiated, 0 connecting, 2 ringing, 0 active)');
    expect(stderr).toMatch(/^hangup: started can_\w+; Ctrl-C does not end the stop$/m);
    expect(stderr).toMatch(/completed: 2 cancelled; rooms: 2 gone, 0 pending, 0 discarded\n$/);
    expect(await statusesOf([...ids, ...others, ...active])).toEqual([
      'cancelled',
      'cancelled',
      'ringing',
      'active',
    ]);
    const [cancellation] = await cancellationsFor('yes');
    expect(cancellation).toMatchObject({ id: idIn(stdout), state: 'completed' });
  });

  test('--json prints each change as a line of JSON, and the completed stop last', async () => {
    await insertCalls('json', [{}]);
    const release = keepRooms();
    const running = start('--agent json --reason json --yes --json');
    await expect.poll(() => running.stdout()).toContain('"pending":1');
    release();
    const { code, stdout } = await running.result;
    expect(code).toBe(0);
    const changes = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(changes[0]).toMatchObject({ state: 'running', reason: 'json' });
    expect(changes.at(-1)).toMatchObject({
      id: idIn(stdout),
      state: 'completed',
      createdBy: expect.stringMatching(/^key_/),
      selector: { filter: { agentId: 'json' } },
      counts: { matched: 1, cancelled: 1, rooms: { deleted: 1, pending: 0, discarded: 0 } },
    });
  });

  test('starts nothing without a matching call, unless a hold is requested', async () => {
    expect(await stop('--agent none --reason none --yes')).toMatchObject({
      code: 0,
      stdout: 'no calls match; nothing to stop\n',
    });
    const json = await stop('--agent none --reason none --yes --json');
    expect(JSON.parse(json.stdout)).toMatchObject({ dryRun: true, matched: { total: 0 } });
    expect(await cancellationsFor('none')).toEqual([]);

    const held = await stop('--agent none --reason none --hold --yes');
    expect(held).toMatchObject({ code: 0, stdout: expect.stringMatching(/: 0 calls cancelled; no room/) });
    const id = idIn(held.stdout);
    expect(held.stderr).toContain(`\`hangup stop lift ${id}\` lifts the hold`);
    const register = () => hangup.send('POST', '/api/v1/calls', { body: { agentId: 'none' } });
    expect((await register()).status).toBe(409);

    expect((await stop('list')).stdout).toMatch(
      new RegExp(`^STOP +STATE +HOLD .*REASON\n${id} +completed +active +0 +0 +0 +0 +\\S+Z +none$`, 'm'),
    );
    expect(JSON.parse((await stop('list --limit 1 --json')).stdout)).toMatchObject({
      data: { cancellations: [{ id, hold: { state: 'active' } }] },
    });
    const lifted = { code: 0, stdout: `lifted the hold of ${id}; new calls can start again\n`, stderr: '' };
    expect(await stop(`lift ${id}`)).toEqual(lifted);
    expect(await stop(`lift ${id}`)).toEqual(lifted);
    expect((await register()).status).toBe(201);
    expect((await stop('list')).stdout).toContain(`${id}  completed  lifted`);
  });

  test('names another running stop, whose rooms may still exist', async () => {
    await insertCalls('twice', [{}]);
    const release = keepRooms();
    const first = start('--agent twice --reason first --yes');
    await expect.poll(() => first.stderr()).toContain('1 cancelled; rooms: 0 gone, 1 pending');
    const note = `the stop ${idIn(first.stderr())} is still running; its pending rooms: 1`;
    for (const options of ['', ' --hold']) {
      const second = await stop(`--agent twice --reason second --yes${options}`);
      expect(second).toMatchObject({ code: 1, stderr: expect.stringContaining(note) });
    }
    release();
    const { code, stderr } = await first.result;
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.not.stringContaining('still running') });
  });

  test('list prints a message without stops, and lift and watch refuse an unknown id', async () => {
    const key = await hangup.createKey('other');
    const env = { ...environment(), HANGUP_API_KEY: key };
    expect(await stop('list', env)).toEqual({ code: 0, stdout: 'no stops\n', stderr: '' });
    const foreign = await stop('--agent foreign --reason foreign --hold --yes');
    for (const id of ['can_unknown', idIn(foreign.stdout), '..', ''])
      for (const command of ['lift', 'watch'])
        expect(await stop(`${command} ${id}`, env), `${command} ${id}`).toMatchObject({
          code: 1,
          stdout: '',
          stderr: expect.stringMatching(/^hangup: Cancellation not found/),
        });
  });

  test('exits with 1 and names the remedy when rooms are discarded', async () => {
    const impatient = await startOnEmulator({
      retry: { initialDelayMs: 20, maxDelayMs: 200, maxAgeMs: 1_000 },
    });
    onTestFinished(() => impatient.stop());
    await insertCalls('discarded', [{}], impatient);
    keepRooms(impatient);
    const env = environment(impatient);
    const { code, stdout, stderr } = await stop('--agent discarded --reason discarded --yes', env);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    const message =
      /^hangup: (can_\w+) is completed, but rooms may still exist: 1 cancelled; rooms: 0 gone, 0 pending, 1 discarded\. On the server, `hangup deletions list` .* `hangup deletions retry CALL_ID` .*\n$/m;
    expect(stderr).toMatch(message);
    const watched = await stop(`watch ${idIn(stderr)} --json`, env);
    expect(watched).toMatchObject({ code: 1, stderr: expect.stringMatching(message) });
    expect(JSON.parse(watched.stdout)).toMatchObject({ counts: { rooms: { discarded: 1 } } });
  });
});

describe('Ctrl-C', () => {
  test('leaves the stop running, and hangup stop watch shows it to its end', async () => {
    const ids = await insertCalls('interrupted', [{}, {}]);
    const release = keepRooms();
    const running = start('--agent interrupted --reason interrupted --yes');
    await expect.poll(() => running.stderr()).toContain('2 cancelled; rooms: 0 gone, 2 pending');
    running.child.kill('SIGINT');
    const { code, stdout, stderr } = await running.result;
    expect({ code, stdout }).toEqual({ code: 130, stdout: '' });
    const id = idIn(stderr);
    expect(stderr).toMatch(
      new RegExp(`^hangup: interrupted; the stop ${id} goes on; .hangup stop watch ${id}. shows .*\n$`, 'm'),
    );
    expect(await hangup.store.findCancellation(id)).toMatchObject({ state: 'running' });
    expect(await statusesOf(ids)).toEqual(['cancelled', 'cancelled']);

    const watching = start(`watch ${id}`);
    await expect.poll(() => watching.stderr()).toContain(`${id} running: 2 cancelled`);
    release();
    expect(await watching.result).toMatchObject({
      code: 0,
      stdout: `completed ${id}: 2 calls cancelled; no room is left\n`,
    });
  });

  test('before the start reports that nothing was started', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    const running = start('--all --reason unreachable --yes', {
      HANGUP_URL: `http://127.0.0.1:${port}`,
      HANGUP_API_KEY: hangup.key,
    });
    await expect.poll(() => running.stderr()).toMatch(/cannot connect to .*Retrying\./);
    running.child.kill('SIGINT');
    expect(await running.result).toMatchObject({
      code: 130,
      stderr: expect.stringMatching(/hangup: interrupted; nothing was started\n$/),
    });
  });
});

describe('on a terminal', () => {
  /** Starts a command on a pseudo-terminal. `output` is what the terminal received. */
  function startOnTerminal(args: readonly string[]) {
    const words = [...COMMAND, 'stop', ...args].map((word) => `'${word}'`).join(' ');
    const terminal = spawn('script', ['-qefc', `exec ${words}`, '/dev/null'], {
      cwd: temporaryFolder(),
      env: { PATH: process.env.PATH, ...environment() },
    });
    onTestFinished(() => {
      terminal.kill('SIGKILL');
    });
    let output = '';
    terminal.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    const exited = once(terminal, 'close').then(() => terminal.exitCode);
    return { type: (text: string) => terminal.stdin.write(text), output: () => output, exited };
  }

  const PROMPT = 'To cancel 2 calls, type this number: ';

  test('the number of calls starts the stop, and a bar shows the progress', async () => {
    const ids = await insertCalls('receptionist', [{}, {}]);
    const release = keepRooms();
    const reason = 'agent gives wrong advice';
    const terminal = startOnTerminal(['--agent', 'receptionist', '--reason', reason, '--hold']);
    await expect.poll(terminal.output).toContain(PROMPT);
    expect(await statusesOf(ids)).toEqual(['active', 'active']);
    // A call that starts during the confirmation is cancelled too.
    await hangup.insertCall({ id: 'receptionist-late', agentId: 'receptionist', status: 'ringing' });
    terminal.type('2\n');
    await expect.poll(terminal.output).toMatch(/\r\[=+\] 3 cancelled; rooms: 0 gone, 3 pending, 0 discarded/);
    release();
    expect(await terminal.exited).toBe(0);
    expect(terminal.output()).toMatch(/\r\[#+\] 3 cancelled; rooms: 3 gone, 0 pending, 0 discarded/);
    expect(terminal.output()).toMatch(/completed can_\w+: 3 calls cancelled; no room is left\r\n$/);
    const [cancellation] = await cancellationsFor(reason);
    expect(cancellation).toMatchObject({ hold: { state: 'active' }, counts: { cancelled: 3 } });
  });

  test.each([
    ['another number', '3\n', 1, /hangup: the number of calls is 2\. Nothing was started\./],
    ['an empty line', '\n', 1, /Nothing was started\./],
    ['y', 'y\n', 1, /Nothing was started\./],
    ['the end of the input', '\x04', 1, /Nothing was started\./],
    ['Ctrl-C', '\x03', 130, /hangup: interrupted; nothing was started/],
  ])('%s starts no stop', async (name, typed, code, message) => {
    const agent = `refused-${name.replaceAll(' ', '-')}`;
    const ids = await insertCalls(agent, [{}, {}]);
    const terminal = startOnTerminal(['--agent', agent, '--reason', agent]);
    await expect.poll(terminal.output).toContain(PROMPT);
    terminal.type(typed);
    expect(await terminal.exited).toBe(code);
    expect(terminal.output()).toMatch(message);
    expect(await cancellationsFor(agent)).toEqual([]);
    expect(await statusesOf(ids)).toEqual(['active', 'active']);
  });
});

describe('when the connection fails', () => {
  type Respond = (request: IncomingMessage, response: ServerResponse, body: string) => Promise<void>;

  /** Starts a proxy. Returns its URL. */
  async function startProxy(respond: Respond): Promise<string> {
    const server = createServer((request, response) => {
      void text(request).then((body) => respond(request, response, body));
    }).listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  async function forward({ method = '', url = '', headers }: IncomingMessage, body: string) {
    const { 'x-api-key': key, 'content-type': type, 'idempotency-key': idempotencyKey } = headers;
    const response = await fetch(`${hangup.url}${url}`, {
      method,
      headers: {
        'x-api-key': String(key),
        ...(type !== undefined && { 'content-type': type }),
        ...(idempotencyKey !== undefined && { 'idempotency-key': String(idempotencyKey) }),
      },
      ...(body !== '' && { body }),
    });
    return { status: response.status, text: await response.text() };
  }

  test('the start is sent again under the same Idempotency-Key, and one stop exists', async () => {
    const ids = await insertCalls('lost', [{}]);
    const keys: (string | string[] | undefined)[] = [];
    const url = await startProxy(async (request, response, body) => {
      const isStart = request.method === 'POST' && !body.includes('"dryRun":true');
      if (isStart) keys.push(request.headers['idempotency-key']);
      const { status, text } = await forward(request, body);
      if (isStart && keys.length === 1) request.socket.destroy();
      else if (isStart && keys.length === 2) response.writeHead(502).end('<html>Bad Gateway</html>');
      else response.writeHead(status).end(text);
    });
    const args = '--agent lost --reason lost --yes';
    const { code, stdout, stderr } = await stop(args, { ...environment(), HANGUP_URL: url });
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining('1 call cancelled') });
    expect(stderr).toMatch(/incomplete response from .* Retrying; .*\n.*\(HTTP 502\).* Retrying; /);
    expect(keys).toHaveLength(3);
    expect(new Set(keys).size).toBe(1);
    expect(keys[0]).toMatch(/^[\w-]{22}$/);
    expect(await cancellationsFor('lost')).toMatchObject([{ id: idIn(stdout) }]);
    expect(await statusesOf(ids)).toEqual(['cancelled']);
  });

  test('a refused start after a lost response does not claim that nothing was started', async () => {
    await insertCalls('unclear', [{}]);
    let starts = 0;
    const url = await startProxy(async (request, response, body) => {
      const isStart = request.method === 'POST' && !body.includes('"dryRun":true');
      const { status, text } = await forward(request, body);
      if (!isStart) response.writeHead(status).end(text);
      else if (starts++ === 0) request.socket.destroy();
      else response.writeHead(401).end('{"error":{"message":"Unauthorized","code":401}}');
    });
    const args = '--agent unclear --reason unclear --yes';
    expect(await stop(args, { ...environment(), HANGUP_URL: url })).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(
        /hangup: Unauthorized \(HTTP 401\)\. .* Result: the stop may have been started\. Check with `hangup stop list`/,
      ),
    });
  });

  test('the progress waits for the time in retry-after', async () => {
    await insertCalls('patient', [{}]);
    const times: number[] = [];
    const url = await startProxy(async (request, response, body) => {
      if (request.method === 'GET' && request.url?.startsWith('/api/v1/cancellations/can_')) {
        times.push(performance.now());
        if (times.length === 1) {
          const failure = '{"error":{"message":"Service unavailable","code":503}}';
          return void response.writeHead(503, { 'retry-after': '2' }).end(failure);
        }
      }
      const { status, text } = await forward(request, body);
      response.writeHead(status).end(text);
    });
    const result = await stop('--agent patient --reason patient --yes', {
      ...environment(),
      HANGUP_URL: url,
    });
    expect(result).toMatchObject({ code: 0 });
    const [first = 0, second = 0] = times;
    // Without retry-after, the next request follows after 100 ms.
    expect(second - first).toBeGreaterThan(1_990);
  });

  test('a revoked key ends the progress with exit code 1, and the stop goes on', async () => {
    await insertCalls('revoked', [{}]);
    keepRooms();
    const key = await hangup.createKey('acme', ['calls:stop']);
    const running = start('--agent revoked --reason revoked --yes', {
      ...environment(),
      HANGUP_API_KEY: key,
    });
    await expect.poll(() => running.stderr()).toContain('1 pending');
    const [cancellation] = await cancellationsFor('revoked');
    await hangup.store.revokeApiKey({ id: cancellation?.createdBy ?? '', now: Date.now() });
    expect(await running.result).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/hangup: Unauthorized \(HTTP 401\)\. .* The stop can_\w+ goes on\.\n$/),
    });
    expect(await cancellationsFor('revoked')).toMatchObject([{ state: 'running' }]);
  });

  test('the progress continues after a kill -9 and a restart of the server', async () => {
    const cwd = temporaryFolder();
    const livekit = await startEmulated({});
    onTestFinished(() => livekit.stop());
    const env = {
      LIVEKIT_URL: livekit.url,
      LIVEKIT_API_KEY: API_KEY,
      LIVEKIT_API_SECRET: API_SECRET,
      // After the kill, the lease of an attempt in flight lasts for this timeout and 5 s.
      LIVEKIT_BACKGROUND_TIMEOUT_MS: '1000',
      RETRY_INITIAL_DELAY_MS: '20',
      RETRY_MAX_DELAY_MS: '200',
    };
    const { key } = JSON.parse(
      (await runHangup(['keys', 'create', '--org', 'acme', '--name', 'test', '--json'], { cwd })).stdout,
    );
    const first = await serveHangup({ env, cwd });
    const headers = { 'x-api-key': key, 'content-type': 'application/json' };
    const body = JSON.stringify({ agentId: 'restarted' });
    const registered = await fetch(`${first.url}/api/v1/calls`, { method: 'POST', headers, body });
    expect(registered.status).toBe(201);
    livekit.emulator.setFault('DeleteRoom', { kind: 'status500' });
    const running = start('--agent restarted --reason restarted --yes', {
      HANGUP_URL: first.url,
      HANGUP_API_KEY: key,
    });
    await expect.poll(() => running.stderr()).toContain('1 cancelled; rooms: 0 gone, 1 pending');
    await first.kill('SIGKILL');
    await expect
      .poll(() => running.stderr())
      .toMatch(
        /(?:cannot connect to|incomplete response from) .* Retrying\. The stop goes on when hangup runs; /,
      );
    await serveHangup({ env: { ...env, PORT: new URL(first.url).port }, cwd });
    livekit.emulator.setFault('DeleteRoom', null);
    const { code, stdout, stderr } = await running.result;
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: `completed ${idIn(stderr)}: 1 call cancelled; no room is left\n`,
    });
    expect(stderr).toContain('hangup: the server responds again\n');
  });
});
