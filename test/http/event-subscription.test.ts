import { get, type IncomingMessage } from 'node:http';
import {
  createTRPCClient,
  httpBatchLink,
  httpSubscriptionLink,
  splitLink,
  type TRPCClientError,
} from '@trpc/client';
import { EventSource } from 'eventsource';
import type { AppRouter } from 'hangup';
import { expect, onTestFinished, test, vi } from 'vitest';
import { appendEvents, type StreamedData } from '../harness/event-stream.ts';
import { startForwarder } from '../harness/forwarder.ts';
import { type Hangup, startHangup } from '../harness/hangup.ts';
import { manualTimers } from '../harness/manual-timers.ts';
import { readMetrics } from '../harness/metrics.ts';
import { temporaryFolder } from '../harness/temporary.ts';
import { WAIT } from '../harness/time.ts';

/** Returns a client with tRPC's standard links. Its EventSource sends the key, as that of a browser cannot. */
function createClient(url: string, key: string) {
  return createTRPCClient<AppRouter>({
    links: [
      splitLink({
        condition: ({ type }) => type === 'subscription',
        true: httpSubscriptionLink({
          url: `${url}/trpc`,
          EventSource,
          eventSourceOptions: {
            fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, 'x-api-key': key } }),
          },
        }),
        false: httpBatchLink({ url: `${url}/trpc`, headers: { 'x-api-key': key } }),
      }),
    ],
  });
}

type Client = ReturnType<typeof createClient>;
type Input = Parameters<Client['events']['stream']['subscribe']>[0];

/** Subscribes until the end of the test. */
function subscribe(client: Client, input: Input = {}) {
  const data: StreamedData[] = [];
  const states: string[] = [];
  const errors: TRPCClientError<AppRouter>[] = [];
  let isComplete = false;
  const subscription = client.events.stream.subscribe(input, {
    onData: (message) => {
      expect(message.id).toBe(message.data.id);
      data.push(message.data);
    },
    onConnectionStateChange: ({ state }) => states.push(state),
    onError: (error) => errors.push(error),
    onComplete: () => {
      isComplete = true;
    },
  });
  onTestFinished(() => subscription.unsubscribe());
  const events = () => data.filter(({ type }) => type !== 'opened');
  return { data, events, states, errors, subscription, isComplete: () => isComplete };
}

async function start(options: Parameters<typeof startHangup>[0] = {}) {
  const hangup = await startHangup(options);
  onTestFinished(() => hangup.stop());
  return { hangup, client: createClient(hangup.url, hangup.key) };
}

const streamCount = async ({ url }: Hangup) =>
  (await readMetrics(url)).samples.find(({ name }) => name === 'hangup_event_streams')?.value;

test('a subscription has the events of the stream over REST, while batches still work', async () => {
  const { hangup, client } = await start();
  const { data, events, states, errors, subscription } = subscribe(client, { agentId: 'a' });
  await expect.poll(() => data, WAIT).toMatchObject([{ type: 'opened', id: expect.any(String) }]);
  await Promise.all([
    client.calls.create.mutate({ id: 'c1', agentId: 'a' }),
    client.calls.create.mutate({ id: 'c2', agentId: 'b' }),
  ]);
  await client.calls.cancel.mutate({ callId: 'c1' });
  await expect.poll(events, WAIT).toMatchObject([
    { type: 'call.created', callId: 'c1', agentId: 'a' },
    { type: 'call.status_changed', callId: 'c1', to: 'cancelled' },
    { type: 'call.room_deletion', callId: 'c1', state: 'running' },
    { type: 'call.room_deletion', callId: 'c1', state: 'completed' },
  ]);
  expect(states).toContain('pending');
  expect(errors).toEqual([]);
  expect(await streamCount(hangup)).toBe(1);
  subscription.unsubscribe();
  await expect.poll(() => streamCount(hangup), WAIT).toBe(0);
});

