import { expect, onTestFinished, test } from 'vitest';
import {
  type Hangup as Client,
  createHangup,
  type Disconnection,
  type HangupEvent,
  type HangupOptions,
  type SubscribeOptions,
  type Subscription,
} from '../../clients/typescript/src/index.ts';
import { type Fault, html, json, startFaultServer } from '../harness/fault-server.ts';
import { startForwarder } from '../harness/forwarder.ts';
import { startHangup } from '../harness/hangup.ts';
import { prepareCalls } from '../harness/live-calls.ts';
import { readMetrics } from '../harness/metrics.ts';
import { WAIT } from '../harness/time.ts';

/** Returns a client without a delay of its own: the server's `retry` is the delay between two connections. */
function connect(url: string, apiKey = 'key', options: Partial<HangupOptions> = {}): Client {
  return createHangup({ url, apiKey, retryDelayMs: () => 0, ...options });
}

/** Reads a subscription until the end of the test. */
function follow(
  client: Client,
  filter: Parameters<Client['events']['subscribe']>[0] = {},
  options: SubscribeOptions = {},
) {
  const events: HangupEvent[] = [];
  const positions: (string | null)[] = [];
  const lost: Disconnection[] = [];
  const subscription = client.events.subscribe(filter, {
    ...options,
    onOpen: ({ lastEventId }) => positions.push(lastEventId),
    onDisconnect: (disconnection) => lost.push(disconnection),
  });
  onTestFinished(() => subscription.close());
  const read = async () => {
    for await (const event of subscription) events.push(event);
  };
  const ended = read();
  // A test that expects an error awaits it.
  ended.catch(() => {});
  return { events, positions, lost, subscription, ended, isOpen: () => positions.length > 0 };
}

async function start(options: Parameters<typeof startHangup>[0] = {}) {
  const server = await startHangup(options);
  onTestFinished(() => server.stop());
  return { server, client: connect(server.url, server.key) };
}

const streamCount = async ({ url }: { url: string }) =>
  (await readMetrics(url)).samples.find(({ name }) => name === 'hangup_event_streams')?.value;

test('a subscription has the changes of its filter, in order, and leaving the loop closes the connection', async () => {
  const { server, client } = await start();
  const subscription = client.events.subscribe({ agentId: 'a' });
  const first = subscription.next();
  await expect.poll(() => streamCount(server), WAIT).toBe(1);
  await client.calls.create({ id: 'other', agentId: 'b' });
  await client.calls.create({ id: 'c1', agentId: 'a' });
  await client.calls.cancel('c1', { reason: 'caller request' });
  const events = [await first];
  expect(events[0]).toMatchObject({
    done: false,
    value: { type: 'call.created', callId: 'c1', agentId: 'a' },
  });
  const types: string[] = [];
  for await (const event of subscription) {
    expect(event.id).toBe(subscription.lastEventId);
    types.push(event.type === 'call.room_deletion' ? event.state : event.type);
    if (types.at(-1) === 'completed') break;
  }
  expect(types).toEqual(['call.status_changed', 'running', 'completed']);
  await expect.poll(() => streamCount(server), WAIT).toBe(0);
  expect(await subscription.next()).toEqual({ done: true, value: undefined });
});

test('a subscription starts after lastEventId, and gets a reset for an unknown position', async () => {
  const { client } = await start();
  for (const id of ['c1', 'c2', 'c3']) await client.calls.create({ id });
  const all = follow(client, {}, { lastEventId: '0' });
  await expect.poll(() => all.events.length, WAIT).toBe(3);
  const later = follow(client, {}, { lastEventId: all.events[1]?.id });
  await expect.poll(() => later.events, WAIT).toMatchObject([{ callId: 'c3' }]);
  const unknown = follow(client, {}, { lastEventId: '999999' });
  await expect.poll(() => unknown.events, WAIT).toMatchObject([{ type: 'reset' }]);
  expect(unknown.subscription.lastEventId).toBe(all.events[2]?.id);
});

test('close ends the loop, also while the loop waits for an event', async () => {
  const { server, client } = await start();
  const { subscription, ended, isOpen, events } = follow(client);
  await expect.poll(isOpen, WAIT).toBe(true);
  subscription.close();
  await ended;
  expect(events).toEqual([]);
  await expect.poll(() => streamCount(server), WAIT).toBe(0);
  const second = client.events.subscribe();
  const pending = second.next();
  await expect.poll(() => streamCount(server), WAIT).toBe(1);
  await second.return?.();
  expect(await pending).toEqual({ done: true, value: undefined });
  await expect.poll(() => streamCount(server), WAIT).toBe(0);
});

test('a refusal of hangup ends the subscription with an error', async () => {
  const { server } = await start();
  await expect(connect(server.url, 'wrong').events.subscribe().next()).rejects.toMatchObject({
    status: 401,
    code: 'unauthorized',
  });
  const writer = await server.createKey('acme', ['calls:write']);
  await expect(connect(server.url, writer).events.subscribe().next()).rejects.toMatchObject({ status: 403 });
  await expect(
    connect(server.url, server.key).events.subscribe({ agentId: '' }).next(),
  ).rejects.toMatchObject({
    status: 400,
    message: expect.stringContaining('agentId'),
  });
});

