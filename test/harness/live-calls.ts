import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { startEmulator } from '../../src/emulator/emulator.ts';
import { createApiKey } from '../../src/operations/api-keys/create.ts';
import { systemClock, systemRandom } from '../../src/platform/clock.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { buildCall } from './calls.ts';
import { type GateRequest, startGate } from './gate.ts';
import { serveHangup } from './process.ts';
import { temporaryFolder } from './temporary.ts';

const KEYS = { apiKey: 'devkey', apiSecret: 'secretsecretsecretsecretsecretsecret' };

/**
 * Creates a database with live calls, each with a caller in its room, and the environment to serve it.
 * @param pass holds each request to LiveKit until the promise resolves
 */
export async function prepareCalls(
  count: number,
  {
    folder = temporaryFolder(),
    settings = {},
    pass,
  }: {
    folder?: string;
    settings?: Record<string, string>;
    pass?: (request: GateRequest) => Promise<void>;
  } = {},
) {
  const emulator = await startEmulator(KEYS);
  onTestFinished(() => emulator.stop());
  const cwd = folder;
  const file = join(cwd, 'hangup.db');
  const store = openSqliteStore(file);
  onTestFinished(() => store.close());
  const { apiKey, key } = await createApiKey(
    { store, clock: systemClock, random: systemRandom },
    {
      organizationName: 'acme',
      name: 'test',
      scopes: ['calls:read', 'calls:write', 'calls:cancel', 'calls:stop'],
      expiresAt: null,
    },
  );
  const ids = Array.from({ length: count }, (_, i) => `c${i}`);
  for (const id of ids) {
    const call = buildCall({ id, organizationId: apiKey.organizationId, status: 'active' });
    await store.changeCall({ kind: 'register', call, apiKeyId: null });
    emulator.join(id, { identity: 'caller' });
  }
  const env = {
    DATABASE_URL: `file:${file}`,
    LIVEKIT_URL: pass === undefined ? emulator.url : await startGate(emulator.url, pass),
    LIVEKIT_API_KEY: KEYS.apiKey,
    LIVEKIT_API_SECRET: KEYS.apiSecret,
    // Short leases: a deletion that a crash interrupted is due when its lease ends.
    LIVEKIT_CANCEL_TIMEOUT_MS: '500',
    LIVEKIT_BACKGROUND_TIMEOUT_MS: '500',
    ...settings,
  };
  return { emulator, store, key, ids, file, env, serve: () => serveHangup({ env, cwd }) };
}

/** Cancels all calls and returns the ids of those answered with 200 before the process died. */
export async function cancelAll(url: string, key: string, ids: readonly string[]): Promise<string[]> {
  const answered = await Promise.all(
    ids.map(async (id) => {
      try {
        const response = await fetch(`${url}/api/v1/calls/${id}`, {
          method: 'DELETE',
          headers: { 'x-api-key': key },
        });
        return response.status === 200 ? [id] : [];
      } catch {
        return [];
      }
    }),
  );
  return answered.flat();
}

/** Records that are half written: the status, the deletion and the audit event of a cancel belong to one commit. */
export const HALF_CANCELLED = `
  SELECT id FROM calls
  WHERE (status = 'cancelled') <> EXISTS (SELECT 1 FROM room_deletions WHERE call_id = calls.id)
    OR (status = 'cancelled') <>
      (SELECT count(*) = 1 FROM audit_log WHERE subject_id = calls.id AND to_status = 'cancelled')`;

/** Starts a cancellation of all calls, and returns its id. */
export async function stopAll(url: string, key: string): Promise<string> {
  const response = await fetch(`${url}/api/v1/cancellations`, {
    method: 'POST',
    headers: { 'x-api-key': key, 'content-type': 'application/json' },
    body: JSON.stringify({ all: true, reason: 'test' }),
  });
  if (response.status !== 202) throw new Error(`HTTP ${response.status}: ${await response.text()}`);
  const { data } = (await response.json()) as { data: { id: string } };
  return data.id;
}
