import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { SCOPES } from '../../../src/domain/api-key.ts';
import { createRoomService } from '../../../src/livekit/room-service.ts';
import type { RoomServiceTransport } from '../../../src/livekit/transport/twirp.ts';
import { prometheusMetrics } from '../../../src/metrics/prometheus.ts';
import { createApiKey } from '../../../src/operations/api-keys/create.ts';
import {
  attemptClaimedDeletion,
  claimDueDeletions,
} from '../../../src/operations/deletions/due-deletions.ts';
import type { Dependencies } from '../../../src/operations/dependencies.ts';
import { systemRandom } from '../../../src/platform/clock.ts';
import { parseSettings } from '../../../src/platform/config.ts';
import { openSqliteStore } from '../../../src/store/sqlite/sqlite-store.ts';
import { buildCall } from '../../harness/calls.ts';
import { temporaryFolder } from '../../harness/temporary.ts';

const BACKGROUND_TIMEOUT_MS = 10_000;
const CLAIMED_AT = 100_000;

/** Claims the deletion of a cancelled call, and attempts it after a wait. LiveKit accepts each DeleteRoom. */
async function claimThenAttempt({
  afterMs,
  isLeasedAgain = false,
}: {
  afterMs: number;
  isLeasedAgain?: boolean;
}) {
  let now = 50_000;
  const clock = { now: () => now };
  const store = openSqliteStore(join(temporaryFolder(), 'hangup.db'), { clock });
  onTestFinished(() => store.close());
  const { apiKey } = await createApiKey(
    { store, clock, random: systemRandom },
    { organizationName: 'acme', name: 'test', scopes: SCOPES, expiresAt: null },
  );
  const { organizationId } = apiKey;
  const call = buildCall({ id: 'c1', organizationId, status: 'active' });
  await store.changeCall({ kind: 'register', call, apiKeyId: null });
  const cancel = { callId: 'c1', organizationId, apiKeyId: apiKey.id, reason: null, leaseMs: 0 };
  await store.changeCall({ kind: 'cancel', ...cancel, idempotency: null });
  const events: string[] = [];
  const transport: RoomServiceTransport = async ({ method, timeoutMs, priority, read }) => {
    events.push(`${method} (${priority}) within ${timeoutMs} ms`);
    return { kind: 'answered', value: await read(emptyJson()) };
  };
  const dependencies: Dependencies = {
    ...parseSettings({}, 'cli').operations,
    backgroundTimeoutMs: BACKGROUND_TIMEOUT_MS,
    store,
    rooms: createRoomService(transport),
    clock,
    random: systemRandom,
    metrics: prometheusMetrics({ clock, version: 'test' }),
    log: { info: () => {}, warn: () => {}, error: () => {} },
    onCancellation: () => {},
    nudge: (at) => events.push(`nudge to ${at - CLAIMED_AT} ms`),
  };
  now = CLAIMED_AT;
  const [deletion] = await claimDueDeletions(dependencies, { limit: 1 });
  if (deletion === undefined) throw new Error('the deletion is not due');
  if (isLeasedAgain) {
    await store.retryDeletion({ callId: 'c1' });
    await claimDueDeletions(dependencies, { limit: 1 });
  }
  now += afterMs;
  await attemptClaimedDeletion(dependencies, deletion, {
    onRequestsEnded: () => events.push('requests ended'),
    async complete(lease) {
      const [isCompleted = false] = await store.completeDeletions([lease]);
      events.push('completed together');
      return isCompleted;
    },
  });
  return { events, state: (await store.findCall('c1'))?.deletion?.state };
}

async function* emptyJson() {
  yield Buffer.from('{}');
}

test.each([
  [0, 10_000],
  [4_000, 10_000],
  [4_001, 9_999],
  [13_999, 1],
])('a deletion that waited %i ms since its claim has %i ms for its request', async (afterMs, timeoutMs) => {
  expect(await claimThenAttempt({ afterMs })).toEqual({
    events: [`DeleteRoom (cancel) within ${timeoutMs} ms`, 'requests ended', 'completed together'],
    state: 'completed',
  });
});

test('a deletion that another attempt leased during the wait is not attempted', async () => {
  expect(await claimThenAttempt({ afterMs: 11, isLeasedAgain: true })).toEqual({
    events: [],
    state: 'running',
  });
});

test('a deletion whose lease is about to end is not attempted, and is due when the lease ends', async () => {
  expect(await claimThenAttempt({ afterMs: 14_000 })).toEqual({
    events: ['nudge to 15000 ms'],
    state: 'running',
  });
});