test('each event arrives once and in order, while the server is killed and the connections are cut', async () => {
  const { key, serve } = await prepareCalls(0);
  const first = await serve();
  const proxy = await startForwarder(first.url);
  const persistent = { timeoutMs: 60_000, maxAttempts: Number.POSITIVE_INFINITY, retryDelayMs: () => 20 };
  const client = connect(proxy.url, key, persistent);
  const { events, ended, isOpen, positions: connections, subscription } = follow(client);
  await expect.poll(isOpen, WAIT).toBe(true);
  const ids: string[] = [];
  /** Registers calls in the background, through each fault. */
  const register = async (count: number) => {
    for (let i = 0; i < count; i += 1) {
      const id = `call-${ids.length}`;
      ids.push(id);
      await client.calls.create({ id });
    }
  };
  /** Runs a fault while calls are registered, until the subscription is connected again. */
  const fault = async (run: () => Promise<void> | void) => {
    const before = connections.length;
    await register(5);
    const during = register(15);
    await run();
    await during;
    await expect.poll(() => connections.length, WAIT).toBeGreaterThan(before);
  };
  let server = first;
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    await fault(() => proxy.cut());
    await fault(async () => {
      await server.kill(signal);
      server = await serve();
      proxy.forwardTo(server.url);
    });
  }
  await register(1);
  const createdIds = () => events.flatMap((event) => (event.type === 'call.created' ? [event.callId] : []));
  await expect.poll(() => createdIds().at(-1), WAIT).toBe(ids.at(-1));
  expect(createdIds()).toEqual(ids);
  const positions = events.map(({ id }) => Number(id));
  expect(positions).toEqual([...new Set(positions)].toSorted((a, b) => a - b));
  expect(events.filter(({ type }) => type === 'reset')).toEqual([]);
  subscription.close();
  await ended;
});

const HEAD = { 'content-type': 'text/event-stream' };
const event = (id: number) => `id: ${id}\nevent: hold.lifted\ndata: {"id":"${id}","type":"hold.lifted"}\n\n`;

/** Sends text, and then ends, breaks or keeps the connection. */
const stream =
  (text: string, end: 'end' | 'break' | 'keep' = 'end', headers: Record<string, string> = {}): Fault =>
  (response) => {
    response.writeHead(200, { ...HEAD, ...headers });
    response.write(text === '' ? '\n' : text, () => {
      if (end === 'end') response.end();
      if (end === 'break') response.destroy();
    });
  };

test('a subscription resumes after the last complete event', async () => {
  const server = await startFaultServer(
    stream(`retry: 1\n\n${event(1)}${event(2)}id: 3\ndata: {"id":`, 'break'),
    stream(`${event(3)}: heartbeat\nid: 7\n\n`),
    stream(event(8), 'keep'),
  );
  const { events, lost } = follow(connect(server.url));
  await expect.poll(() => events.map(({ id }) => id), WAIT).toEqual(['1', '2', '3', '8']);
  expect(server.requests.map(({ headers }) => headers['last-event-id'])).toEqual([undefined, '2', '7']);
  expect(lost).toMatchObject([{ error: { code: 'network_error' } }, { error: null }]);
});

test('a subscription without an event resumes at the position of its first response', async () => {
  const server = await startFaultServer(
    stream('retry: 1\n\n', 'break', { 'last-event-id': '41' }),
    stream('', 'keep'),
  );
  const { positions, subscription } = follow(connect(server.url));
  await expect.poll(() => positions, WAIT).toEqual(['41', '41']);
  expect(server.requests[1]?.headers['last-event-id']).toBe('41');
  expect(subscription.lastEventId).toBe('41');
});

test('a silent connection is replaced', async () => {
  const server = await startFaultServer(stream(`retry: 1\n\n${event(1)}`, 'keep'), stream(event(2), 'keep'));
  const { events, lost } = follow(connect(server.url), {}, { silenceTimeoutMs: 1_000 });
  await expect.poll(() => events.map(({ id }) => id).slice(0, 2), WAIT).toEqual(['1', '2']);
  expect(lost[0]).toMatchObject({ error: { code: 'timeout' }, retryInMs: 1 });
  expect(server.requests[1]?.headers['last-event-id']).toBe('1');
});

test('a subscription continues after proxy errors, a limit and a web page, and ends after a refusal or garbage', async () => {
  const limited = json(429, { error: { message: 'No', code: 429 } }, { 'retry-after': '1' });
  const failed = json(500, { error: { message: 'Internal server error', code: 500 } });
  const server = await startFaultServer(
    stream('retry: 1\n\n'),
    html(502),
    failed,
    limited,
    stream(event(1)),
    html(200),
    json(401, { error: { message: 'Unauthorized', code: 401 } }),
  );
  const { events, lost, ended } = follow(connect(server.url));
  await expect(ended).rejects.toMatchObject({ code: 'unauthorized' });
  expect(events.map(({ id }) => id)).toEqual(['1']);
  expect(lost.map(({ error, retryInMs }) => [error?.status, retryInMs])).toEqual([
    [undefined, 1],
    [502, 1],
    [500, 1],
    [429, 1_000],
    [undefined, 1],
    [200, 1],
  ]);
  const other = await startFaultServer(html(200));
  await expect(follow(connect(other.url)).ended).rejects.toMatchObject({
    code: 'unexpected_response',
    status: 200,
  });
  const garbage = await startFaultServer(stream('data: hello\n\n'));
  await expect(follow(connect(garbage.url)).ended).rejects.toMatchObject({ code: 'unexpected_response' });
  const endless = await startFaultServer(stream('x'.repeat(2_000_000)));
  await expect(follow(connect(endless.url)).ended).rejects.toMatchObject({ code: 'unexpected_response' });
});

test('an abort rejects the next event with its reason, also of events that were received', async () => {
  const server = await startFaultServer(stream(`${event(1)}${event(2)}`, 'keep'));
  const controller = new AbortController();
  const reason = new Error('my reason');
  const subscription: Subscription = connect(server.url).events.subscribe({}, { signal: controller.signal });
  expect(await subscription.next()).toMatchObject({ value: { id: '1' } });
  controller.abort(reason);
  await expect(subscription.next()).rejects.toBe(reason);
  expect(await subscription.next()).toEqual({ done: true, value: undefined });
});
