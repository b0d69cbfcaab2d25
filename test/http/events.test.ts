import { get as httpGet, type IncomingMessage } from 'node:http';
import { createParser } from 'eventsource-parser';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { openStore } from '../../src/store/open-store.ts';
import { buildCall } from '../harness/calls.ts';
import { appendEvents, openStream, readEvent, type StreamedData } from '../harness/event-stream.ts';
import { type Hangup, startHangup } from '../harness/hangup.ts';
import { manualTimers } from '../harness/manual-timers.ts';
import { readMetrics } from '../harness/metrics.ts';
import { temporaryFolder } from '../harness/temporary.ts';
import { WAIT } from '../harness/time.ts';

const HEARTBEAT_MS = 15_000;
const DRAIN_MS = 10_000;
/** A loaded machine needs half a minute to send 40,000 events. */
const MANY = { ...WAIT, timeout: 120_000 };

async function start(options: Parameters<typeof startHangup>[0] = {}): Promise<Hangup> {
  const hangup = await startHangup(options);
  onTestFinished(() => hangup.stop());
  return hangup;
}

const register = async (hangup: Hangup, body: { id: string; agentId?: string }, key = hangup.key) =>
  expect((await hangup.send('POST', '/api/v1/calls', { body, key })).status).toBe(201);
const cancel = async (hangup: Hangup, id: string) =>
  expect((await hangup.send('DELETE', `/api/v1/calls/${id}`)).status).toBe(200);

/** Returns the ids of the streamed audit events on record. */
async function recordedIds({ sql }: Hangup): Promise<string[]> {
  const rows = await sql(`
    SELECT CAST(id AS TEXT) AS id FROM audit_log WHERE action IN
    ('call.created', 'call.status_changed', 'call.room_deletion', 'cancellation.progress', 'hold.lifted') ORDER BY audit_log.id`);
  return rows.map((row) => (row as { id: string }).id);
}

const streamCount = async ({ url }: Hangup, name: string) =>
  (await readMetrics(url)).samples.find((sample) => sample.name === name)?.value;

const ofType = <Type extends StreamedData['type']>(events: readonly StreamedData[], type: Type) =>
  events.filter((event): event is Extract<StreamedData, { type: Type }> => event.type === type);