test('a subscription starts after lastEventId, and gets a reset for an unknown position', async () => {
  const { client } = await start();
  const first = subscribe(client);
  await expect.poll(() => first.data.length, WAIT).toBe(1);
  for (const id of ['c1', 'c2']) await client.calls.create.mutate({ id });
  await expect.poll(() => first.events().length, WAIT).toBe(2);
  const after = subscribe(client, { lastEventId: first.events()[0]?.id });
  await expect.poll(after.events, WAIT).toMatchObject([{ callId: 'c2' }]);
  const unknown = subscribe(client, { lastEventId: '999999' });
  await expect.poll(unknown.events, WAIT).toMatchObject([{ type: 'reset' }]);
});

test('errors before the first event have the message and the code of REST', async () => {
  const { hangup } = await start();
  const errorOf = async (key: string, input: Input = {}) => {
    const { errors } = subscribe(createClient(hangup.url, key), input);
    await expect.poll(() => errors.length, WAIT).toBe(1);
    return { message: errors[0]?.message, httpStatus: errors[0]?.data?.httpStatus };
  };
  expect(await errorOf('none')).toEqual({ message: 'Unauthorized', httpStatus: 401 });
  const writer = await hangup.createKey('acme', ['calls:write']);
  expect(await errorOf(writer)).toMatchObject({ httpStatus: 403 });
  expect(await errorOf(hangup.key, { agentId: '' })).toMatchObject({ httpStatus: 400 });
});

test('a subscription ends with an error when the key is revoked', async () => {
  const timers = manualTimers();
  const { hangup, client } = await start({ timers });
  const { data, errors } = subscribe(client);
  await expect.poll(() => data.length, WAIT).toBe(1);
  const [key] = await hangup.store.listApiKeys();
  await hangup.store.revokeApiKey({ id: key?.id ?? '', now: 1 });
  timers.fire(15_000);
  await expect.poll(() => errors, WAIT).toMatchObject([{ message: 'Unauthorized' }]);
  await expect.poll(() => streamCount(hangup), WAIT).toBe(0);
});

test('a subscriber that does not read is disconnected', async () => {
  const timers = manualTimers();
  const { hangup } = await start({ timers });
  await appendEvents(hangup, 40_000);
  const input = encodeURIComponent('{"lastEventId":"0"}');
  const slow = await new Promise<IncomingMessage>((resolve) =>
    get(
      `${hangup.url}/trpc/events.stream?input=${input}`,
      { headers: { 'x-api-key': hangup.key } },
      resolve,
    ).once('error', () => {}),
  );
  slow.on('error', () => {});
  // The other timer samples the activity for the charts.
  await vi.waitUntil(() => timers.pending().filter((ms) => ms === 10_000).length === 2, WAIT);
  timers.fire(10_000);
  await expect.poll(() => streamCount(hangup), WAIT).toBe(0);
  slow.resume();
  await vi.waitUntil(() => slow.closed, WAIT);
  expect(slow.complete).toBe(false);
});

test('a client connects again after a restart, without a gap, also if it had no event before', async () => {
  const settings = { databaseFile: `${temporaryFolder()}/hangup.db` };
  const first = await startHangup({ settings });
  const proxy = await startForwarder(first.url);
  const client = createClient(proxy.url, first.key);
  const withEvent = subscribe(client);
  await expect.poll(() => withEvent.data.length, WAIT).toBe(1);
  await client.calls.create.mutate({ id: 'c1' });
  await expect.poll(() => withEvent.events().length, WAIT).toBe(1);
  const withoutEvent = subscribe(client);
  await expect.poll(() => withoutEvent.data.length, WAIT).toBe(1);
  await first.stop();
  const { hangup: second } = await start({ settings });
  expect((await second.send('POST', '/api/v1/calls', { body: { id: 'c2' }, key: first.key })).status).toBe(
    201,
  );
  proxy.forwardTo(second.url);
  await expect.poll(withEvent.events, WAIT).toMatchObject([{ callId: 'c1' }, { callId: 'c2' }]);
  await expect.poll(withoutEvent.events, WAIT).toMatchObject([{ callId: 'c2' }]);
  for (const { errors, isComplete } of [withEvent, withoutEvent]) {
    expect([errors, isComplete()]).toEqual([[], false]);
  }
});
