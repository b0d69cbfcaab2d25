import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { type Hangup as Client, createHangup } from '../../clients/typescript/src/index.ts';
import { prepareCalls } from '../harness/live-calls.ts';
import { type RunningHangup, serveHangup } from '../harness/process.ts';
import { temporaryFolder } from '../harness/temporary.ts';

/* Opens the React example in Chromium, on another origin than hangup's. EXAMPLES is the folder of the built examples. */

const { CHROMIUM: executablePath = 'chromium', EXAMPLES = '' } = process.env;
const PUBLIC = join(EXAMPLES, 'react/public');
const TYPES: Readonly<Record<string, string>> = { '/': 'text/html', '/main.js': 'text/javascript' };

let browser: Browser;
beforeAll(async () => {
  browser = await chromium.launch({ executablePath, timeout: 60_000 });
});
afterAll(() => browser.close());

/** Serves the built page, and returns its origin. */
async function servePage(): Promise<string> {
  const server = createServer(({ url = '' }, response) => {
    const type = TYPES[url];
    if (type === undefined) response.writeHead(404).end();
    else
      response
        .writeHead(200, { 'content-type': type })
        .end(readFileSync(join(PUBLIC, url === '/' ? 'index.html' : url)));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return `http://localhost:${address.port}`;
}

interface World {
  readonly origin: string;
  readonly hangup: RunningHangup;
  readonly key: string;
  /** Another client of the same organization. */
  readonly client: Client;
  /** Registers a call, and connects a phone. Returns the phone's disconnect reason when the phone is disconnected. */
  startCall(id: string, agentId: string): Promise<() => Promise<string>>;
  /** Starts hangup again on its port. */
  restart(): Promise<void>;
}

async function start(): Promise<World> {
  const origin = await servePage();
  const { emulator, key, env } = await prepareCalls(0, { settings: { CORS_ORIGINS: origin } });
  const cwd = temporaryFolder();
  const hangup = await serveHangup({ env, cwd });
  const client = createHangup({ url: hangup.url, apiKey: key });
  return {
    origin,
    hangup,
    key,
    client,
    startCall: async (id, agentId) => {
      await client.calls.create({ id, agentId, phoneNumber: '+15551234567' });
      const { disconnected } = emulator.join(id, { identity: 'phone', kind: 'SIP' });
      return () => disconnected;
    },
    restart: async () => {
      await serveHangup({ env: { ...env, PORT: new URL(hangup.url).port }, cwd });
    },
  };
}

async function openPage(origin: string): Promise<Page> {
  const page = await browser.newPage();
  onTestFinished(() => page.close());
  page.setDefaultTimeout(60_000);
  await page.goto(origin);
  return page;
}

async function connect(page: Page, url: string, key: string): Promise<void> {
  await page.getByLabel('Address of hangup').fill(url);
  await page.getByLabel('API key').fill(key);
  await page.getByRole('button', { name: 'Connect' }).click();
}

/** Returns the ids of the listed calls. */
async function listedCalls(page: Page): Promise<string[]> {
  return (await page.locator('tbody td:first-child').allTextContents()).toSorted();
}

/** Returns the first event of a subscription, and ends it. */
async function firstOf<Event>(subscription: AsyncIterable<Event>): Promise<Event> {
  for await (const event of subscription) return event;
  throw new Error('the subscription has ended');
}

const status = (page: Page, text: string) => page.getByRole('status').filter({ hasText: text });

test('a page on another origin lists calls, cancels a call, and follows the changes of other clients', async () => {
  const { origin, hangup, key, client, startCall } = await start();
  const first = await startCall('c1', 'sales');
  await startCall('c2', 'sales');
  const page = await openPage(origin);
  await connect(page, hangup.url, key);
  await status(page, 'Live').waitFor();
  await expect.poll(() => listedCalls(page)).toEqual(['c1', 'c2']);
  await page.getByRole('row', { name: 'c1' }).getByRole('button', { name: 'Cancel' }).click();
  expect(await first()).toBe('ROOM_DELETED');
  await expect.poll(() => listedCalls(page)).toEqual(['c2']);
  expect(await client.calls.get('c1')).toMatchObject({
    status: 'cancelled',
    cancelReason: 'live calls page',
  });
  await startCall('c3', 'support');
  await expect.poll(() => listedCalls(page)).toEqual(['c2', 'c3']);
  await client.calls.cancel('c2');
  await expect.poll(() => listedCalls(page)).toEqual(['c3']);
});

test('a call that starts before the first response is listed', async () => {
  const { origin, hangup, key, client, startCall } = await start();
  const page = await openPage(origin);
  const released = Promise.withResolvers<void>();
  let held = 0;
  await page.route('**/api/v1/calls?*', async (route) => {
    const response = await route.fetch();
    held += 1;
    await released.promise;
    // Fails if the page has cancelled the request.
    await route.fulfill({ response }).catch(() => {});
  });
  await connect(page, hangup.url, key);
  await status(page, 'Live').waitFor();
  // The page reads the calls when it opens, and when its subscription is connected.
  await expect.poll(() => held).toBeGreaterThan(1);
  const { promise: opened, resolve: onOpen } = Promise.withResolvers<void>();
  const event = firstOf(client.events.subscribe({}, { onOpen: () => onOpen() }));
  await opened;
  await startCall('c1', 'sales');
  // hangup sends the event to both subscriptions.
  await event;
  // Longer than the interval between two reads of the page.
  await page.waitForTimeout(1_000);
  released.resolve();
  await expect.poll(() => listedCalls(page)).toEqual(['c1']);
  await page.unrouteAll({ behavior: 'wait' });
});

test("a page on another origin stops an agent's calls after a preview, and no other call", async () => {
  const { origin, hangup, key, startCall } = await start();
  const ended = await Promise.all(['s1', 's2', 's3'].map((id) => startCall(id, 'sales')));
  await startCall('other', 'support');
  const page = await openPage(origin);
  await connect(page, hangup.url, key);
  await expect.poll(() => listedCalls(page)).toEqual(['other', 's1', 's2', 's3']);
  await page.getByRole('textbox', { name: 'Agent' }).fill('sales');
  await page.getByRole('textbox', { name: 'Reason' }).fill('wrong advice');
  await page.getByRole('button', { name: 'Preview' }).click();
  const confirmation = page.getByRole('button', { name: 'Cancel 3 calls of sales' });
  await confirmation.waitFor();
  // A call that starts after the preview is not part of the confirmed number.
  const late = await startCall('s4', 'sales');
  await confirmation.click();
  await page.getByRole('alert').filter({ hasText: 'Matches 4 calls, more than expectedAtMost: 3' }).waitFor();
  expect(await listedCalls(page)).toContain('s1');
  await page.getByRole('button', { name: 'Preview' }).click();
  await page.getByRole('button', { name: 'Cancel 4 calls of sales' }).click();
  await status(page, 'Cancelled calls: 4. Rooms to delete: 0. Completed.').waitFor();
  expect(await Promise.all([...ended, late].map((reason) => reason()))).toEqual(
    Array(4).fill('ROOM_DELETED'),
  );
  await expect.poll(() => listedCalls(page)).toEqual(['other']);
});

test('a page on another origin follows the changes again after a restart of hangup', async () => {
  const { origin, hangup, key, client, startCall, restart } = await start();
  await startCall('before', 'sales');
  await startCall('during', 'sales');
  const page = await openPage(origin);
  await connect(page, hangup.url, key);
  await status(page, 'Live').waitFor();
  await expect.poll(() => listedCalls(page)).toEqual(['before', 'during']);
  await hangup.kill('SIGTERM');
  await status(page, 'Offline').waitFor();
  expect(await listedCalls(page)).toEqual(['before', 'during']);
  await restart();
  await client.calls.cancel('during');
  await status(page, 'Live').waitFor();
  await expect.poll(() => listedCalls(page)).toEqual(['before']);
  await startCall('after', 'sales');
  await expect.poll(() => listedCalls(page)).toEqual(['after', 'before']);
});

test('a page on an origin that is not listed reads nothing, and names the setting', async () => {
  const { origin, hangup, key, client, startCall } = await start();
  await startCall('c1', 'sales');
  const other = await servePage();
  const page = await openPage(other);
  await connect(page, hangup.url, key);
  const hint = `CORS_ORIGINS of hangup must contain ${other}.`;
  await status(page, `Offline. No response from ${hangup.url}`).filter({ hasText: hint }).waitFor();
  expect(await listedCalls(page)).toEqual([]);
  // Not even what needs no preflight.
  const read = (from: Page, path: string) =>
    from.evaluate<string>(`fetch('${hangup.url}${path}').then((r) => r.text(), (error) => error.name)`);
  expect(await read(page, '/openapi.json')).toBe('TypeError');
  expect(await read(page, '/api/v1/calls')).toBe('TypeError');
  const allowed = await openPage(origin);
  expect(await read(allowed, '/openapi.json')).toContain('"openapi"');
  expect(await client.calls.get('c1')).toMatchObject({ endedAt: null });
});

test('a page shows a wrong key and a wrong address', async () => {
  const { origin, hangup } = await start();
  const wrongKey = await openPage(origin);
  await connect(wrongKey, hangup.url, 'wrong');
  await wrongKey.getByRole('alert').filter({ hasText: 'Unauthorized' }).waitFor();
  await status(wrongKey, 'No live updates. Unauthorized').waitFor();
  const wrongUrl = await openPage(origin);
  await connect(wrongUrl, 'ftp://127.0.0.1', 'key');
  await wrongUrl.getByRole('alert').filter({ hasText: 'expected http:// or https://' }).waitFor();
});
