import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startApp, systemClock, systemRandom } from '../../src/app.ts';
import { parseSettings, type Settings } from '../../src/config.ts';
import { SCOPES, type Scope } from '../../src/domain/api-key.ts';
import type { Call } from '../../src/domain/call.ts';
import type { Clock, Log } from '../../src/domain/ports.ts';
import { createApiKey } from '../../src/operations/create-api-key.ts';
import type { SqliteStore } from '../../src/store/sqlite-store.ts';
import { aCall } from './calls.ts';
import { type LiveKitUnderTest, startLiveKit } from './livekit.ts';

export interface LogLine {
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
}

/** The real app, on a database of its own and a LiveKit. */
export interface Hangup {
  readonly url: string;
  readonly livekit: LiveKitUnderTest;
  readonly store: SqliteStore;
  readonly databaseFile: string;
  readonly organizationId: string;
  /** A key of that organization, with all scopes. */
  readonly key: string;
  readonly log: readonly LogLine[];
  makeKey(organizationName: string, scopes?: readonly Scope[], expiresAt?: number): Promise<string>;
  /** Puts a call on record as it is, past the API. */
  putCall(parts: Partial<Call> & { id: string }): Promise<void>;
  send(
    method: string,
    path: string,
    options?: { key?: string | null; body?: unknown; headers?: Record<string, string> },
  ): Promise<Answer>;
  stop(): Promise<void>;
}

const QUICK: Partial<Settings> = {
  requestTimeoutMs: 1_000,
  backgroundTimeoutMs: 1_000,
  readTimeoutMs: 200,
  retry: { firstDelayMs: 20, maxDelayMs: 200, maxAgeMs: 86_400_000 },
};

export async function startHangup({
  livekit: given,
  settings = {},
  clock = systemClock,
}: {
  livekit?: LiveKitUnderTest;
  settings?: Partial<Settings>;
  clock?: Clock;
} = {}): Promise<Hangup> {
  const folder = mkdtempSync(join(tmpdir(), 'hangup-test-'));
  const databaseFile = join(folder, 'hangup.db');
  const livekit = given ?? (await startLiveKit());
  const log: LogLine[] = [];
  const { url, store, stop } = await startApp({
    settings: { ...parseSettings({}, 'serve'), ...QUICK, port: 0, databaseFile, ...settings },
    livekit,
    log: logInto(log),
    version: 'test',
    clock,
  });
  const makeKey = async (
    organizationName: string,
    scopes: readonly Scope[] = SCOPES,
    expiresAt: number | null = null,
  ) =>
    createApiKey(
      { store, clock, random: systemRandom },
      { organizationName, name: 'test', scopes, expiresAt },
    );
  const { apiKey, key } = await makeKey('acme');
  return {
    url,
    livekit,
    store,
    databaseFile,
    organizationId: apiKey.organizationId,
    key,
    log,
    makeKey: async (...args) => (await makeKey(...args)).key,
    putCall: async (parts) => {
      const call = aCall({ organizationId: apiKey.organizationId, ...parts });
      const result = await store.createCall({ call, apiKeyId: null });
      if (result !== 'created') throw new Error(`${parts.id} was not put: ${result}`);
    },
    send: async (method, path, { key: presented = key, body, headers } = {}) => {
      const response = await fetch(`${url}${path}`, {
        method,
        headers: {
          ...(presented !== null && { 'x-api-key': presented }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      return { status: response.status, headers: response.headers, body: text && JSON.parse(text) };
    },
    stop: async () => {
      await stop();
      if (given === undefined) await livekit.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function logInto(lines: LogLine[]): Log {
  const at = (level: LogLine['level']) => (fields: object, message: string) => {
    lines.push({ level, message, fields: { ...fields } });
  };
  return { info: at('info'), warn: at('warn'), error: at('error') };
}

/** Looks again until it is so; fails, naming what it waited for, when it does not become so. */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  timeoutMs = 20_000,
): Promise<void> {
  const giveUpAt = performance.now() + timeoutMs;
  while (!(await isSo())) {
    if (performance.now() > giveUpAt) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
