import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { startForwarder } from '../harness/forwarder.ts';
import { type Hangup, startHangup } from '../harness/hangup.ts';
import { runHangup, startCommand } from '../harness/process.ts';
import { temporaryFolder } from '../harness/temporary.ts';
import { WAIT } from '../harness/time.ts';

let hangup: Hangup;
beforeAll(async () => {
  hangup = await startHangup();
});
afterAll(() => hangup.stop());

type Server = Pick<Hangup, 'url' | 'key'>;
const environment = ({ url, key }: Server) => ({ HANGUP_URL: url, HANGUP_API_KEY: key });

/** Starts the command, and waits until it is connected. */
async function startWatch(args: readonly string[], on: Hangup, { url = on.url, key = on.key } = {}) {
  // The server may still count the stream of the test before.
  await expect.poll(() => countStreams(on), WAIT).toBe(0);
  const { child, stdout, stderr, result } = startCommand(['calls', 'watch', ...args], {
    cwd: temporaryFolder(),
    env: environment({ url, key }),
  });
  await expect.poll(() => countStreams(on), WAIT).toBe(1);
  const lines = () => stdout().split('\n').slice(0, -1);
  return { child, lines, stderr, exitCode: async () => (await result).code };
}

async function countStreams({ url }: Hangup): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  return Number(/^hangup_event_streams (\d+)$/m.exec(metrics)?.[1]);
}

const register = async (on: Hangup, id: string, { agentId = 'a', key = on.key } = {}) =>
  expect((await on.send('POST', '/api/v1/calls', { body: { id, agentId }, key })).status).toBe(201);

test('calls watch prints a line for each change, until Ctrl-C ends it with 0', async () => {
  const { child, lines, stderr, exitCode } = await startWatch(['--agent', 'lines'], hangup);
  await register(hangup, 'other');
  await register(hangup, 'c1', { agentId: 'lines' });
  await hangup.send('DELETE', '/api/v1/calls/c1?reason=wrong%20number');
  await expect.poll(() => lines().length, WAIT).toBe(4);
  expect(lines().map((line) => line.replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z {2}/, ''))).toEqual([
    'c1  created: initiated, agent lines',
    'c1  initiated -> cancelled (wrong number)',
    'c1  room deletion running, attempt 1',
    'c1  room deletion completed, attempt 1',
  ]);
  child.kill('SIGINT');
  expect([await exitCode(), stderr()]).toEqual([0, '']);
});

test('calls watch prints the progress of a stop, and the end of its hold', async () => {
  await register(hangup, 'stopped', { agentId: 'stopped' });
  const body = { filter: { agentId: 'stopped' }, reason: 'wrong advice', hold: true };
  const started = await hangup.send('POST', '/api/v1/cancellations', { body });
  const { id } = (started.body as { data: { id: string } }).data;
  const { lines, child, exitCode } = await startWatch(['--cancellation', id], hangup);
  expect(await hangup.send('DELETE', `/api/v1/cancellations/${id}/hold`)).toMatchObject({ status: 200 });
  // The stop may be completed after its hold is lifted.
  await expect.poll(lines, WAIT).toContainEqual(expect.stringMatching(`Z  ${id}  hold lifted by key_`));
  child.kill('SIGTERM');
  expect(await exitCode()).toBe(0);
});

test('calls watch and hangup stop have the same names for the numbers of a stop', async () => {
  const { child, lines, exitCode } = await startWatch([], hangup);
  await register(hangup, 'numbers', { agentId: 'numbers' });
  const body = { filter: { agentId: 'numbers' }, reason: 'wrong advice' };
  await hangup.send('POST', '/api/v1/cancellations', { body });
  await expect
    .poll(() => lines().at(-1), WAIT)
    .toMatch(/completed: 1 cancelled; rooms: 1 gone, 0 pending, 0 discarded$/);
  child.kill('SIGTERM');
  expect(await exitCode()).toBe(0);
});

test('calls watch --json prints the data of each event', async () => {
  const { child, lines, exitCode } = await startWatch(['--call', 'json', '--json'], hangup);
  await register(hangup, 'json');
  await expect.poll(() => lines().length, WAIT).toBe(1);
  expect(JSON.parse(lines()[0] ?? '')).toMatchObject({ type: 'call.created', callId: 'json', agentId: 'a' });
  child.kill('SIGINT');
  expect(await exitCode()).toBe(0);
});