describe('an event stream contains', () => {
  test('the changes of a call and of its room deletion, in the order of their commits', async () => {
    const hangup = await start();
    await using stream = await openStream(hangup);
    await register(hangup, { id: 'c1', agentId: 'agent' });
    await cancel(hangup, 'c1');
    await expect.poll(() => stream.events().length, WAIT).toBe(4);
    const keyId = expect.stringMatching(/^key_/);
    const base = { id: expect.stringMatching(/^\d+$/), at: expect.stringMatching(/Z$/), callId: 'c1' };
    const deletion = { ...base, type: 'call.room_deletion', error: null, cancellationId: null };
    expect(stream.events()).toEqual([
      {
        ...base,
        type: 'call.created',
        status: 'initiated',
        agentId: 'agent',
        actor: 'api_key',
        actorId: keyId,
      },
      {
        ...base,
        type: 'call.status_changed',
        from: 'initiated',
        to: 'cancelled',
        reason: null,
        actor: 'api_key',
        actorId: keyId,
        cancellationId: null,
      },
      { ...deletion, state: 'running', attempt: 1 },
      { ...deletion, state: 'completed', attempt: 1 },
    ]);
    const events = await hangup.send('GET', '/api/v1/calls/c1/events');
    expect(events.body).toMatchObject({
      data: { events: [{ action: 'call.created' }, { action: 'call.status_changed' }] },
    });
  });

  test('failed and discarded attempts to delete a room, with their errors', async () => {
    // The reconciler claims a deletion whose lease or delay is much longer than its longest delay.
    const retry = { initialDelayMs: 20, maxDelayMs: 3_600_000, maxAgeMs: 86_400_000 };
    const hangup = await start({ settings: { retry } });
    await using stream = await openStream(hangup);
    await register(hangup, { id: 'c1' });
    const { store } = hangup;
    const { id: apiKeyId } = (await store.listApiKeys())[0] ?? { id: '' };
    const { organizationId } = hangup;
    await store.changeCall({
      kind: 'cancel',
      ...{ callId: 'c1', organizationId, apiKeyId, reason: null, leaseMs: 60_000 },
    });
    const settle = (attempt: number, settlement: Parameters<typeof store.settleDeletion>[0]['settlement']) =>
      store.settleDeletion({ callId: 'c1', attempt, settlement, wasRescued: false, keptBecause: null });
    await settle(1, { state: 'retryable', retryAfterMs: 30_000, lastError: 'unavailable: x' });
    const claimed = await store.claimDeletions({ leaseMs: 60_000, maxDelayMs: 0, limit: 1 });
    expect(claimed).toMatchObject([{ attempt: 2 }]);
    await settle(2, { state: 'discarded', lastError: 'gave up' });
    await expect
      .poll(() => ofType(stream.events(), 'call.room_deletion'), WAIT)
      .toMatchObject([
        { state: 'running', attempt: 1, error: null },
        { state: 'retryable', attempt: 1, error: 'unavailable: x' },
        { state: 'running', attempt: 2, error: null },
        { state: 'discarded', attempt: 2, error: 'gave up' },
      ]);
  });

  test('the progress of a cancellation and the end of its hold', async () => {
    const hangup = await start();
    await using stream = await openStream(hangup);
    for (const id of ['c1', 'c2']) await register(hangup, { id, agentId: 'agent' });
    const body = { filter: { agentId: 'agent' }, reason: 'wrong advice', hold: true };
    const started = await hangup.send('POST', '/api/v1/cancellations', { body });
    const { id } = (started.body as { data: { id: string } }).data;
    await using onlyThis = await openStream(hangup, `?cancellationId=${id}&lastEventId=0`);
    const progress = () => ofType(stream.events(), 'cancellation.progress');
    await expect.poll(() => progress().at(-1)?.state, WAIT).toBe('completed');
    await hangup.send('DELETE', `/api/v1/cancellations/${id}/hold`);
    await expect
      .poll(() => ofType(stream.events(), 'hold.lifted'), WAIT)
      .toEqual([
        {
          id: expect.any(String),
          at: expect.any(String),
          type: 'hold.lifted',
          cancellationId: id,
          by: expect.stringMatching(/^key_/),
        },
      ]);
    expect(progress()[0]).toMatchObject({ cancellationId: id, state: 'running' });
    expect(progress().at(-1)?.counts).toEqual({
      matched: 2,
      cancelled: 2,
      alreadyEnded: 0,
      notFound: 0,
      rooms: { deleted: 2, pending: 0, discarded: 0 },
    });
    expect(ofType(stream.events(), 'call.status_changed')).toMatchObject([
      { callId: 'c1', reason: 'wrong advice', cancellationId: id },
      { callId: 'c2', reason: 'wrong advice', cancellationId: id },
    ]);
    const caused = stream
      .events()
      .filter((event) => 'cancellationId' in event && event.cancellationId === id);
    expect(caused.length).toBeGreaterThanOrEqual(9);
    await expect.poll(() => onlyThis.events(), WAIT).toEqual(caused);
  });

  test('only the events of the filter', async () => {
    const hangup = await start();
    await using all = await openStream(hangup);
    await using ofAgent = await openStream(hangup, '?agentId=a');
    await using ofCall = await openStream(hangup, '?callId=c2');
    await using ofNone = await openStream(hangup, '?callId=c1&agentId=b');
    await register(hangup, { id: 'c1', agentId: 'a' });
    await register(hangup, { id: 'c2', agentId: 'b' });
    await cancel(hangup, 'c1');
    await cancel(hangup, 'c2');
    const idsOf = (events: readonly StreamedData[], callId: string) =>
      events.filter((event) => 'callId' in event && event.callId === callId).map(({ id }) => id);
    await expect.poll(() => all.events().length, WAIT).toBe(8);
    await expect.poll(() => ofAgent.events().length, WAIT).toBe(4);
    await expect.poll(() => ofCall.events().length, WAIT).toBe(4);
    expect(ofAgent.events().map(({ id }) => id)).toEqual(idsOf(all.events(), 'c1'));
    expect(ofCall.events().map(({ id }) => id)).toEqual(idsOf(all.events(), 'c2'));
    expect(ofNone.events()).toEqual([]);
  });

  test('no event of another organization, whatever the filter', async () => {
    const hangup = await start();
    const otherKey = await hangup.createKey('other');
    await register(hangup, { id: 'c1', agentId: 'a' });
    await cancel(hangup, 'c1');
    const other = { url: hangup.url, key: otherKey };
    await using all = await openStream(other, '?lastEventId=0');
    await using ofCall = await openStream(other, '?lastEventId=0&callId=c1');
    await using ofAgent = await openStream(other, '?lastEventId=0&agentId=a');
    await register(hangup, { id: 'c2', agentId: 'a' }, otherKey);
    for (const stream of [all, ofAgent]) {
      await expect.poll(() => stream.events(), WAIT).toMatchObject([{ type: 'call.created', callId: 'c2' }]);
    }
    expect(ofCall.events()).toEqual([]);
  });

  test('events that another process writes', async () => {
    const hangup = await start();
    await using stream = await openStream(hangup);
    const other = await openStore(hangup.database, { onMigrating: () => {} });
    onTestFinished(() => other.close());
    const { organizationId } = hangup;
    // A reconciliation ends an old call that has no room.
    const call = buildCall({ id: 'c1', organizationId, createdAt: Date.now() });
    await other.changeCall({ kind: 'register', call, apiKeyId: null });
    await expect.poll(() => stream.events(), WAIT).toMatchObject([{ type: 'call.created', callId: 'c1' }]);
  });
});

