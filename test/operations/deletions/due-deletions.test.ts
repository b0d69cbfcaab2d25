import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { SCOPES } from '../../../src/domain/api-key.ts';
import { createRoomService } from '../../../src/livekit/room-service.ts';
import type { RoomServiceTransport } from '../../../src/livekit/transport/twirp.ts';
import { prometheusMetrics } from '../../../src/metrics/prometheus.ts';
import { createApiKey } from '../../../src/operations/api-keys/create.ts';
import { cancelCall } from '../../../src/operations/calls/cancel.ts';
import {
  attemptClaimedDeletion,
  claimDueDeletions,
} from '../../../src/operations/deletions/due-deletions.ts';
import type { Dependencies } from '../../../src/operations/dependencies.ts';
import { systemRandom } from '../../../src/platform/clock.ts';
import { parseSettings } from '../../../src/platform/config.ts';
import { type LocalStore, openSqliteStore } from '../../../src/store/sqlite/sqlite-store.ts';
import { buildCall } from '../../harness/calls.ts';
import { temporaryFolder } from '../../harness/temporary.ts';

const BACKGROUND_TIMEOUT_MS = 10_000;
const CLAIMED_AT = 100_000;

/**
 * Registers an active call. LiveKit accepts each DeleteRoom.
 * @param storeAheadMs difference of the store's clock from the clock of the process, as on Postgres
 */
async function start({ storeAheadMs = 0 }: { storeAheadMs?: number } = {}) {
  let now = 50_000;
  const clock = { now: () => now };
  const store = openSqliteStore(join(temporaryFolder(), 'hangup.db'), {
    clock: { now: () => now + storeAheadMs },
  });
  onTestFinished(() => store.close());
  const { apiKey } = await createApiKey(
    { store, clock, random: systemRandom },
    { organizationName: 'acme', name: 'test', scopes: SCOPES, expiresAt: null },
  );
  const { organizationId } = apiKey;
  const call = buildCall({ id: 'c1', organizationId, status: 'active' });
  await store.changeCall({ kind: 'register', call, apiKeyId: null });
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
  return { apiKey, dependencies, events, store, setTime: (at: number) => (now = at) };
}

/** Claims the deletion of a cancelled call, and attempts it after a wait. */
async function claimThenAttempt({
  afterMs,
  isLeasedAgain = false,
  storeAheadMs = 0,
}: {
  afterMs: number;
  isLeasedAgain?: boolean;
  storeAheadMs?: number;
}) {
  const { apiKey, dependencies, events, store, setTime } = await start({ storeAheadMs });
  const cancel = { callId: 'c1', organizationId: apiKey.organizationId, apiKeyId: apiKey.id, reason: null };
  await store.changeCall({ kind: 'cancel', ...cancel, leaseMs: 0, idempotency: null });
  setTime(CLAIMED_AT);
  const [deletion] = await claimDueDeletions(dependencies, { limit: 1 });
  if (deletion === undefined) throw new Error('the deletion is not due');
  if (isLeasedAgain) {
    await store.retryDeletion({ callId: 'c1' });
    await claimDueDeletions(dependencies, { limit: 1 });
  }
  setTime(CLAIMED_AT + afterMs);
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

describe.each([-120_000, 120_000])(
  "the store's clock is %i ms ahead of the clock of the process",
  (storeAheadMs) => {
    test.each([
      [0, 10_000],
      [13_999, 1],
    ])(
      'a deletion that waited %i ms since its claim has %i ms for its request',
      async (afterMs, timeoutMs) => {
        expect(await claimThenAttempt({ afterMs, storeAheadMs })).toEqual({
          events: [`DeleteRoom (cancel) within ${timeoutMs} ms`, 'requests ended', 'completed together'],
          state: 'completed',
        });
      },
    );

    test('a deletion that another attempt leased during the wait is not attempted', async () => {
      expect(await claimThenAttempt({ afterMs: 11, isLeasedAgain: true, storeAheadMs })).toEqual({
        events: [],
        state: 'running',
      });
    });

    test('a deletion whose lease is about to end is due when the lease ends', async () => {
      expect(await claimThenAttempt({ afterMs: 14_000, storeAheadMs })).toEqual({
        events: ['nudge to 15000 ms'],
        state: 'running',
      });
    });
  },
);

describe('a process that is suspended during a cancel', () => {
  /** Cancels the call. Suspends the process after the write, while another process works. */
  async function cancelSuspended(suspendedMs: number, meanwhile: (store: LocalStore) => Promise<unknown>) {
    const { apiKey, dependencies, events, store, setTime } = await start();
    const cancelTimeoutMs = 2_500;
    setTime(CLAIMED_AT);
    const changeCall: LocalStore['changeCall'] = async (command) => {
      const changed = await store.changeCall(command);
      setTime(CLAIMED_AT + suspendedMs);
      await meanwhile(store);
      return changed;
    };
    await cancelCall(
      { ...dependencies, cancelTimeoutMs, store: { ...store, changeCall } },
      { apiKey, callId: 'c1', reason: null, idempotencyKey: null, markReplayed: () => {} },
    );
    return { events, deletion: (await store.findCall('c1'))?.deletion };
  }

  test('deletes no room after another attempt deleted the room, because a newer call may use its name', async () => {
    const { events, deletion } = await cancelSuspended(60_000, async (store) => {
      const [claimed] = await store.claimDeletions({ leaseMs: 1, maxDelayMs: 60_000, limit: 1 });
      expect(claimed).toMatchObject({ callId: 'c1', attempt: 2 });
      expect(await store.completeDeletions([{ callId: 'c1', attempt: 2 }])).toEqual([true]);
    });
    expect(events).toEqual([]);
    expect(deletion).toMatchObject({ state: 'completed', attempt: 2 });
  });

  test('deletes the room if no other attempt began', async () => {
    const { events, deletion } = await cancelSuspended(60_000, async () => {});
    expect(events).toEqual(['DeleteRoom (cancel) within 500 ms']);
    expect(deletion).toMatchObject({ state: 'completed', attempt: 1 });
  });
});