test('calls watch ends when the reader of its pipe ends', async () => {
  const { child, exitCode } = await startWatch([], hangup);
  child.stdout?.destroy();
  await register(hangup, 'piped');
  expect(await exitCode()).toBe(0);
});

test('calls watch connects again after a restart of the server, and misses no change', async () => {
  const settings = { databaseFile: `${temporaryFolder()}/hangup.db` };
  const first = await startHangup({ settings });
  const forwarder = await startForwarder(first.url);
  const { child, lines, stderr, exitCode } = await startWatch(['--json'], first, { url: forwarder.url });
  await first.stop();
  await expect.poll(stderr, WAIT).toMatch(/^hangup: connection lost: .+\. Connecting again\.\n$/);
  const second = await startHangup({ settings });
  onTestFinished(() => second.stop());
  await register(second, 'missed', { key: first.key });
  forwarder.forwardTo(second.url);
  await expect.poll(() => lines().length, WAIT).toBe(1);
  await register(second, 'later', { key: first.key });
  await expect.poll(() => lines().length, WAIT).toBe(2);
  expect(lines().map((line) => JSON.parse(line).callId)).toEqual(['missed', 'later']);
  expect(stderr()).toMatch(/hangup: connected again\n$/);
  child.kill('SIGINT');
  expect(await exitCode()).toBe(0);
});

test('calls watch connects again after the time in retry-after', async () => {
  const times: number[] = [];
  const server = createServer((_, response) => {
    times.push(performance.now());
    if (times.length === 2) {
      const failure = '{"error":{"message":"Too many requests with this API key","code":429}}';
      response.writeHead(429, { 'retry-after': '3' }).end(failure);
    } else {
      const headers = { 'content-type': 'text/event-stream', 'last-event-id': '1' };
      response.writeHead(200, headers).end(': connected\n\n');
    }
  }).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { child, result } = startCommand(['calls', 'watch'], {
    cwd: temporaryFolder(),
    env: environment({ url, key: hangup.key }),
  });
  await expect.poll(() => times.length, WAIT).toBeGreaterThan(2);
  child.kill('SIGINT');
  expect((await result).code).toBe(0);
  const [, second = 0, third = 0] = times;
  // Without retry-after, the next connection follows after 2 s.
  expect(third - second).toBeGreaterThan(2_990);
});

test('calls watch ends with 1 and the reason when its key is revoked', async () => {
  const key = await hangup.createKey('acme', ['calls:read'], Date.now() + 3_600_000);
  const forwarder = await startForwarder(hangup.url);
  const { stderr, exitCode } = await startWatch([], hangup, { url: forwarder.url, key });
  const revoked = (await hangup.store.listApiKeys()).find(({ expiresAt }) => expiresAt !== null);
  await hangup.store.revokeApiKey({ id: revoked?.id ?? '', now: Date.now() });
  forwarder.cut();
  expect(await exitCode()).toBe(1);
  expect(stderr()).toMatch(/hangup: Unauthorized \(HTTP 401\)\. Set HANGUP_API_KEY to a valid key\.\n$/);
});

test.each([
  ['without a valid key', async () => ({ ...hangup, key: 'none' }), /Unauthorized \(HTTP 401\)/],
  [
    'without the scope',
    async () => ({ ...hangup, key: await hangup.createKey('acme', ['calls:write']) }),
    /calls:read.* \(HTTP 403\)/,
  ],
  ['on another server', startOtherServer, /is not a hangup server \(HTTP 404\)\. Check HANGUP_URL\./],
  ['without a server', async () => ({ ...hangup, url: 'http://127.0.0.1:1' }), /cannot connect to/],
])('calls watch %s ends with 1 and the reason', async (_, server, message) => {
  const env = environment(await server());
  const result = await runHangup(['calls', 'watch'], { cwd: temporaryFolder(), env });
  expect(result).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(message) });
});

async function startOtherServer(): Promise<Server> {
  const server = createServer((_, response) => response.writeHead(404).end('not found'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, key: hangup.key };
}
