import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { startForwarder } from '../harness/forwarder.ts';
import { type Hangup, startHangup } from '../harness/hangup.ts';
import { startMcp } from '../harness/mcp.ts';
import { runHangup, startCommand } from '../harness/process.ts';
import { temporaryFolder } from '../harness/temporary.ts';

let hangup: Hangup;
beforeAll(async () => {
  hangup = await startHangup();
});
afterAll(() => hangup.stop());

const environment = () => ({ HANGUP_URL: hangup.url, HANGUP_API_KEY: hangup.key });

/** Returns an address at which no server listens. */
const UNREACHABLE = 'http://127.0.0.1:1';

type Respond = (request: IncomingMessage, response: ServerResponse, body: string) => unknown;

/** Starts a server in front of hangup. Returns its URL. */
async function startProxy(respond: Respond): Promise<string> {
  const server = createServer((request, response) => {
    void text(request).then((body) => respond(request, response, body));
  }).listen(0, '127.0.0.1');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function forward({ method = '', url = '', headers }: IncomingMessage, body: string) {
  const names = ['x-api-key', 'content-type', 'idempotency-key'];
  const sent = names.flatMap((name) => (headers[name] === undefined ? [] : [[name, String(headers[name])]]));
  const response = await fetch(`${hangup.url}${url}`, {
    method,
    headers: Object.fromEntries(sent),
    ...(body !== '' && { body }),
  });
  return { status: response.status, text: await response.text() };
}

const pass: Respond = async (request, response, body) => {
  const answer = await forward(request, body);
  response.writeHead(answer.status).end(answer.text);
};

const isStart = ({ method }: IncomingMessage, body: string) =>
  method === 'POST' && !body.includes('"dryRun":true');

const INITIALIZE = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'raw', version: '1' } },
});
const PING = '{"jsonrpc":"2.0","id":2,"method":"ping"}';
const linesOf = (output: string) =>
  output
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));

describe('standard input', () => {
  test.each([
    ['the end of the input', ''],
    ['the end of the input after a message', `${INITIALIZE}\n`],
    ['the end of the input within a message', '{"jsonrpc":'],
  ])('%s ends the process with 0, and standard output has only the protocol', async (_, input) => {
    const { child, stdout, result } = startCommand(['mcp'], { cwd: temporaryFolder(), env: environment() });
    child.stdin?.write(input);
    if (input.endsWith('\n')) await expect.poll(stdout).toContain('"result"');
    child.stdin?.end();
    const { code, stdout: output, stderr } = await result;
    expect(code, stderr).toBe(0);
    expect(linesOf(output).map(({ id }) => id)).toEqual(input.endsWith('\n') ? [1] : []);
    expect(stderr).toMatch(
      /^hangup: serving MCP on standard input and output, for http:.*; tools: list_calls, .*\n$/,
    );
  });

  test('a line that is not a message is ignored, and the next message gets its response', async () => {
    const { child, stdout, result } = startCommand(['mcp'], { cwd: temporaryFolder(), env: environment() });
    const lines = ['{"jsonrpc":"2.0",', 'hello', '', '\u0000', '[]', '{"jsonrpc":"1.0","id":7}'];
    child.stdin?.write(`${INITIALIZE}\n${lines.join('\n')}\n${PING}\n`);
    await expect.poll(() => linesOf(stdout()).map(({ id }) => id)).toContain(2);
    child.stdin?.end();
    const { code, stdout: output, stderr } = await result;
    expect(code).toBe(0);
    expect(linesOf(output).map(({ id }) => id)).toEqual([1, 2]);
    // The SDK skips lines that are not JSON without an error.
    expect(stderr.match(/^hangup: MCP: /gm)).toHaveLength(2);
  });

  test('the end of the input ends a tool call that waits for the server', async () => {
    const url = await startProxy((request, response, body) =>
      request.url === '/api/v1/api-keys/current' ? pass(request, response, body) : null,
    );
    const env = { ...environment(), HANGUP_URL: url };
    const { child, stdout, result } = startCommand(['mcp'], { cwd: temporaryFolder(), env });
    const call = {
      jsonrpc: '2.0',
      id: 3,
      method: 'tools/call',
      params: { name: 'list_calls', arguments: {} },
    };
    child.stdin?.write(`${INITIALIZE}\n${JSON.stringify(call)}\n${PING}\n`);
    await expect.poll(() => linesOf(stdout()).map(({ id }) => id)).toContain(2);
    child.stdin?.end();
    expect((await result).code).toBe(0);
  });

  test('the process ends with 0 when the reader of its output ends', async () => {
    const { child, stderr, result } = startCommand(['mcp'], { cwd: temporaryFolder(), env: environment() });
    await expect.poll(stderr).toContain('serving MCP');
    child.stdout?.destroy();
    child.stdin?.write(`${INITIALIZE}\n${PING}\n`);
    expect((await result).code).toBe(0);
  });
});

