import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import type { Emulator } from '../../../src/emulator/emulator.ts';
import { type LiveKitUnderTest, startEmulated } from '../../harness/livekit.ts';
import { freePorts } from '../../harness/ports.ts';
import { type RunningHangup, runHangup, serveHangup } from '../../harness/process.ts';
import { temporaryFolder } from '../../harness/temporary.ts';

/*
 * Opens the console in Chromium. CHROMIUM is its program. HANGUP_BINARY, if set, is the single file that serves the console;
 * else the bundle of this run serves dist/console.
 */

const { CHROMIUM: executablePath = '/usr/bin/chromium' } = process.env;

/** A name of this machine, whose pages over http have no secure context, as in the network of an operator. */
export const INSECURE_HOST = 'console.test';

let browser: Browser;

/** Starts Chromium before the tests of a file, and ends it after them. */
export function useBrowser(): void {
  beforeAll(async () => {
    // A page on localhost may use functions that a page on http of another name may not. A proxy of the environment would
    // get the requests for that name.
    const args = [`--host-resolver-rules=MAP ${INSECURE_HOST} 127.0.0.1`, '--no-proxy-server'];
    browser = await chromium.launch({ executablePath, args, timeout: 60_000 });
  });
  afterAll(() => browser.close());
}

/** A process of hangup with an emulator in the test's own process. */
export interface ConsoleServer {
  readonly url: string;
  readonly livekit: LiveKitUnderTest & { readonly emulator: Emulator };
  /** A key with all scopes. */
  readonly key: string;
  /** Runs a command of hangup on the same database, and returns its standard output. */
  run(...args: readonly string[]): Promise<string>;
  /** Creates a key of the organization with these scopes. Returns the key and its id. */
  createKey(scopes: readonly string[], organization?: string): Promise<{ key: string; id: string }>;
  /** Sends a request to the REST API with the key. Returns `data` of the response. */
  send(method: string, path: string, body?: unknown): Promise<unknown>;
  /** Kills the process. */
  kill(): Promise<void>;
  /** Starts the process again, on the same port and database. */
  restart(): Promise<void>;
}

const ORGANIZATION = 'acme';