describe('a reader continues', () => {
  test('after the last event id in the header, which wins over the query', async () => {
    const hangup = await start();
    for (const id of ['c1', 'c2', 'c3']) await register(hangup, { id });
    const [first = '', second = ''] = await recordedIds(hangup);
    await using byQuery = await openStream(hangup, `?lastEventId=${first}`);
    await using byHeader = await openStream(hangup, `?lastEventId=${first}`, { lastEventId: second });
    await expect.poll(() => byQuery.events(), WAIT).toMatchObject([{ callId: 'c2' }, { callId: 'c3' }]);
    await expect.poll(() => byHeader.events(), WAIT).toMatchObject([{ callId: 'c3' }]);
  });

  test('with new events only when the reader has no position', async () => {
    const hangup = await start();
    await register(hangup, { id: 'old' });
    await using stream = await openStream(hangup);
    await using empty = await openStream(hangup, '?lastEventId=', { lastEventId: '' });
    await register(hangup, { id: 'new' });
    for (const { events } of [stream, empty]) {
      await expect.poll(events, WAIT).toMatchObject([{ callId: 'new' }]);
    }
  });

  test.each(['x', '-1', '1.5', '999999999', '99999999999999999999', '0x1', ' '])(
    'with a reset and new events after the unknown position %o',
    async (lastEventId) => {
      const hangup = await start();
      await register(hangup, { id: 'old' });
      const newest = (await recordedIds(hangup)).at(-1);
      await using stream = await openStream(hangup, `?lastEventId=${encodeURIComponent(lastEventId)}`);
      await expect.poll(() => stream.events(), WAIT).toMatchObject([{ type: 'reset' }]);
      await register(hangup, { id: 'new' });
      await expect
        .poll(() => stream.events(), WAIT)
        .toMatchObject([
          { type: 'reset', id: expect.any(String) },
          { type: 'call.created', callId: 'new' },
        ]);
      expect(Number(stream.events()[0]?.id)).toBeGreaterThanOrEqual(Number(newest));
    },
  );

  test('with a reset when pruning has deleted the next event', async () => {
    const hangup = await start();
    for (const id of ['c1', 'c2', 'c3']) await register(hangup, { id });
    const [first = '', second = ''] = await recordedIds(hangup);
    await hangup.sql(`DELETE FROM audit_log WHERE id <= ${second}`);
    await using pruned = await openStream(hangup, `?lastEventId=${first}`);
    await using current = await openStream(hangup, `?lastEventId=${second}`);
    await expect.poll(() => pruned.events(), WAIT).toMatchObject([{ type: 'reset' }]);
    await expect.poll(() => current.events(), WAIT).toMatchObject([{ callId: 'c3' }]);
  });

  test('after a restart of the process', async () => {
    const settings = { databaseFile: `${temporaryFolder()}/hangup.db` };
    const first = await startHangup({ settings });
    await register(first, { id: 'c1' });
    const before = await openStream(first, '?lastEventId=0');
    await expect.poll(() => before.events().length, WAIT).toBe(1);
    const lastEventId = before.events()[0]?.id ?? '';
    await register(first, { id: 'c2' });
    await first.stop();
    await before.ended;
    const second = await start({ settings });
    await using after = await openStream({ url: second.url, key: first.key }, '', { lastEventId });
    await register(second, { id: 'c3' }, first.key);
    await expect.poll(() => after.events(), WAIT).toMatchObject([{ callId: 'c2' }, { callId: 'c3' }]);
  });

  test('100 times through 10,000 changes, and has each change once and in order', async () => {
    const hangup = await start();
    const { store, organizationId } = hangup;
    await hangup.insertCall({ id: 'first' });
    const [first = ''] = await recordedIds(hangup);
    const write = async () => {
      for (let written = 0; written < 10_000; written += 100) {
        await Promise.all(
          Array.from({ length: 100 }, (_, i) => {
            const call = buildCall({ id: `call-${written + i}`, organizationId, createdAt: Date.now() });
            return store.changeCall({ kind: 'register', call, apiKeyId: null });
          }),
        );
      }
    };
    const isWritten = write();
    let seed = 1;
    const random = () => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed / 2_147_483_647;
    };
    const received: StreamedData[] = [];
    const readSome = (maxBytes: number) =>
      readUntil(hangup, { lastEventId: received.at(-1)?.id ?? first, maxBytes }, (event) => {
        received.push(event);
        return received.length === 10_000;
      });
    let midEvent = 0;
    for (let connection = 0; connection < 100; connection += 1) {
      if ((await readSome(Math.floor(random() * 30_000))).isMidEvent) midEvent += 1;
    }
    await isWritten;
    const recorded = (await recordedIds(hangup)).slice(1);
    expect(recorded).toHaveLength(10_000);
    while (received.length < recorded.length) await readSome(Number.POSITIVE_INFINITY);
    expect(received.map(({ id }) => id)).toEqual(recorded);
    expect(midEvent).toBeGreaterThan(50);
  });
});

