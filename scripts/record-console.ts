/**
 * `npm run record-console`: takes the screenshots of docs/console.md, in light and dark, and writes them to docs/console.
 * The single file serves the console. The emulator in this process replaces LiveKit. Only the charts of Health, which need
 * an hour, have values of this script. Requires `npm run build` and Chromium; CHROMIUM names another program. PNG, if set,
 * names a folder for the same images as PNG.
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request as sendRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { type Browser, chromium, type Page } from 'playwright-core';
import { z } from 'zod';
import { newCall } from '../src/domain/call.ts';
import { startEmulator } from '../src/emulator/emulator.ts';
import { openStore } from '../src/store/open-store.ts';
import { freePort } from '../test/harness/ports.ts';
import { SAMPLE_CALLS, sampleHistory } from './console/sample.ts';
import { findProgram } from './find-program.ts';

const ROOT = resolve(import.meta.dirname, '..');
const FOLDER = join(ROOT, 'docs/console');
const BINARY = process.env.HANGUP_BINARY ?? join(ROOT, 'dist/hangup');
const CREDENTIALS = { apiKey: 'record', apiSecret: 'a-secret-of-at-least-32-characters' };
const SCHEMES = ['light', 'dark'] as const;
const WIDTH = 1280;
const SCALE = 1.5;
const WEBP_QUALITY = 88;

const STOPPED_AGENT = 'appointments';
/** The node of these rooms fails once, and then does not respond, so that the stop is in progress. */
const BUSY_ROOMS = SAMPLE_CALLS.filter(({ agentId }) => agentId === STOPPED_AGENT)
  .filter((_, index) => index % 10 === 2)
  .map(({ id }) => id);
/** The node of these rooms always fails, so hangup gives them up. */
const DEAD_ROOMS = SAMPLE_CALLS.filter(({ agentId }) => agentId === STOPPED_AGENT)
  .filter((_, index) => index === 8)
  .map(({ id }) => id);
/** The call of the page of a call. */
const CANCELLED_CALL = SAMPLE_CALLS.find(
  ({ agentId, status }) => agentId === 'surveys' && status === 'active',
);
if (CANCELLED_CALL === undefined) throw new Error('the sample has no call to cancel');

const executablePath = findProgram(process.env.CHROMIUM ?? 'chromium');
if (executablePath === undefined) throw new Error('Chromium is not installed (Debian: chromium)');
if (!existsSync(BINARY)) throw new Error(`${BINARY} does not exist: run npm run build`);

const folder = mkdtempSync(join(tmpdir(), 'hangup-console-'));
const port = await freePort();
const emulator = await startEmulator({
  ...CREDENTIALS,
  webhookUrls: [`http://127.0.0.1:${port}/webhooks/livekit`],
});
const livekit = await startRefusingProxy(emulator.url);
const env = {
  PATH: process.env.PATH ?? '',
  HOST: '127.0.0.1',
  PORT: String(port),
  DATABASE_URL: `file:${join(folder, 'hangup.db')}`,
  LIVEKIT_URL: livekit.url,
  LIVEKIT_API_KEY: CREDENTIALS.apiKey,
  LIVEKIT_API_SECRET: CREDENTIALS.apiSecret,
  RETRY_INITIAL_DELAY_MS: '4000',
  RETRY_MAX_AGE_MS: '50000',
  LIVEKIT_BACKGROUND_TIMEOUT_MS: '60000',
  LOG_LEVEL: 'warn',
};

const BUSY_ATTEMPTS = 1;

