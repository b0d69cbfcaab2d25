import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { ApiKey } from '../../src/domain/api-key.ts';
import type { EventFilter, StreamedEvent } from '../../src/ports/event-store.ts';
import type { OpenStore, Store } from '../../src/ports/store.ts';
import type { Clock } from '../../src/ports/system.ts';
import { ROOM } from '../harness/call-memory.ts';
import { buildCall } from '../harness/calls.ts';
import { type ManualClock, manualClock } from '../harness/manual-clock.ts';
import { POLICY } from '../harness/rosters.ts';

/** The tests of the event stream, for every store. */
export function eventConformance(
  name: string,
  openStore: (clock: Clock) => OpenStore | Promise<OpenStore>,
): void {
  describe(`${name}: events`, () => {
    let store: Store;
    let clock: ManualClock;
    let acme: ApiKey;
    let other: ApiKey;

    beforeEach(async () => {
      clock = manualClock(10_000);
      const opened = await openStore(clock);
      onTestFinished(async () => {
        await opened.close();
      });
      store = opened;
      const makeKey = (organizationName: string, digit: string) =>
        store.createApiKey({
          id: `key_${organizationName}`,
          organizationName,
          organizationIdIfNew: `org_${organizationName}`,
          name: 'test',
          hash: digit.repeat(64),
          scopes: ['calls:stop'],
          expiresAt: null,
          now: 1,
        });
      acme = await makeKey('acme', '1');
      other = await makeKey('other', '2');
    });

    const register = async (
      id: string,
      { key = acme, agentId = null as string | null, createdAt = 1_000 } = {},
    ) => {
      const { organizationId } = key;
      const call = buildCall({ id, organizationId, agentId, roomName: `room-${id}`, createdAt });
      const { result } = await store.changeCall({ kind: 'register', call, apiKeyId: key.id });
      expect(result.kind).toBe('registered');
    };
    const cancel = async (callId: string, leaseMs = 1_000) => {
      const { organizationId, id: apiKeyId } = acme;
      const command = { callId, organizationId, apiKeyId, reason: null, leaseMs };
      expect((await store.changeCall({ kind: 'cancel', ...command })).result.kind).toBe('cancelled');
    };
    const settle = (callId: string, attempt: number, settlement: { state: 'completed' } | FailedAttempt) =>
      store.settleDeletion({ callId, attempt, settlement, wasRescued: false, keptBecause: null });
    /** Reads all pages, and checks their positions. */
    const read = async ({
      key = acme,
      filter = {},
      limit = 100,
      after = 0,
    }: {
      key?: ApiKey;
      filter?: EventFilter;
      limit?: number;
      after?: number;
    } = {}) => {
      const events: StreamedEvent[] = [];
      for (let position = after; ; ) {
        const { organizationId } = key;
        const page = await store.listEvents({ organizationId, filter, after: position, limit });
        expect(page.events.length).toBeLessThanOrEqual(limit);
        for (const { id } of page.events) {
          expect(id).toBeGreaterThan(events.at(-1)?.id ?? after);
          expect(id).toBeLessThanOrEqual(page.position);
        }
        events.push(...page.events);
        if (page.isLast) return events;
        expect(page.position).toBeGreaterThan(position);
        position = page.position;
      }
    };
    const deletionEvents = async (key = acme) =>
      (await read({ key }))
        .filter(({ action }) => action === 'call.room_deletion')
        .map(({ subjectId, cancellationId, details, actor }) => ({
          subjectId,
          actor,
          ...(cancellationId !== null && { cancellationId }),
          ...details,
        }));

    test('a registered and cancelled call has its events, in the order of their commits', async () => {
      await register('c1', { agentId: 'a' });
      clock.set(20_000);
      await cancel('c1');
      expect(await read()).toEqual([
        expect.objectContaining({
          action: 'call.created',
          subjectId: 'c1',
          agentId: 'a',
          toStatus: 'initiated',
        }),
        expect.objectContaining({ action: 'call.status_changed', at: 20_000, agentId: null, details: null }),
        {
          id: expect.any(Number),
          at: 20_000,
          action: 'call.room_deletion',
          actor: 'reconciler',
          actorId: null,
          subjectId: 'c1',
          fromStatus: null,
          toStatus: null,
          reason: null,
          cancellationId: null,
          details: { state: 'running', attempt: 1, error: null },
          agentId: null,
        },
      ]);
      // A call's history has no attempts.
      const history = await store.listCallEvents({ callId: 'c1', after: 0, limit: 99 });
      expect(history.map(({ action }) => action)).toEqual(['call.created', 'call.status_changed']);
    });

    test('each attempt of a deletion that takes or ends its lease is an event', async () => {
      for (const id of ['c1', 'c2', 'c3']) {
        await register(id);
        await cancel(id);
      }
      await settle('c1', 1, { state: 'retryable', retryAfterMs: 10, lastError: 'unavailable: x' });
      clock.set(12_000);
      const claimed = await store.claimDeletions({ leaseMs: 1_000, maxDelayMs: 60_000, limit: 9 });
      expect(claimed).toHaveLength(3);
      // The lease of the attempt is lost, and a lost lease changes nothing.
      expect(await settle('c2', 1, { state: 'completed' })).toBeNull();
      expect(
        await store.completeDeletions([
          { callId: 'c1', attempt: 2 },
          { callId: 'c2', attempt: 1 },
          { callId: 'c3', attempt: 2 },
        ]),
      ).toEqual([true, false, true]);
      await settle('c2', 2, { state: 'discarded', lastError: 'too late' });
      const running = { actor: 'reconciler', state: 'running', error: null };
      const events = await deletionEvents();
      expect(events.slice(0, 4)).toEqual([
        { ...running, subjectId: 'c1', attempt: 1 },
        { ...running, subjectId: 'c2', attempt: 1 },
        { ...running, subjectId: 'c3', attempt: 1 },
        { ...running, subjectId: 'c1', state: 'retryable', attempt: 1, error: 'unavailable: x' },
      ]);
      expect(new Set(events.slice(4, 7))).toEqual(
        new Set(['c1', 'c2', 'c3'].map((subjectId) => ({ ...running, subjectId, attempt: 2 }))),
      );
      expect(events.slice(7)).toEqual([
        { ...running, subjectId: 'c1', state: 'completed', attempt: 2 },
        { ...running, subjectId: 'c3', state: 'completed', attempt: 2 },
        { ...running, subjectId: 'c2', state: 'discarded', attempt: 2, error: 'too late' },
      ]);
    });

    test('a deletion that a newer call completes is an event of the older call and its organization', async () => {
      const call = buildCall({ id: 'c1', organizationId: acme.organizationId, roomName: ROOM.name });
      await store.changeCall({ kind: 'register', call, apiKeyId: null });
      await cancel('c1');
      await settle('c1', 1, { state: 'discarded', lastError: 'x' });
      await store.addAdoptionPrefix({
        prefix: ROOM.name,
        organizationName: 'other',
        organizationIdIfNew: 'none',
        now: 1,
      });
      clock.set(2_000_000_000);
      const room = { ...ROOM, sid: 'RM_2', createdAt: 2_000_000_000 };
      const event = { id: 'EV', at: 2_000_000_000, room, payload: { kind: 'room_started' } } as const;
      const adopted = { id: 'adopted', agentId: null };
      const { result } = await store.changeCall({ kind: 'room_event', event, policy: POLICY, adopted });
      expect(result).toMatchObject({ callId: 'adopted', wasAdopted: true });
      expect((await deletionEvents()).at(-1)).toMatchObject({ subjectId: 'c1', state: 'completed' });
      expect(await deletionEvents(other)).toEqual([]);
      expect(new Set((await read({ key: other })).map(({ subjectId }) => subjectId))).toEqual(
        new Set(['adopted']),
      );
    });

    test('filters and pages of any size return the same events as one read of all', async () => {
      for (let i = 0; i < 12; i += 1) {
        await register(`c${i}`, { agentId: `a${i % 3}` });
        await register(`o${i}`, { key: other, agentId: 'a0' });
      }
      const { organizationId, id: createdBy } = acme;
      const selector = { filter: { agentId: 'a1' } };
      const cancellation = { id: 'can', organizationId, reason: 'why', createdBy, selector, hasHold: true };
      await store.createCancellation({
        cancellation,
        ...{ expectedAtMost: null, isDryRun: false, idempotency: null },
      });
      await store.advanceCancellation({ id: 'can', limit: 99, budgetMs: 1_000 });
      for (const id of ['c0', 'c3']) await cancel(id);
      for (const { callId, attempt } of await store.claimDeletions({ leaseMs: 1, maxDelayMs: 9, limit: 9 })) {
        await settle(callId, attempt, { state: 'completed' });
      }
      await store.advanceCancellation({ id: 'can', limit: 99, budgetMs: 1_000 });
      await store.liftHold({ id: 'can', organizationId, apiKeyId: createdBy, idempotency: null });
      const all = await read();
      expect(new Set(all.map(({ action }) => action)).size).toBe(5);
      const agentOf = (callId: string) => `a${Number(callId.slice(1)) % 3}`;
      const matches = ({ agentId, callId, cancellationId }: EventFilter) =>
        all.filter(
          ({ action, subjectId, cancellationId: cause }) =>
            (agentId === undefined || (action.startsWith('call.') && agentOf(subjectId) === agentId)) &&
            (callId === undefined || subjectId === callId) &&
            (cancellationId === undefined || cause === cancellationId),
        );
      const filters: EventFilter[] = [
        {},
        { agentId: 'a0' },
        { agentId: 'a1' },
        { agentId: 'none' },
        { callId: 'c4' },
        { callId: 'o0' },
        { callId: 'can' },
        { cancellationId: 'can' },
        { cancellationId: 'none' },
        { agentId: 'a1', cancellationId: 'can' },
        { agentId: 'a0', cancellationId: 'can' },
        { callId: 'c4', cancellationId: 'can' },
        { callId: 'c4', agentId: 'a1' },
        { callId: 'c4', agentId: 'a2' },
      ];
      for (const filter of filters) {
        // The id of a cancellation is not the id of a call.
        const expected = filter.callId === 'can' ? [] : matches(filter);
        for (const limit of [1, 2, 7, 100]) {
          expect(await read({ filter, limit }), JSON.stringify(filter)).toEqual(expected);
        }
        const after = all[5]?.id ?? 0;
        expect(await read({ filter, after })).toEqual(expected.filter(({ id }) => id > after));
      }
      expect(await read({ key: other, filter: { cancellationId: 'can' } })).toEqual([]);
    });

    test('a page reads at most 2,000 entries, and its position moves on', async () => {
      for (let i = 0; i < 2_500; i += 1) await register(`o${i}`, { key: other });
      await register('c1', { agentId: 'a' });
      const { organizationId } = acme;
      for (const filter of [{}, { agentId: 'a' }]) {
        const page = await store.listEvents({ organizationId, filter, after: 0, limit: 100 });
        expect(page).toMatchObject({ events: [], position: 2_000, isLast: false });
        expect(await read({ filter })).toMatchObject([{ subjectId: 'c1' }]);
      }
      // An index leads to the events of a call.
      const filter = { callId: 'c1' };
      const page = await store.listEvents({ organizationId, filter, after: 0, limit: 100 });
      expect(page).toMatchObject({ events: [{ subjectId: 'c1' }], isLast: true });
    });

    test('pruned events between events that a wrong clock keeps are detected', async () => {
      const { newest } = await store.getEventRange();
      for (const [i, createdAt] of [99_000, 1_000, 99_000].entries()) await register(`c${i}`, { createdAt });
      const pruned = await store.pruneAudit({ before: 20_000, now: 50_000, limit: 99 });
      expect(pruned).toBeGreaterThan(0);
      const { organizationId } = acme;
      const isPruned = async (after: number, filter = {}) =>
        (await store.listEvents({ organizationId, filter, after, limit: 9 })).isPruned;
      expect(await isPruned(newest)).toBe(true);
      expect(await isPruned(newest + 1)).toBe(true);
      expect(await isPruned(newest + 1, { callId: 'c2' })).toBe(true);
      expect(await isPruned(newest + 2)).toBe(false);
      expect(await isPruned(newest + 3)).toBe(false);
    });

    test('the range of events grows with writes, and shrinks with pruning', async () => {
      const { oldest, newest } = await store.getEventRange();
      expect(oldest).toBe(1);
      await register('c1');
      await register('c2');
      expect(await store.getEventRange()).toEqual({ oldest, newest: newest + 2 });
      const { organizationId } = acme;
      const page = () => store.listEvents({ organizationId, filter: {}, after: newest, limit: 9 });
      expect(await page()).toMatchObject({ isPruned: false, position: newest + 2 });
      expect(
        await store.pruneAudit({ before: Number.MAX_SAFE_INTEGER, now: 20_000, limit: 99 }),
      ).toBeGreaterThan(2);
      // The newest position stays: a reader with this position has missed nothing.
      expect(await store.getEventRange()).toEqual({ oldest: newest + 3, newest: newest + 2 });
      expect(await page()).toMatchObject({ events: [], isPruned: true });
      // This reader misses only the newest event.
      const missing = await store.listEvents({ organizationId, filter: {}, after: newest + 1, limit: 9 });
      expect(missing).toMatchObject({ events: [], isPruned: true });
      const last = await store.listEvents({ organizationId, filter: {}, after: newest + 2, limit: 9 });
      expect(last).toEqual({ events: [], position: newest + 2, isLast: true, isPruned: false });
      await register('c3');
      expect(await read({ after: newest + 2 })).toMatchObject([{ id: newest + 3, subjectId: 'c3' }]);
    });
  });
}

type FailedAttempt =
  | { readonly state: 'retryable'; readonly retryAfterMs: number; readonly lastError: string }
  | { readonly state: 'discarded'; readonly lastError: string };