describe('hangup mcp does not start', () => {
  test.each([
    ['without a key', { HANGUP_API_KEY: '' }, 2, /HANGUP_API_KEY: required/],
    [
      'with a wrong key',
      { HANGUP_API_KEY: 'hangup_live_wrong' },
      1,
      /^hangup: Unauthorized \(HTTP 401\)\. Set HANGUP_API_KEY/,
    ],
    ['with a wrong URL', { HANGUP_URL: 'ftp://x' }, 2, /HANGUP_URL: expected/],
  ])('%s', async (_, env, code, message) => {
    const result = await runHangup(['mcp'], { cwd: temporaryFolder(), env: { ...environment(), ...env } });
    expect(result).toEqual({ code, stdout: '', stderr: expect.stringMatching(message) });
  });

  test('on another server, and on an older hangup', async () => {
    const other = await startProxy((_, response) => response.writeHead(200).end('<html>'));
    const page = await startProxy((_, response) => response.writeHead(404).end('<html>'));
    const older = await startProxy((_, response) =>
      response
        .writeHead(404, { 'x-request-id': 'req_older' })
        .end('{"error":{"message":"Not found","code":404}}'),
    );
    for (const [url, message] of [
      [other, 'is not a hangup server (HTTP 200). Check HANGUP_URL.'],
      [page, `hangup: ${page} is not a hangup server (HTTP 404). Check HANGUP_URL.`],
      [older, 'the server is older than this `hangup mcp`: Not found (HTTP 404).'],
    ]) {
      const env = { ...environment(), HANGUP_URL: url ?? '' };
      expect(await runHangup(['mcp'], { cwd: temporaryFolder(), env })).toEqual({
        code: 1,
        stdout: '',
        stderr: expect.stringContaining(message ?? ''),
      });
    }
  });
});

describe('when the server is unreachable', () => {
  test.each([
    ['2025-11-25', {}],
    ['2026-07-28', { versionNegotiation: { mode: { pin: '2026-07-28' } } }],
  ] as const)('the tools that change calls follow when the server responds (MCP %s)', async (_, options) => {
    const forwarder = await startForwarder(UNREACHABLE);
    const changes: number[] = [];
    const mcp = await startMcp(
      { url: forwarder.url, key: hangup.key },
      { ...options, listChanged: { tools: { autoRefresh: false, onChanged: () => changes.push(1) } } },
    );
    expect(mcp.stderr()).toContain('only the tools that read calls are offered');
    expect(await mcp.toolNames()).toEqual(['get_call', 'list_call_events', 'list_calls']);
    forwarder.forwardTo(hangup.url);
    await expect.poll(() => mcp.toolNames()).toContain('stop_calls');
    await expect.poll(() => changes.length).toBeGreaterThan(0);
  });

  test('a wrong key is reported when the server responds, and the tools return the error', async () => {
    const forwarder = await startForwarder(UNREACHABLE);
    const mcp = await startMcp({ url: forwarder.url, key: 'hangup_live_wrong' });
    forwarder.forwardTo(hangup.url);
    await expect.poll(mcp.stderr).toContain('Unauthorized (HTTP 401)');
    expect(await mcp.toolNames()).toEqual(['get_call', 'list_call_events', 'list_calls']);
    expect(await mcp.fail('list_calls')).toMatchObject({
      status: 401,
      code: 'unauthorized',
      requestId: expect.stringMatching(/^req_/),
      advice: expect.stringContaining('HANGUP_API_KEY'),
    });
  });

  test('a tool call fails with advice, and works again after a restart of the server', async () => {
    const settings = { databaseFile: `${temporaryFolder()}/hangup.db` };
    const first = await startHangup({ settings });
    const forwarder = await startForwarder(first.url);
    await first.send('POST', '/api/v1/calls', { body: { id: 'survivor', agentId: 'survivors' } });
    const mcp = await startMcp({ url: forwarder.url, key: first.key });
    const args = { filter: { agentId: 'survivors' }, reason: 'restart' };
    const { confirmation } = await mcp.call('preview_stop', args);
    await first.stop();
    expect(await mcp.fail('stop_calls', { ...args, confirmation })).toEqual({
      message: expect.stringContaining(
        'The stop may have been started. Repeating the same tool call is safe.',
      ),
      status: null,
      code: 'network_error',
      requestId: null,
      advice: expect.stringContaining('Repeat the same tool call'),
    });
    const second = await startHangup({ settings });
    onTestFinished(() => second.stop());
    forwarder.forwardTo(second.url);
    const { id } = await mcp.call('stop_calls', { ...args, confirmation });
    expect(await mcp.call('get_stop', { id, waitSeconds: 20 })).toMatchObject({
      state: 'completed',
      counts: { cancelled: 1 },
    });
  });
});