/** Passes requests to the emulator, except the deletion of some rooms. */
async function startRefusingProxy(target: string): Promise<{ url: string; close(): void }> {
  const attempts = new Map<string, number>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      const isDeletion = request.url?.endsWith('/DeleteRoom') ?? false;
      const names = (rooms: readonly string[]) => isDeletion && rooms.some((room) => body.includes(room));
      const busy = isDeletion ? BUSY_ROOMS.find((room) => body.includes(room)) : undefined;
      const attempt = busy === undefined ? 0 : (attempts.get(busy) ?? 0) + 1;
      if (busy !== undefined) attempts.set(busy, attempt);
      if (attempt > BUSY_ATTEMPTS) return;
      if (attempt > 0 || names([...DEAD_ROOMS, CANCELLED_CALL?.id ?? ''])) {
        response.writeHead(503, { 'content-type': 'application/json' });
        response.end('{"code":"unavailable","msg":"no response from servers"}');
      } else {
        const options = { method: request.method, headers: request.headers };
        const forwarded = sendRequest(`${target}${request.url}`, options, (answer) => {
          response.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(response);
        });
        forwarded.on('error', () => response.destroy());
        forwarded.end(body);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  const { port: own } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${own}`, close: () => server.close() };
}

const CreatedKey = z.object({ id: z.string(), key: z.string(), organizationId: z.string() });

function createKey(name: string, scopes: readonly string[] = []): z.infer<typeof CreatedKey> {
  const scope = scopes.length === 0 ? [] : ['--scope', ...scopes];
  const args = ['keys', 'create', '--org', 'acme', '--name', name, '--json', ...scope];
  return CreatedKey.parse(JSON.parse(execFileSync(BINARY, args, { env, cwd: folder, encoding: 'utf8' })));
}

/** Stores the calls with their ages, and opens their rooms. */
async function openCalls({ id: apiKeyId, organizationId }: z.infer<typeof CreatedKey>): Promise<void> {
  const store = await openStore(
    { kind: 'sqlite', file: join(folder, 'hangup.db') },
    { onMigrating: () => {} },
  );
  const now = Date.now();
  try {
    for (const { id, ageMs, contactName, ...sample } of SAMPLE_CALLS) {
      const { status, phoneNumber } = sample;
      const createdAt = now - ageMs;
      const call = newCall({
        ...sample,
        id,
        organizationId,
        roomName: id,
        contactName,
        contactPhone: phoneNumber,
        startedAt: createdAt,
        answeredAt: status === 'active' ? createdAt + 4_000 : null,
        createdAt,
      });
      const { result } = await store.changeCall({ kind: 'register', call, apiKeyId });
      if (result.kind !== 'registered') throw new Error(`${id} is not registered: ${result.kind}`);
      emulator.join(id, { identity: 'agent', kind: 'AGENT' });
      if (status === 'initiated') continue;
      emulator.join(id, {
        identity: 'phone',
        kind: 'SIP',
        attributes: {
          'sip.callStatus': status === 'active' ? 'active' : 'ringing',
          'sip.phoneNumber': phoneNumber,
        },
      });
    }
  } finally {
    await store.close();
  }
}

async function serve(): Promise<{ url: string; stop(): void }> {
  const child = spawn(BINARY, ['serve'], {
    env: { ...env, LOG_LEVEL: 'info' },
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = await new Promise<string>((resolveUrl, reject) => {
    createInterface(child.stdout).on('line', (line) => {
      const found = /"url":"(http:[^"]+)"/.exec(line)?.[1];
      if (found !== undefined) resolveUrl(found);
    });
    child.once('exit', (code) => reject(new Error(`hangup ended with ${code}`)));
  });
  return { url, stop: () => child.kill('SIGTERM') };
}

async function openSignedIn(
  browser: Browser,
  { url, key, colorScheme }: { url: string; key: string; colorScheme: (typeof SCHEMES)[number] },
): Promise<Page> {
  const context = await browser.newContext({
    colorScheme,
    viewport: { width: WIDTH, height: 800 },
    deviceScaleFactor: SCALE,
    locale: 'en-US',
    timezoneId: 'UTC',
    reducedMotion: 'reduce',
  });
  const page = await context.newPage();
  await page.route('**/console/trpc/**health.history**', async (route) => {
    const response = await route.fetch();
    const names = new URL(route.request().url()).pathname.split('/').at(-1)?.split(',') ?? [];
    const answers = z.array(z.looseObject({})).parse(await response.json());
    const patched = answers.map((answer, index) => (names[index] === 'health.history' ? HISTORY : answer));
    await route.fulfill({ response, json: patched });
  });
  await page.goto(`${url}/console#key=${key}`);
  await page.getByRole('heading', { level: 1, name: 'Calls' }).waitFor();
  return page;
}

const POINTS = 360;
const POINT_MS = 10_000;
const lastPoint = Math.floor(Date.now() / POINT_MS) * POINT_MS;
const TIMES = Array.from({ length: POINTS }, (_, index) =>
  new Date(lastPoint - (POINTS - 1 - index) * POINT_MS).toISOString(),
);
const HISTORY = { result: { data: { times: TIMES, series: sampleHistory(TIMES) } } };

async function record(page: Page, name: string, height = 800): Promise<void> {
  await page.setViewportSize({ width: WIDTH, height });
  await page.mouse.move(0, 0);
  await page.evaluate('document.activeElement?.blur()');
  await page.waitForTimeout(700);
  const session = await page.context().newCDPSession(page);
  const capture = async (options: { format: 'webp'; quality: number } | { format: 'png' }) =>
    Buffer.from((await session.send('Page.captureScreenshot', options)).data, 'base64');
  const webp = await capture({ format: 'webp', quality: WEBP_QUALITY });
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(join(FOLDER, `${name}.webp`), webp);
  const { PNG } = process.env;
  if (PNG !== undefined) {
    mkdirSync(PNG, { recursive: true });
    writeFileSync(join(PNG, `${name}.png`), await capture({ format: 'png' }));
  }
  process.stdout.write(`${name}.webp: ${(webp.length / 1_000).toFixed(0)} kB\n`);
  await session.detach();
}

const { key } = createKey('operators');
await openCalls(createKey('dialer', ['calls:write']));
const hangup = await serve();
const browser = await chromium.launch({ executablePath });
try {
  const { url } = hangup;
  const cancelledId = CANCELLED_CALL.id;
  const pages = await Promise.all(
    SCHEMES.map(async (colorScheme) => ({
      colorScheme,
      page: await openSignedIn(browser, { url, key, colorScheme }),
    })),
  );
  const recordAll = async (name: string, prepare: (page: Page) => Promise<void>, height?: number) => {
    for (const { page, colorScheme } of pages) {
      await prepare(page);
      await record(page, `${name}-${colorScheme}`, height);
    }
  };

  await recordAll('calls', async (page) => {
    // The participants arrive with the first comparison of rooms.
    await page.getByRole('row').filter({ hasText: 'phone' }).nth(9).waitFor({ timeout: 30_000 });
  });

  await fetch(
    `${url}/api/v1/calls/${cancelledId}?reason=${encodeURIComponent('Complaint: this person must not be called again')}`,
    {
      method: 'DELETE',
      headers: { 'x-api-key': key },
    },
  );
  await recordAll('call', async (page) => {
    await page.goto(`${url}/console/calls/${cancelledId}`);
    // After the third attempt the next attempt is some seconds away.
    await page.getByText('Attempts').waitFor();
    await page.getByText('3', { exact: true }).waitFor();
  });

  await recordAll(
    'health',
    async (healthPage) => {
      await healthPage.goto(`${url}/console/health`);
      await healthPage.getByText('Last hour').waitFor();
    },
    1150,
  );

  const [first] = pages;
  if (first === undefined) throw new Error('no page');
  const { page } = first;
  await page.goto(`${url}/console/stop`);
  await page.getByRole('combobox', { name: 'What to stop' }).selectOption(STOPPED_AGENT);
  await page.getByRole('button', { name: 'Preview' }).click();
  await page.getByLabel('Reason').fill('The agent confirms appointments that do not exist');
  await page.getByRole('checkbox', { name: 'Hold new calls' }).check();
  const count = SAMPLE_CALLS.filter(({ agentId }) => agentId === STOPPED_AGENT).length;
  await page.getByLabel('Type the number to confirm').fill(String(count));
  await page.getByRole('button', { name: 'Stop calls' }).click();
  await page.getByRole('heading', { level: 1, name: 'Stop:' }).waitFor();
  await page.waitForURL(/\/console\/stop\/.+/);
  const address = page.url();
  await recordAll(
    'stop',
    async (stopPage) => {
      if (stopPage !== page) await stopPage.goto(address);
      await stopPage.getByText('Rooms given up').waitFor({ timeout: 60_000 });
    },
    826,
  );
} finally {
  await browser.close();
  hangup.stop();
  livekit.close();
  await emulator.stop();
  rmSync(folder, { recursive: true, force: true });
}
