import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { sleep } from '../../clients/typescript/src/deadline.ts';
import { createHangup, HangupError, type HangupOptions } from '../../clients/typescript/src/index.ts';

/* Timeouts, delays and aborts under a fake clock. test/clients/retries.test.ts has real connections. */

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

type Send = (url: string, init: RequestInit) => Promise<Response>;

/** Returns a client whose requests reach the function. */
function connect(send: Send, options: Partial<HangupOptions> = {}) {
  const sent = vi.fn(send);
  const hangup = createHangup({ url: 'http://hangup', apiKey: 'key', fetch: sent, ...options });
  return { hangup, sent };
}

/** Never settles, and ignores its signal. */
const never: Send = () => new Promise(() => {});
const respond = (status: number, body: unknown) => async () => new Response(JSON.stringify(body), { status });
const busy = respond(503, { error: { message: 'Service unavailable', code: 503 } });
const call = respond(200, { data: { id: 'x' } });

/** Settles a promise without an unhandled rejection. */
function settled(promise: Promise<unknown>) {
  const result = { error: undefined as unknown, isSettled: false };
  promise.then(
    () => {
      result.isSettled = true;
    },
    (error: unknown) => Object.assign(result, { error, isSettled: true }),
  );
  return result;
}

test('the delays double up to 8 s, with full jitter', async () => {
  const random = vi.spyOn(Math, 'random').mockReturnValue(1);
  const delays: number[] = [];
  const { hangup } = connect(busy, { timeoutMs: 600_000, onRetry: ({ delayMs }) => delays.push(delayMs) });
  const result = settled(hangup.calls.get('x'));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(delays).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 8_000]);
  expect(result.error).toMatchObject({ status: 503 });
  random.mockReturnValue(0.5);
  delays.length = 0;
  settled(hangup.calls.get('x', { maxAttempts: 3 }));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(delays).toEqual([125, 250]);
  random.mockRestore();
  expect(vi.getTimerCount()).toBe(0);
});

test('a silent server gets attempts of 10 s, within 30 s', async () => {
  const { hangup, sent } = connect(never, { retryDelayMs: () => 0 });
  const result = settled(hangup.calls.get('x'));
  await vi.advanceTimersByTimeAsync(29_999);
  expect(sent).toHaveBeenCalledTimes(3);
  expect(result.isSettled).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect(result.error).toMatchObject({
    code: 'timeout',
    message: expect.stringContaining('within 10000 ms'),
  });
  expect(vi.getTimerCount()).toBe(0);
});

test('the total timeout ends an attempt and a delay', async () => {
  const silent = connect(never);
  const result = settled(silent.hangup.calls.get('x', { timeoutMs: 700 }));
  await vi.advanceTimersByTimeAsync(700);
  expect(result.error).toMatchObject({ code: 'timeout', message: expect.stringContaining('within 700 ms') });
  const refusing = connect(busy, { retryDelayMs: () => 400 });
  const second = settled(refusing.hangup.calls.get('x', { timeoutMs: 700 }));
  await vi.advanceTimersByTimeAsync(700);
  expect(second.error).toMatchObject({ status: 503 });
  expect(refusing.sent).toHaveBeenCalledTimes(2);
  expect(vi.getTimerCount()).toBe(0);
});

test('timeouts of Infinity never end a request', async () => {
  const forever = Number.POSITIVE_INFINITY;
  const { hangup } = connect(never);
  const result = settled(hangup.calls.get('x', { timeoutMs: forever, attemptTimeoutMs: forever }));
  await vi.advanceTimersByTimeAsync(10 * 86_400_000);
  expect(result.isSettled).toBe(false);
  expect(vi.getTimerCount()).toBe(0);
});

const STAGES: readonly (readonly [string, Send])[] = [
  ['before the response', never],
  ['in the body', async () => new Response(new ReadableStream({}))],
  ['between two attempts', busy],
];

test.for(STAGES)('an abort %s rejects with its reason, and leaves no timer', async ([, send]) => {
  const { hangup, sent } = connect(send, { retryDelayMs: () => 1_000 });
  const reasons = [new Error('my reason'), 'text', undefined];
  for (const reason of reasons) {
    const controller = new AbortController();
    const { signal } = controller;
    const removed = vi.spyOn(signal, 'removeEventListener');
    const result = settled(hangup.calls.cancel('x', {}, { signal }));
    await vi.advanceTimersByTimeAsync(500);
    expect(result.isSettled).toBe(false);
    controller.abort(reason);
    await vi.advanceTimersByTimeAsync(0);
    expect(result.error).toBe(signal.reason);
    if (reason === undefined) expect(result.error).toMatchObject({ name: 'AbortError' });
    expect(vi.getTimerCount()).toBe(0);
    expect(removed).toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(60_000);
  }
  expect(sent).toHaveBeenCalledTimes(reasons.length);
});

