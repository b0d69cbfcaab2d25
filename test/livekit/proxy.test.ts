import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { createRoomService } from '../../src/livekit/room-service.ts';
import { httpTransport } from '../../src/livekit/transport/twirp.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { prepareCalls } from '../harness/live-calls.ts';
import { runHangup, serveHangup } from '../harness/process.ts';
import { temporaryFolder } from '../harness/temporary.ts';

/** A proxy in whose network `livekit.test` is the server at `target`. */
async function startProxy(target: string | null) {
  const seen: string[] = [];
  const server = createServer((incoming, outgoing) => {
    seen.push(`${incoming.method} ${incoming.url}`);
    if (target === null) {
      outgoing.writeHead(502).end();
      return;
    }
    const { pathname } = new URL(incoming.url ?? '');
    const { method, headers } = incoming;
    const onward = request(new URL(pathname, target), { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  });
  server.on('connect', (incoming, socket) => {
    seen.push(`CONNECT ${incoming.url}`);
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

test('a cancel reaches LiveKit through the proxy of the environment', async () => {
  const { emulator, key, env } = await prepareCalls(1);
  const proxy = await startProxy(emulator.url);
  const { url, output } = await serveHangup({
    cwd: temporaryFolder(),
    env: { ...env, LIVEKIT_URL: 'ws://livekit.test', HTTP_PROXY: proxy.url.replace('//', '//user:hunter2@') },
  });
  const response = await fetch(`${url}/api/v1/calls/c0`, { method: 'DELETE', headers: { 'x-api-key': key } });
  expect(response.status).toBe(200);
  expect(emulator.roomNames()).toEqual([]);
  expect(proxy.seen).toContain('POST http://livekit.test/twirp/livekit.RoomService/DeleteRoom');
  expect(output()).toContain(`"proxy":"${new URL(proxy.url).host}"`);
  expect(output()).not.toContain('hunter2');
  const doctor = await runHangup(['doctor', '--json'], {
    cwd: temporaryFolder(),
    env: { ...env, LIVEKIT_URL: 'ws://livekit.test', http_proxy: proxy.url },
  });
  expect(JSON.parse(doctor.stdout).findings).toContainEqual(
    expect.objectContaining({ check: 'livekit', level: 'ok' }),
  );
});

test('requests to an https LiveKit use a tunnel, and the error names a proxy that refuses', async () => {
  const { url, seen } = await startProxy(null);
  const server = { url: 'https://livekit.test', apiKey: 'k', apiSecret: 's'.repeat(32) };
  const rooms = createRoomService(
    httpTransport({ ...server, proxy: { url, noProxy: '' } }, { clock: systemClock }),
  );
  const outcome = await rooms.deleteRoom('r', { timeoutMs: 5_000, priority: 'cancel' });
  expect(seen).toEqual(['CONNECT livekit.test:443']);
  expect(outcome).toMatchObject({ kind: 'unavailable', detail: expect.stringContaining(url) });
});

test('requests skip the proxy when LiveKit is on this machine or in NO_PROXY', async () => {
  const { emulator, key, env } = await prepareCalls(1);
  const proxy = await startProxy(null);
  const { url } = await serveHangup({
    cwd: temporaryFolder(),
    env: { ...env, HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url },
  });
  const response = await fetch(`${url}/api/v1/calls/c0`, { method: 'DELETE', headers: { 'x-api-key': key } });
  expect(response.status).toBe(200);
  expect(emulator.roomNames()).toEqual([]);
  const server = { url: 'http://livekit.invalid', apiKey: 'k', apiSecret: 's'.repeat(32) };
  const rooms = createRoomService(
    httpTransport({ ...server, proxy: { url: proxy.url, noProxy: '.invalid' } }, { clock: systemClock }),
  );
  const outcome = await rooms.deleteRoom('r', { timeoutMs: 5_000, priority: 'cancel' });
  expect(outcome).toMatchObject({
    kind: 'unavailable',
    detail: expect.stringMatching(/ENOTFOUND|EAI_AGAIN/),
  });
  expect(proxy.seen).toEqual([]);
});
