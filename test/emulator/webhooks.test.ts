import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { expect, onTestFinished, test, vi } from 'vitest';
import { z } from 'zod';
import { type Emulator, type EmulatorOptions, startEmulator } from '../../src/emulator/emulator.ts';
import { API_KEY, API_SECRET, openWebhookInbox, type ReceivedWebhook } from '../harness/livekit.ts';

async function startWithInbox(options: Partial<EmulatorOptions> = {}) {
  const inbox = await openWebhookInbox();
  const emulator = await start({ webhookUrls: [inbox.url], ...options });
  onTestFinished(() => inbox.close());
  return { inbox, emulator };
}

async function start(options: Partial<EmulatorOptions>): Promise<Emulator> {
  const emulator = await startEmulator({ apiKey: API_KEY, apiSecret: API_SECRET, ...options });
  onTestFinished(() => emulator.stop());
  return emulator;
}

const names = (webhooks: readonly ReceivedWebhook[]): string[] => webhooks.map(({ event }) => event.event);

test('every webhook URL receives every event', async () => {
  const other = await openWebhookInbox();
  onTestFinished(() => other.close());
  const inbox = await openWebhookInbox();
  onTestFinished(() => inbox.close());
  const emulator = await start({ webhookUrls: [inbox.url, other.url] });
  emulator.join('r', { identity: 'caller' });
  const [here, there] = await Promise.all(
    [inbox, other].map((receiver) => receiver.waitFor('r', (all) => all.length === 2)),
  );
  expect(here?.map(({ body }) => body)).toEqual(there?.map(({ body }) => body));
});

test('an event is dropped after its last attempt, and the next event of the room is sent', async () => {
  const { inbox, emulator } = await startWithInbox({ webhookRetryDelaysMs: [5, 10] });
  inbox.respondNext('r', 503, 503, 503);
  emulator.join('r', { identity: 'caller' });
  const webhooks = await inbox.waitFor('r', (all) => names(all).includes('participant_joined'));
  expect(names(webhooks)).toEqual(['room_started', 'room_started', 'room_started', 'participant_joined']);
  expect(new Set(webhooks.slice(0, 3).map(({ event }) => event.id)).size).toBe(1);
});

test('a failing receiver does not delay the events of another room', async () => {
  const { inbox, emulator } = await startWithInbox({ webhookRetryDelaysMs: [60_000] });
  inbox.respondNext('stuck', 503);
  emulator.join('stuck', { identity: 'caller' });
  await inbox.waitFor('stuck', (all) => all.length === 1);
  emulator.join('free', { identity: 'caller' });
  await inbox.waitFor('free', (all) => all.length === 2);
  expect(names(inbox.webhooksOf('stuck'))).toEqual(['room_started']);
});

test('an event is retried when the connection breaks', async () => {
  const bodies: string[] = [];
  const receiver = createServer(async (request, response) => {
    bodies.push(Buffer.concat(await request.toArray()).toString());
    if (bodies.length === 1) request.socket.resetAndDestroy();
    else response.end();
  }).listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  onTestFinished(() => void receiver.close());
  const { port } = z.object({ port: z.number() }).parse(receiver.address());
  const emulator = await start({ webhookUrls: [`http://127.0.0.1:${port}`], webhookRetryDelaysMs: [5] });
  emulator.join('r', { identity: 'caller' });
  await expect.poll(() => bodies.length).toBe(3);
  expect(bodies[1]).toBe(bodies[0]);
  expect(bodies[2]).toContain('participant_joined');
});

test('a room drops new events when 200 events are queued', async () => {
  const { inbox, emulator } = await startWithInbox({ webhookRetryDelaysMs: [5] });
  inbox.respondNext('r', 503);
  for (let i = 0; i < 250; i += 1) emulator.join('r', { identity: `p-${i}` });
  emulator.join('another', { identity: 'caller' });
  await inbox.waitFor('r', (all) => all.length === 202);
  // The queue is empty now, so this event is sent, after all other events of the room.
  emulator.join('r', { identity: 'last' });
  const webhooks = await inbox.waitFor('r', (all) => all.at(-1)?.event.participant?.identity === 'last');
  expect(webhooks).toHaveLength(203);
});

test('stop cancels the delay before the next attempt', async () => {
  const { inbox, emulator } = await startWithInbox({ webhookRetryDelaysMs: [60_000] });
  inbox.respondNext('r', 503);
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  emulator.join('r', { identity: 'caller' });
  await inbox.waitFor('r', (all) => all.length === 1);
  await expect.poll(() => vi.getTimerCount()).toBe(1);
  await emulator.stop();
  expect(vi.getTimerCount()).toBe(0);
  expect(inbox.webhooksOf('r')).toHaveLength(1);
});

test('stop aborts a webhook request without a response', async () => {
  const received = Promise.withResolvers<void>();
  const broken = Promise.withResolvers<void>();
  const receiver = createServer((request) => {
    request.socket.once('close', broken.resolve);
    received.resolve();
  }).listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  onTestFinished(() => void receiver.close());
  const { port } = z.object({ port: z.number() }).parse(receiver.address());
  const emulator = await start({ webhookUrls: [`http://127.0.0.1:${port}`] });
  emulator.join('r', { identity: 'caller' });
  await received.promise;
  await emulator.stop();
  await broken.promise;
});

test('a process exits after its emulator has stopped, without open handles', async () => {
  const emulatorUrl = new URL('../../src/emulator/emulator.ts', import.meta.url);
  const script = `
    import { createServer } from 'node:net';
    import { startEmulator } from '${emulatorUrl}';
    const silent = createServer(() => {}).listen(0, '127.0.0.1');
    await new Promise((resolve) => silent.once('listening', resolve));
    const webhookUrls = ['http://127.0.0.1:' + silent.address().port, 'http://127.0.0.1:1'];
    const emulator = await startEmulator({ apiKey: 'key', apiSecret: 'secret', webhookUrls });
    const caller = emulator.join('r', { identity: 'caller' });
    await new Promise((resolve) => silent.once('connection', resolve));
    emulator.setFault('*', { kind: 'hang' });
    const hung = fetch(emulator.url, { method: 'POST' }).catch(() => 'broken');
    emulator.join('left', { identity: 'caller' }).leave();
    await emulator.stop();
    console.log(await hung);
    silent.close();
    const isOpen = (name) => /TCP|Timeout/.test(name);
    process.once('beforeExit', () => console.log(process.getActiveResourcesInfo().filter(isOpen).join()));
  `;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', script], {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: new URL('../..', import.meta.url),
  });
  const [output, errors, [code]] = await Promise.all([
    child.stdout.toArray(),
    child.stderr.toArray(),
    once(child, 'exit'),
  ]);
  expect(Buffer.concat(errors).toString()).toBe('');
  expect(Buffer.concat(output).toString()).toBe('broken\n\n');
  expect(code).toBe(0);
});