describe('a failed response', () => {
  test('stop_calls starts one stop when the response is lost, and the tool call is repeated inside', async () => {
    await hangup.insertCall({ id: 'lost', agentId: 'lost', status: 'active' });
    const keys: unknown[] = [];
    const url = await startProxy(async (request, response, body) => {
      if (!isStart(request, body)) return pass(request, response, body);
      keys.push(request.headers['idempotency-key']);
      const answer = await forward(request, body);
      if (keys.length === 1) request.socket.destroy();
      else response.writeHead(answer.status).end(answer.text);
    });
    const mcp = await startMcp({ url, key: hangup.key });
    const args = { filter: { agentId: 'lost' }, reason: 'lost' };
    const { confirmation } = await mcp.call('preview_stop', args);
    const { id } = await mcp.call('stop_calls', { ...args, confirmation });
    expect(keys).toEqual([confirmation, confirmation]);
    const { organizationId } = hangup;
    const stops = await hangup.store.listCancellations({ organizationId, after: null, limit: 100 });
    expect(stops.filter(({ reason }) => reason === 'lost').map((stop) => stop.id)).toEqual([id]);
  });

  test.each([
    [502, '<html>Bad Gateway</html>', { status: 502, code: 'unavailable', requestId: null }],
    [500, '{"error":{"message":"Internal server error","code":500}}', { status: 500, code: 'server_error' }],
    [200, '<html>', { status: 200, code: 'unexpected_response', requestId: null }],
    [302, '', { status: 302, code: 'unexpected_response' }],
  ])('%i %j is a tool error with its status and advice', async (status, body, expected) => {
    const url = await startProxy((request, response, requested) =>
      request.url === '/api/v1/api-keys/current'
        ? pass(request, response, requested)
        : response.writeHead(status).end(body),
    );
    const mcp = await startMcp({ url, key: hangup.key });
    expect(await mcp.fail('list_calls')).toMatchObject({
      ...expected,
      message: expect.stringContaining(`(HTTP ${status})`),
      advice: expect.any(String),
    });
  });

  test('a short retry-after delays the next attempt, and a long one is returned', async () => {
    const times: number[] = [];
    let retryAfter = '1';
    const url = await startProxy((request, response, body) => {
      if (request.url === '/api/v1/api-keys/current') return pass(request, response, body);
      times.push(performance.now());
      if (times.length === 2) return pass(request, response, body);
      return response
        .writeHead(429, { 'retry-after': retryAfter })
        .end('{"error":{"message":"Too many requests","code":429}}');
    });
    const mcp = await startMcp({ url, key: hangup.key });
    expect(await mcp.call('list_calls', { agentId: 'none' })).toMatchObject({ calls: [] });
    const [first = 0, second = 0] = times;
    expect(second - first).toBeGreaterThanOrEqual(990);
    retryAfter = '60';
    expect(await mcp.fail('list_calls')).toMatchObject({ status: 429, retryAfterSeconds: 60 });
    expect(times).toHaveLength(3);
  });

  test('the rate limit of hangup is a tool error with the time of the next attempt', async () => {
    const limited = await startHangup({ settings: { rateLimits: { calls: 1, cancels: 10, anonymous: 10 } } });
    onTestFinished(() => limited.stop());
    const mcp = await startMcp(limited);
    await mcp.call('list_calls');
    expect(await mcp.fail('list_calls')).toEqual({
      message: expect.stringMatching(
        /^Too many requests with this API key: retry after \d+ s \(HTTP 429\)\.$/,
      ),
      status: 429,
      code: 'rate_limited',
      requestId: expect.stringMatching(/^req_/),
      retryAfterSeconds: expect.any(Number),
      advice: 'Wait for retryAfterSeconds, then repeat the same tool call.',
    });
    // An emergency stop is never refused, also in a process that starts after the budget of calls is used up.
    expect(await (await startMcp(limited)).toolNames()).toContain('stop_calls');
  });
});
