import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';
import { sendStream } from '../../src/http/event-stream.ts';
import { prometheusMetrics } from '../../src/metrics/prometheus.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { manualTimers } from '../harness/manual-timers.ts';
import { WAIT } from '../harness/time.ts';

const DRAIN_MS = 10_000;
const CHUNK = 'x'.repeat(1_024);

/** Serves one stream of chunks without an end, to a client that does not read until the test resumes the client. */
async function serveStream() {
  const timers = manualTimers();
  const draining = new AbortController();
  const metrics = prometheusMetrics({ clock: systemClock, version: 'test' });
  const served = Promise.withResolvers<{ response: ServerResponse; isSent: Promise<void> }>();
  let taken = 0;
  const server = createServer((_, response) => {
    response.writeHead(200);
    const isSent = sendStream(
      response,
      { timers, metrics, draining: draining.signal },
      {
        open: async function* (signal) {
          for (; !signal.aborted; taken += 1) yield CHUNK;
        },
        heartbeat: () => CHUNK,
      },
    );
    served.resolve({ response, isSent });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const client = await new Promise<IncomingMessage>((resolve) =>
    get(`http://127.0.0.1:${port}`, resolve).once('error', () => {}),
  );
  client.on('error', () => {});
  const { response, isSent } = await served.promise;
  const count = async (name: string) => {
    const sources = { countLive: () => Promise.reject(new Error('none')), isLiveKitUp: null };
    const { body } = await metrics.scrape(sources);
    return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(body)?.[1]);
  };
  return { client, response, isSent, timers, draining, count, taken: () => taken };
}

test('a client that does not read costs one buffer, and is disconnected after 10 s', async () => {
  const { client, response, isSent, timers, count, taken } = await serveStream();
  await vi.waitUntil(() => timers.pending().includes(DRAIN_MS), WAIT);
  const takenWhenFull = taken();
  expect(response.writableNeedDrain).toBe(true);
  expect(response.writableLength).toBeLessThan(256 * 1_024);
  // A heartbeat must not fill the buffer either.
  const { writableLength } = response;
  timers.fire(15_000);
  expect([response.writableLength, taken()]).toEqual([writableLength, takenWhenFull]);
  expect(await count('hangup_event_streams')).toBe(1);
  timers.fire(DRAIN_MS);
  await isSent;
  client.resume();
  await vi.waitUntil(() => client.closed, WAIT);
  expect(client.complete).toBe(false);
  expect(await count('hangup_event_readers_dropped_total')).toBe(1);
  expect(await count('hangup_event_streams')).toBe(0);
});

test('a client that reads again in time gets every further chunk', async () => {
  const { client, timers, taken, count } = await serveStream();
  await vi.waitUntil(() => timers.pending().includes(DRAIN_MS), WAIT);
  const takenWhenFull = taken();
  client.resume();
  await vi.waitUntil(() => taken() > 2 * takenWhenFull, WAIT);
  client.destroy();
  await expect.poll(() => count('hangup_event_streams'), WAIT).toBe(0);
  expect(await count('hangup_event_readers_dropped_total')).toBe(0);
  expect(timers.pending()).toEqual([]);
});

test('a shutdown ends a stream whose client reads with a complete response', async () => {
  const { client, isSent, draining } = await serveStream();
  let tail = '';
  client.on('data', (chunk: Buffer) => {
    tail = (tail + chunk.toString()).slice(-CHUNK.length);
  });
  draining.abort();
  await isSent;
  await vi.waitUntil(() => client.closed, WAIT);
  expect(client.complete).toBe(true);
  expect(tail).toMatch(/x(retry: 1000\n\n)$/);
});