test('an abort before the request sends nothing', async () => {
  const { hangup, sent } = connect(call);
  const signal = AbortSignal.abort('late');
  await expect(hangup.calls.get('x', { signal })).rejects.toBe('late');
  await expect(hangup.calls.listAll({}, { signal }).next()).rejects.toBe('late');
  await expect(hangup.cancellations.wait('can_1', { signal })).rejects.toBe('late');
  await expect(hangup.events.subscribe({}, { signal }).next()).rejects.toBe('late');
  expect(sent).not.toHaveBeenCalled();
  expect(vi.getTimerCount()).toBe(0);
});

test('a success leaves no timer and no listener', async () => {
  const { hangup, sent } = connect(call);
  const { signal } = new AbortController();
  const added = vi.spyOn(signal, 'addEventListener');
  const removed = vi.spyOn(signal, 'removeEventListener');
  await hangup.calls.get('x', { signal });
  expect(sent.mock.calls[0]?.[1]?.signal).toBeInstanceOf(AbortSignal);
  expect(removed).toHaveBeenCalledTimes(added.mock.calls.length);
  expect(added).toHaveBeenCalled();
  expect(vi.getTimerCount()).toBe(0);
});

test('a delay leaves no listener, so that a long wait does not collect listeners', async () => {
  const { signal } = new AbortController();
  const added = vi.spyOn(signal, 'addEventListener');
  const removed = vi.spyOn(signal, 'removeEventListener');
  const slept = sleep(5_000, signal);
  await vi.advanceTimersByTimeAsync(5_000);
  await slept;
  expect([added.mock.calls.length, removed.mock.calls.length]).toEqual([1, 1]);
});

test('an abort is never repeated, also if its reason is an error that is', async () => {
  const onRetry = vi.fn();
  const { hangup, sent } = connect(never, { onRetry });
  const controller = new AbortController();
  const result = settled(hangup.calls.get('x', { signal: controller.signal }));
  const reason = new HangupError('the page is closed', { code: 'timeout' });
  controller.abort(reason);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(result.error).toBe(reason);
  expect(onRetry).not.toHaveBeenCalled();
  expect(sent).toHaveBeenCalledTimes(1);
});

test('a timeout aborts the signal of the attempt', async () => {
  const signals: (AbortSignal | null | undefined)[] = [];
  const { hangup } = connect(
    (_, { signal }) => {
      signals.push(signal);
      return new Promise(() => {});
    },
    { retryDelayMs: () => 0 },
  );
  settled(hangup.calls.get('x', { maxAttempts: 2, attemptTimeoutMs: 100 }));
  await vi.advanceTimersByTimeAsync(150);
  expect(signals.map((signal) => signal?.aborted)).toEqual([true, false]);
  await vi.advanceTimersByTimeAsync(100);
  expect(signals.map((signal) => signal?.aborted)).toEqual([true, true]);
});

const cancellation = (state: string, deleted: number) =>
  respond(200, { data: { id: 'can_1', state, counts: { rooms: { deleted } } } });

test('wait continues through an outage, reports each change once, and ends with the state completed', async () => {
  const outage: Send = () => Promise.reject(new TypeError('fetch failed'));
  const failed = respond(500, { error: { message: 'Internal server error', code: 500 } });
  const answers = [
    cancellation('running', 0),
    cancellation('running', 0),
    ...Array.from({ length: 30 }, (_, index) => (index % 2 === 0 ? outage : failed)),
    cancellation('running', 1),
    cancellation('completed', 2),
  ];
  const { hangup } = connect((url, init) => (answers.shift() ?? never)(url, init));
  const shown: number[] = [];
  const done = hangup.cancellations.wait('can_1', {
    onProgress: ({ counts }) => shown.push(counts.rooms.deleted),
  });
  await vi.advanceTimersByTimeAsync(600_000);
  expect(await done).toMatchObject({ state: 'completed' });
  expect(shown).toEqual([0, 1, 2]);
  expect(vi.getTimerCount()).toBe(0);
});

const page =
  (status: number): Send =>
  async () =>
    new Response('<html>', { status });

test('wait continues through the web pages of a deployment after a first answer of hangup', async () => {
  const answers = [call, page(200), page(404), page(403), respond(200, {}), cancellation('completed', 1)];
  const { hangup } = connect((url, init) => (answers.shift() ?? never)(url, init));
  await hangup.calls.get('x');
  const done = hangup.cancellations.wait('can_1');
  await vi.advanceTimersByTimeAsync(60_000);
  expect(await done).toMatchObject({ state: 'completed' });
  const other = connect(page(404));
  await expect(other.hangup.cancellations.wait('can_1')).rejects.toMatchObject({
    code: 'unexpected_response',
  });
  expect(vi.getTimerCount()).toBe(0);
});