/** Reads an event stream, and destroys the connection after a number of bytes, or when `onEvent` returns true. */
async function readUntil(
  { url, key }: Hangup,
  { lastEventId, maxBytes }: { lastEventId: string; maxBytes: number },
  onEvent: (event: StreamedData) => boolean,
): Promise<{ isMidEvent: boolean }> {
  const response = await new Promise<IncomingMessage>((resolve, reject) =>
    httpGet(
      `${url}/api/v1/events`,
      { headers: { 'x-api-key': key, 'last-event-id': lastEventId } },
      resolve,
    ).once('error', reject),
  );
  let isComplete = false;
  let text = '';
  const parser = createParser({
    onEvent: (message) => {
      isComplete ||= onEvent(readEvent(message));
    },
  });
  for await (const chunk of response) {
    const part: string = chunk.toString().slice(0, maxBytes - text.length);
    text += part;
    parser.feed(part);
    if (isComplete || text.length >= maxBytes) break;
  }
  response.destroy();
  return { isMidEvent: !text.endsWith('\n\n') };
}

describe('the response of GET /api/v1/events', () => {
  test('has its headers and a comment before the first event', async () => {
    const hangup = await start();
    await using stream = await openStream(hangup);
    expect(stream.response.status).toBe(200);
    expect(Object.fromEntries(stream.response.headers)).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
      'x-request-id': expect.stringMatching(/^req_/),
    });
    await expect.poll(() => stream.text(), WAIT).toMatch(/^: hangup\nid: \d+\n\n$/);
  });

  test('is an error as of every other endpoint', async () => {
    const hangup = await start();
    const path = '/api/v1/events';
    const writer = await hangup.createKey('acme', ['calls:write']);
    expect(await hangup.send('GET', path, { key: null })).toMatchObject({
      status: 401,
      body: { error: { message: 'Unauthorized', code: 401 } },
    });
    expect(await hangup.send('GET', `${path}?page=1`, { key: writer })).toMatchObject({ status: 403 });
    expect(await hangup.send('GET', `${path}?page=1`)).toMatchObject({
      status: 400,
      body: { error: { message: 'Unrecognized key: "page"' } },
    });
    expect(await hangup.send('GET', `${path}?agentId=a&agentId=b`)).toMatchObject({ status: 400 });
    const refused = await hangup.send('POST', path, { body: {} });
    expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });

  test('ends at once for HEAD', async () => {
    const hangup = await start();
    const answer = await hangup.send('HEAD', '/api/v1/events');
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/event-stream']);
    expect(await streamCount(hangup, 'hangup_event_streams')).toBe(0);
  });

  test('has a comment and the position every 15 s, also when no event matches the filter', async () => {
    const timers = manualTimers();
    const hangup = await start({ timers });
    await using stream = await openStream(hangup, '?agentId=none');
    await register(hangup, { id: 'c1' });
    const newest = (await recordedIds(hangup)).at(-1);
    await expect
      .poll(() => {
        timers.fire(HEARTBEAT_MS);
        return stream.text();
      }, WAIT)
      .toContain(`: heartbeat\nid: ${newest}\n\n`);
    expect(stream.events()).toEqual([]);
  });

  test('ends when the key is revoked', async () => {
    const timers = manualTimers();
    const hangup = await start({ timers });
    await using stream = await openStream(hangup);
    const [key] = await hangup.store.listApiKeys();
    await hangup.store.revokeApiKey({ id: key?.id ?? '', now: 1 });
    timers.fire(HEARTBEAT_MS);
    await stream.ended;
    expect((await hangup.send('GET', '/api/v1/events')).status).toBe(401);
    expect(hangup.log.filter(({ level }) => level !== 'info')).toEqual([]);
  });

  test('is logged once, at its end', async () => {
    const hangup = await start();
    const lines = () => hangup.log.filter(({ fields }) => fields.path === '/api/v1/events');
    const stream = await openStream(hangup);
    expect(await streamCount(hangup, 'hangup_event_streams')).toBe(1);
    expect(lines()).toEqual([]);
    await stream[Symbol.asyncDispose]();
    await expect.poll(lines, WAIT).toMatchObject([{ fields: { status: 200, disconnected: true } }]);
    await expect.poll(() => streamCount(hangup, 'hangup_event_streams'), WAIT).toBe(0);
  });
});

