import { describe, expect, onTestFinished, test } from 'vitest';
import { formatKey } from '../../src/domain/api-key.ts';
import { type Hangup, startHangup } from '../harness/hangup.ts';
import { manualTimers } from '../harness/manual-timers.ts';
import { postgresDatabase } from '../harness/postgres.ts';
import { hasPostgres } from '../harness/postgres-server.ts';

const LIMITS = { calls: 4, cancels: 4, anonymous: 4 };
/** An address from which the harness sends nothing. */
const CLIENT = { 'x-forwarded-for': '203.0.113.1' };
const WRONG_KEY = formatKey('0'.repeat(43));

describe.skipIf(!hasPostgres())('processes on one Postgres', () => {
  test.each([
    { policy: 'calls', method: 'GET', path: '/api/v1/calls/none', status: 404, hasKey: true },
    { policy: 'cancels', method: 'DELETE', path: '/api/v1/calls/none', status: 404, hasKey: true },
    { policy: 'anonymous', method: 'GET', path: '/api/v1/calls', status: 401, hasKey: false },
  ])('share the rate limit of $policy', async ({ method, path, status, hasKey }) => {
    const database = { kind: 'postgres', url: await postgresDatabase() } as const;
    const start = async (livekit?: Hangup['livekit']) => {
      const hangup = await startHangup({
        settings: { database, rateLimits: LIMITS, trustedProxies: ['127.0.0.1'] },
        // A busy machine can need longer for a count than hangup waits before it counts in memory.
        timers: manualTimers(),
        ...(livekit && { livekit }),
      });
      onTestFinished(() => hangup.stop());
      return hangup;
    };
    const first = await start();
    const both = [first, await start(first.livekit)] as const;
    const key = hasKey ? first.key : WRONG_KEY;
    const send = async (process: number) =>
      (await both[process % 2]?.send(method, path, { key, headers: CLIENT }))?.status;
    for (let i = 0; i < LIMITS.calls; i += 1) expect(await send(i)).toBe(status);
    expect([await send(0), await send(1)]).toEqual([429, 429]);
  });
});