/** Starts hangup on an empty database. */
export async function startConsole(env: Readonly<Record<string, string>> = {}): Promise<ConsoleServer> {
  const cwd = temporaryFolder();
  const [port] = await freePorts(1);
  const livekit = await startEmulated({ webhookUrls: [`http://127.0.0.1:${port}/webhooks/livekit`] });
  onTestFinished(() => livekit.stop());
  const settings = {
    PORT: String(port),
    DATABASE_URL: `file:${cwd}/hangup.db`,
    LIVEKIT_URL: livekit.url,
    LIVEKIT_API_KEY: livekit.apiKey,
    LIVEKIT_API_SECRET: livekit.apiSecret,
    ...env,
  };
  const run = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await runHangup(args, { env: settings, cwd });
    if (code !== 0) throw new Error(`hangup ${args.join(' ')} ended with ${code}: ${stderr}`);
    return stdout;
  };
  const createKey = async (scopes: readonly string[], organization = ORGANIZATION) => {
    const output = await run(
      ...['keys', 'create', '--org', organization, '--name', 'test'],
      ...['--scope', ...scopes],
    );
    const key = /hangup_live_[\w-]+/.exec(output)?.[0];
    const list = await run('keys', 'list', '--json');
    const id = [...list.matchAll(/key_[0-9a-f]{32}/g)]
      .map(([found]) => found)
      .toSorted((a, b) => (a < b ? -1 : 1))
      .at(-1);
    if (key === undefined || id === undefined) throw new Error(`keys create printed no key: ${output}`);
    return { key, id };
  };
  const { key } = await createKey(['calls:read', 'calls:write', 'calls:cancel', 'calls:stop', 'admin']);
  let hangup: RunningHangup = await serveHangup({ env: settings, cwd });
  const { url } = hangup;
  return {
    url,
    livekit,
    key,
    run,
    createKey,
    async send(method, path, body) {
      const response = await fetch(`${url}/api/v1${path}`, {
        method,
        headers: { 'x-api-key': key, ...(body !== undefined && { 'content-type': 'application/json' }) },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${method} ${path} got ${response.status}: ${text}`);
      return JSON.parse(text).data;
    },
    async kill() {
      await hangup.kill('SIGKILL');
    },
    async restart() {
      hangup = await serveHangup({ env: settings, cwd });
    },
  };
}

export interface ConsolePage {
  readonly page: Page;
  /** URLs of all requests. */
  readonly requests: readonly string[];
  /** Errors of the page, and violations of its content security policy. */
  readonly problems: readonly string[];
}

/** Opens a path of the console, such as `/console/calls`, in a new browser profile. */
export async function openConsole(
  url: string,
  path = '/console/',
  options: BrowserContextOptions = {},
): Promise<ConsolePage> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  onTestFinished(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const requests: string[] = [];
  const problems: string[] = [];
  page.on('request', (request) => requests.push(request.url()));
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('console', (message) => {
    // Chromium also reports each response with an error status, which some tests cause.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
      problems.push(message.text());
  });
  // Chromium does not report each violation on its console.
  await page.addInitScript(`
    document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
      console.error('policy violation: ' + violatedDirective + ' ' + blockedURI);
    });
  `);
  await page.goto(`${url}${path}`);
  return { page, requests, problems };
}

/** Opens a path of the console and signs in by the form. */
export async function openSignedIn(
  { url, key }: Pick<ConsoleServer, 'url' | 'key'>,
  path = '/console/calls',
  options: BrowserContextOptions = {},
): Promise<ConsolePage> {
  const opened = await openConsole(url, path, options);
  await signIn(opened.page, key);
  return opened;
}

/** Signs in by the form. */
export async function signIn(page: Page, key: string): Promise<void> {
  await page.getByLabel('API key').fill(key);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('navigation').waitFor();
}

/** Hides or shows the tab, as a browser does when the reader opens another one. */
export async function setVisibility(page: Page, state: 'hidden' | 'visible'): Promise<void> {
  await page.evaluate(`
    Object.defineProperty(document, 'visibilityState', { configurable: true, value: '${state}' });
    document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
  `);
}

/**
 * Holds the responses of the requests that match a pattern until the returned function is called. hangup gets the requests
 * at once.
 */
export async function holdResponses(page: Page, pattern: RegExp): Promise<() => void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  await page.route(pattern, async (route) => {
    const response = await route.fetch();
    await promise;
    await route.fulfill({ response });
  });
  return resolve;
}

/** The pages of the navigation, by their addresses. */
export const PAGES = {
  '/console/calls': 'Calls',
  '/console/stop': 'Stop',
  '/console/health': 'Health',
  '/console/keys': 'Keys',
} as const;

/** Waits until a page of the navigation is open. */
export async function waitForPage(page: Page, name: string): Promise<void> {
  await page.getByRole('heading', { level: 1, name, exact: true }).waitFor();
}

/** Registers live calls with rooms: an agent and a phone in each. Returns their ids. */
export async function startCalls(
  { livekit, send }: Pick<ConsoleServer, 'livekit' | 'send'>,
  count: number,
  { agentId = 'receptionist', prefix = 'call' }: { agentId?: string; prefix?: string } = {},
): Promise<readonly string[]> {
  const ids = Array.from({ length: count }, (_, index) => `${prefix}-${index + 1}`);
  for (const [index, id] of ids.entries()) {
    const phoneNumber = `+1555${String(1_000_000 + index)}`;
    await send('POST', '/calls', { id, agentId, agentName: agentId, phoneNumber, contact: { name: 'Ada' } });
    livekit.emulator.join(id, { identity: 'agent', kind: 'AGENT' });
    livekit.emulator.join(id, {
      identity: 'phone',
      kind: 'SIP',
      attributes: { 'sip.callStatus': 'active', 'sip.phoneNumber': phoneNumber },
    });
  }
  return ids;
}