test('30 readers get each event, and the process prints no warning', async () => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error) => warnings.push(warning);
  process.on('warning', onWarning);
  onTestFinished(() => void process.off('warning', onWarning));
  const hangup = await start();
  await using resources = new AsyncDisposableStack();
  const streams = await Promise.all(Array.from({ length: 30 }, () => openStream(hangup)));
  for (const stream of streams) resources.use(stream);
  await register(hangup, { id: 'c1' });
  for (const stream of streams) await expect.poll(() => stream.events().length, WAIT).toBe(1);
  expect(warnings).toEqual([]);
});

test('a reader that does not read is disconnected, and another reader has every event', async () => {
  const timers = manualTimers();
  const hangup = await start({ timers });
  await appendEvents(hangup, 40_000);
  const slow = await new Promise<IncomingMessage>((resolve) =>
    httpGet(
      `${hangup.url}/api/v1/events?lastEventId=0`,
      { headers: { 'x-api-key': hangup.key } },
      resolve,
    ).once('error', () => {}),
  );
  slow.on('error', () => {});
  // The kernel takes some megabytes before the server has to wait.
  // The other timer samples the activity for the charts.
  await vi.waitUntil(() => timers.pending().filter((ms) => ms === DRAIN_MS).length === 2, WAIT);
  await using healthy = await openStream(hangup, '?lastEventId=0');
  await expect.poll(() => healthy.events().length, MANY).toBe(40_000);
  expect(healthy.events().map(({ id }) => id)).toEqual(await recordedIds(hangup));
  expect(timers.fire(DRAIN_MS)).toBe(2);
  await expect.poll(() => streamCount(hangup, 'hangup_event_readers_dropped_total'), WAIT).toBe(1);
  await expect.poll(() => streamCount(hangup, 'hangup_event_streams'), WAIT).toBe(1);
  slow.resume();
  await vi.waitUntil(() => slow.closed, WAIT);
  expect(slow.complete).toBe(false);
});

test('a shutdown ends each stream at once with a hint to connect again, also of a reader that does not read', async () => {
  const timers = manualTimers();
  const hangup = await startHangup({ timers });
  const streams = await Promise.all([openStream(hangup), openStream(hangup, '?agentId=a')]);
  await appendEvents(hangup, 40_000);
  const slow = await new Promise<IncomingMessage>((resolve) =>
    httpGet(
      `${hangup.url}/api/v1/events?lastEventId=0`,
      { headers: { 'x-api-key': hangup.key } },
      resolve,
    ).once('error', () => {}),
  );
  slow.on('error', () => {});
  await expect.poll(() => streams[0].events().length, MANY).toBe(40_000);
  await vi.waitUntil(() => timers.pending().filter((ms) => ms === DRAIN_MS).length === 2, WAIT);
  const stopped = hangup.stop();
  for (const stream of streams) {
    await stream.ended;
    expect(stream.text()).toMatch(/\n\nretry: 1000\n\n$/);
  }
  await vi.waitUntil(() => timers.fire(1_000) > 0, WAIT);
  await stopped;
});