test('a request is not repeated after a web page, also after a first answer of hangup', async () => {
  const answers = [call, page(404)];
  const { hangup, sent } = connect((url, init) => (answers.shift() ?? never)(url, init));
  await hangup.calls.get('x');
  await expect(hangup.calls.get('x')).rejects.toMatchObject({ code: 'unexpected_response' });
  expect(sent).toHaveBeenCalledTimes(2);
});

test('wait ends with its timeout, with an abort, and with a refusal', async () => {
  const { hangup } = connect(cancellation('running', 0));
  const late = settled(hangup.cancellations.wait('can_1', { timeoutMs: 9_000 }));
  await vi.advanceTimersByTimeAsync(9_000);
  expect(late.error).toMatchObject({ code: 'timeout', message: expect.stringContaining('can_1') });
  const controller = new AbortController();
  const aborted = settled(hangup.cancellations.wait('can_1', { signal: controller.signal }));
  await vi.advanceTimersByTimeAsync(700);
  controller.abort('stop');
  await vi.advanceTimersByTimeAsync(0);
  expect(aborted.error).toBe('stop');
  const unknown = connect(respond(404, { error: { message: 'Cancellation not found', code: 404 } }));
  await expect(unknown.hangup.cancellations.wait('can_1')).rejects.toMatchObject({ status: 404 });
  expect(vi.getTimerCount()).toBe(0);
});

/** Sends the text, and then nothing. */
const eventStream = (text: string) => async () => {
  const body = new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode(text)),
  });
  return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
};

test('a stream is silent after two missed heartbeats', async () => {
  const { hangup, sent } = connect(eventStream(': heartbeat\n\n'), { retryDelayMs: () => 0 });
  const subscription = hangup.events.subscribe();
  const next = settled(subscription.next());
  await vi.advanceTimersByTimeAsync(35_999);
  expect(sent).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(sent).toHaveBeenCalledTimes(2);
  subscription.close();
  await vi.advanceTimersByTimeAsync(0);
  expect(next).toEqual({ error: undefined, isSettled: true });
  expect(vi.getTimerCount()).toBe(0);
});

test('a subscription continues through the web pages of a deployment after its first connection', async () => {
  const event = (id: number) => `id: ${id}\ndata: {"id":"${id}","type":"hold.lifted"}\n\n`;
  const ended =
    (id: number): Send =>
    async () =>
      new Response(event(id), { headers: { 'content-type': 'text/event-stream' } });
  const answers = [ended(1), page(200), page(404), ended(2)];
  const { hangup, sent } = connect((url, init) => (answers.shift() ?? never)(url, init));
  const subscription = hangup.events.subscribe();
  expect(await subscription.next()).toMatchObject({ value: { id: '1' } });
  const second = subscription.next();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(await second).toMatchObject({ value: { id: '2' } });
  expect(new Headers(sent.mock.lastCall?.[1].headers).get('last-event-id')).toBe('1');
  await subscription.return?.();
  expect(vi.getTimerCount()).toBe(0);
});

test('a consumer that needs a minute for an event keeps its connection', async () => {
  const event = (id: number) => `data: {"id":"${id}","type":"hold.lifted"}\n\n`;
  let send: (text: string) => void = () => {};
  const { hangup, sent } = connect(async () => {
    const body = new ReadableStream({
      start: (controller) => {
        send = (text) => controller.enqueue(new TextEncoder().encode(text));
        send(event(1));
      },
    });
    return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
  });
  const subscription = hangup.events.subscribe();
  expect(await subscription.next()).toMatchObject({ value: { id: '1' } });
  await vi.advanceTimersByTimeAsync(60_000);
  send(event(2));
  expect(await subscription.next()).toMatchObject({ value: { id: '2' } });
  expect(sent).toHaveBeenCalledTimes(1);
  subscription.close();
  expect(await subscription.next()).toMatchObject({ done: true });
  expect(vi.getTimerCount()).toBe(0);
});

const STREAM_STAGES: readonly (readonly [string, Send])[] = [
  ['before the response', never],
  ['in the stream', eventStream(': hangup\n\n')],
  ['between two connections', busy],
];

test.for(STREAM_STAGES)('an abort of a subscription %s rejects, and leaves no timer', async ([, send]) => {
  const { hangup } = connect(send, { retryDelayMs: () => 1_000 });
  const controller = new AbortController();
  const { signal } = controller;
  const added = vi.spyOn(signal, 'addEventListener');
  const removed = vi.spyOn(signal, 'removeEventListener');
  const result = settled(hangup.events.subscribe({}, { signal }).next());
  await vi.advanceTimersByTimeAsync(1_500);
  expect(result.isSettled).toBe(false);
  controller.abort('stop');
  await vi.advanceTimersByTimeAsync(0);
  expect(result.error).toBe('stop');
  expect(vi.getTimerCount()).toBe(0);
  expect(removed).toHaveBeenCalledTimes(added.mock.calls.length);
});
