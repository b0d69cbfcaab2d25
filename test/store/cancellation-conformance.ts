import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { ApiKey } from '../../src/domain/api-key.ts';
import type { Call } from '../../src/domain/call.ts';
import { DIRECTIONS, isLive, LIVE_STATUSES } from '../../src/domain/call-status.ts';
import type { CallFilter, CancellationSelector } from '../../src/domain/cancellation.ts';
import { isSelected } from '../../src/domain/hold.ts';
import type { OpenStore, Store } from '../../src/ports/store.ts';
import type { Clock } from '../../src/ports/system.ts';
import { buildCall } from '../harness/calls.ts';
import { type ManualClock, manualClock } from '../harness/manual-clock.ts';
import { AGENT, joined, PERSON, POLICY } from '../harness/rosters.ts';

const NOW = 10_000;
const UNLIMITED = { limit: 1_000, budgetMs: 60_000 };

/** The tests of cancellations of many calls, for every store. */
export function cancellationConformance(
  name: string,
  openStore: (clock: Clock) => OpenStore | Promise<OpenStore>,
): void {
  describe(`${name}: cancellations`, () => {
    let store: Store;
    let clock: ManualClock;
    let acme: ApiKey;
    let other: ApiKey;

    beforeEach(async () => {
      clock = manualClock();
      clock.set(NOW);
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

    const insert = async (parts: Partial<Call> & { id: string }) => {
      const call = buildCall({ organizationId: acme.organizationId, status: 'active', ...parts });
      return (await store.changeCall({ kind: 'register', call, apiKeyId: acme.id })).result;
    };
    const start = async (
      selector: CancellationSelector,
      { id = 'can', hasHold = false, key = '' }: { id?: string; hasHold?: boolean; key?: string } = {},
    ) => {
      const { organizationId, id: createdBy } = acme;
      return store.createCancellation({
        cancellation: { id, organizationId, reason: 'why', createdBy, selector, hasHold },
        expectedAtMost: null,
        isDryRun: false,
        idempotency: key === '' ? null : { organizationId, key, fingerprint: 'f', ttlMs: 1_000 },
      });
    };
    const advance = (id = 'can', options: Partial<typeof UNLIMITED> = {}) =>
      store.advanceCancellation({ id, ...UNLIMITED, ...options });
    const find = (id = 'can') => store.findCancellation(id);
    const call = async (id: string) => (await store.findCall(id))?.call;
    const statusesOf = async (ids: readonly string[]) =>
      Promise.all(ids.map(async (id) => (await call(id))?.status));
    const settleAll = async (state: 'completed' | 'discarded' = 'completed') => {
      const settlement = state === 'completed' ? { state } : { state, lastError: 'timed_out' };
      const claimed = await store.claimDeletions({ leaseMs: 1_000, maxDelayMs: 60_000, limit: 100 });
      for (const { callId, attempt } of claimed) {
        await store.settleDeletion({ callId, attempt, settlement, wasRescued: false, keptBecause: null });
      }
    };
    const eventsOf = async (id = 'can') =>
      (await store.listCallEvents({ callId: id, after: 0, limit: 99 })).map(({ action, details }) => ({
        action,
        details,
      }));
    const receive = (roomName: string, payload: ReturnType<typeof joined> | { kind: 'room_started' }) => {
      const room = { name: roomName, sid: `RM_${roomName}`, createdAt: NOW, metadata: '' };
      const id = `EV_${Math.random()}`;
      return store.changeCall({
        kind: 'room_event',
        event: { id, at: NOW, room, payload },
        policy: POLICY,
        adopted: { id: `adopted_${roomName}`, agentId: 'a' },
      });
    };

    test('a cancellation is found with its selector, and records nothing at first', async () => {
      await insert({ id: 'c1', agentId: 'a' });
      const { result } = await start({ filter: { agentId: 'a', from: 5 } }, { hasHold: true });
      const cancellation = {
        id: 'can',
        organizationId: acme.organizationId,
        state: 'running',
        reason: 'why',
        createdBy: acme.id,
        createdAt: NOW,
        completedAt: null,
        selector: { filter: { agentId: 'a', from: 5 } },
        hold: { state: 'active', liftedAt: null, liftedBy: null },
        counts: {
          cancelled: 0,
          alreadyEnded: 0,
          notFound: 0,
          rooms: { deleted: 0, pending: 0, discarded: 0 },
        },
      };
      expect(result).toEqual({ kind: 'created', cancellation });
      expect(await find()).toEqual(cancellation);
      expect(await find('unknown')).toBeNull();
      expect(await store.listRunningCancellations()).toEqual(['can']);
      expect((await call('c1'))?.status).toBe('active');
    });

    test('calls that were never dialled are recorded first, then ringing calls, then active calls', async () => {
      for (const [i, status] of ['active', 'ringing', 'connecting', 'initiated'].entries()) {
        await insert({ id: `c${i}`, status: status as Call['status'] });
      }
      await start({ all: true });
      const ids = ['c3', 'c2', 'c1', 'c0'];
      for (let recorded = 1; recorded <= ids.length; recorded += 1) {
        expect(await advance('can', { limit: 1 })).toMatchObject({ cancelled: 1, isRecorded: false });
        expect((await statusesOf(ids)).filter((status) => status === 'cancelled')).toHaveLength(recorded);
        expect(await call(ids[recorded - 1] ?? '')).toMatchObject({ status: 'cancelled' });
      }
      expect(await advance('can', { limit: 1 })).toEqual({
        cancelled: 0,
        isRecorded: true,
        isCompleted: false,
      });
    });

    test('calls of a list of ids are recorded in the same order', async () => {
      const ids = ['active', 'ringing', 'connecting'];
      for (const id of ids) await insert({ id, status: id as Call['status'] });
      await start({ callIds: ids });
      const recorded: (string | undefined)[] = [];
      while (!(await advance('can', { limit: 1 })).isRecorded) {
        const statuses = await statusesOf(ids);
        recorded.push(...ids.filter((id, i) => statuses[i] === 'cancelled' && !recorded.includes(id)));
      }
      expect(recorded).toEqual(['connecting', 'ringing', 'active']);
    });

    test('a write records at least one call, and no further call after its time is up', async () => {
      for (let i = 0; i < 3; i += 1) await insert({ id: `c${i}` });
      await start({ all: true });
      expect(await advance('can', { budgetMs: 0 })).toMatchObject({ cancelled: 1, isRecorded: false });
      await start({ callIds: ['c0', 'c1', 'c2'] }, { id: 'can_ids' });
      let writes = 0;
      while (!(await advance('can_ids', { budgetMs: 0 })).isRecorded) writes += 1;
      expect(writes).toBeGreaterThan(1);
      expect(await statusesOf(['c0', 'c1', 'c2'])).toEqual(['cancelled', 'cancelled', 'cancelled']);
    });

    test('a recorded call has the cancellation, its key and its reason, and a deletion that is due', async () => {
      await insert({ id: 'c1' });
      await start({ all: true });
      await advance();
      expect(await store.findCall('c1')).toMatchObject({
        call: {
          status: 'cancelled',
          endedAt: NOW,
          cancelledBy: acme.id,
          cancelReason: 'why',
          cancellationId: 'can',
        },
        deletion: { state: 'available', attempt: 0, scheduledAt: NOW, cancellationId: 'can' },
      });
      const [, cancelled] = await store.listCallEvents({ callId: 'c1', after: 0, limit: 9 });
      expect(cancelled).toMatchObject({
        action: 'call.status_changed',
        actor: 'api_key',
        actorId: acme.id,
        fromStatus: 'active',
        toStatus: 'cancelled',
        reason: 'why',
        cancellationId: 'can',
      });
    });

    test('a filter selects exactly the calls that the domain selects, of the organization', async () => {
      const oneOf = <T>(values: readonly T[], i: number) => values[i % values.length] as T;
      const calls: Call[] = [];
      for (let i = 0; i < 200; i += 1) {
        const call = buildCall({
          id: `c${i}`,
          organizationId: i % 11 === 0 ? other.organizationId : acme.organizationId,
          status: oneOf([...LIVE_STATUSES, 'completed'], i),
          direction: oneOf(DIRECTIONS, Math.floor(i / 3)),
          agentId: oneOf([null, 'a', 'b'], Math.floor(i / 5)),
          phoneNumber: oneOf([null, '+1', '+2'], Math.floor(i / 7)),
          scheduledAt: i % 4 === 0 ? 9_000 : null,
          createdAt: 1_000 + i,
          endedAt: i % 5 === 4 ? 5_000 : null,
        });
        calls.push(call);
        await store.changeCall({ kind: 'register', call, apiKeyId: null });
      }
      const filters: CallFilter[] = [
        { agentId: 'a' },
        { status: ['ringing'] },
        { status: ['active', 'initiated'], agentId: 'b' },
        { direction: 'inbound' },
        { phoneNumber: '+1' },
        { phoneNumber: '+2', direction: 'outbound', agentId: 'a' },
        { from: 1_100 },
        { to: 1_100 },
        { from: 1_050, to: 1_150, status: ['connecting'] },
        { agentId: 'nobody' },
      ];
      for (const selector of [...filters.map((filter) => ({ filter })), { all: true } as const]) {
        const { result } = await store.createCancellation({
          cancellation: {
            id: 'dry',
            organizationId: acme.organizationId,
            reason: 'dry',
            createdBy: acme.id,
            selector,
            hasHold: false,
          },
          expectedAtMost: null,
          isDryRun: true,
          idempotency: null,
        });
        if (result.kind !== 'previewed') throw new Error(result.kind);
        const expected = calls.filter(
          (call) =>
            call.organizationId === acme.organizationId && isLive(call.status) && isSelected(call, selector),
        );
        const byStatus = LIVE_STATUSES.map((status) => [
          status,
          expected.filter((call) => call.status === status).length,
        ]);
        expect(result.preview.matched, JSON.stringify(selector)).toEqual(Object.fromEntries(byStatus));
        expect(
          new Set(result.preview.sample.map(({ id }) => id)).isSubsetOf(
            new Set(expected.map(({ id }) => id)),
          ),
        ).toBe(true);
        expect(result.preview.sample).toHaveLength(Math.min(100, expected.length));
      }
      expect(await find('dry')).toBeNull();
    });

    test('ids of ended, unknown and foreign calls are counted, and no such call changes', async () => {
      await insert({ id: 'live' });
      await insert({ id: 'ended', status: 'completed', endedAt: 9_000 });
      await insert({ id: 'theirs', organizationId: other.organizationId });
      await start({ callIds: ['unknown', 'theirs', 'ended', 'live'] });
      while (!(await advance('can', { limit: 1 })).isRecorded);
      await settleAll();
      expect(await advance()).toMatchObject({ isCompleted: true });
      expect((await find())?.counts).toEqual({
        cancelled: 1,
        alreadyEnded: 1,
        notFound: 2,
        rooms: { deleted: 1, pending: 0, discarded: 0 },
      });
      expect(await statusesOf(['ended', 'theirs', 'live'])).toEqual(['completed', 'active', 'cancelled']);
    });

    test('a preview and a limit by ids count no call of another organization', async () => {
      await insert({ id: 'live' });
      await insert({ id: 'theirs', organizationId: other.organizationId });
      const { organizationId, id: createdBy } = acme;
      const selector = { callIds: ['theirs', 'live'] };
      const cancellation = { id: 'can', organizationId, reason: 'why', createdBy, selector, hasHold: false };
      const request = { cancellation, expectedAtMost: 1, isDryRun: true, idempotency: null };
      expect(await store.createCancellation(request)).toMatchObject({
        result: { kind: 'previewed', preview: { matched: { active: 1 }, sample: [{ id: 'live' }] } },
      });
    });

    test('a call of a list of ids that is answered meanwhile is recorded', async () => {
      await insert({ id: 'c1', status: 'ringing', roomName: 'r1' });
      await start({ callIds: ['c1'] });
      // The phase of the calls that were never dialled.
      expect(await advance()).toEqual({ cancelled: 0, isRecorded: false, isCompleted: false });
      await receive('r1', { kind: 'room_started' });
      await receive('r1', joined(AGENT));
      await receive('r1', joined(PERSON));
      expect((await call('c1'))?.status).toBe('active');
      while (!(await advance()).isRecorded);
      expect((await call('c1'))?.status).toBe('cancelled');
    });

    test('a call of a list of ids that is registered meanwhile is recorded in the last pass', async () => {
      await start({ callIds: ['late'] });
      await advance();
      await advance();
      await insert({ id: 'late', status: 'initiated' });
      expect(await advance()).toMatchObject({ cancelled: 1, isRecorded: true });
      expect((await find())?.counts).toMatchObject({ cancelled: 1, notFound: 0 });
    });

    test('a cancellation is completed when every deletion is final, and its counts stay', async () => {
      await insert({ id: 'c1' });
      await insert({ id: 'c2' });
      await start({ all: true });
      await advance();
      const rooms = async () => (await find())?.counts.rooms;
      expect(await rooms()).toEqual({ deleted: 0, pending: 2, discarded: 0 });
      const [first] = await store.claimDeletions({ leaseMs: 1_000, maxDelayMs: 60_000, limit: 1 });
      await store.completeDeletions(first === undefined ? [] : [first]);
      expect(await rooms()).toEqual({ deleted: 1, pending: 1, discarded: 0 });
      expect(await advance()).toMatchObject({ isCompleted: false });
      await settleAll('discarded');
      expect(await rooms()).toEqual({ deleted: 1, pending: 0, discarded: 1 });
      clock.set(NOW + 5_000);
      expect(await advance()).toMatchObject({ isCompleted: true });
      expect(await find()).toMatchObject({ state: 'completed', completedAt: NOW + 5_000 });
      expect(await store.listRunningCancellations()).toEqual([]);
      for (const callId of ['c1', 'c2']) await store.retryDeletion({ callId });
      expect(await rooms()).toEqual({ deleted: 1, pending: 0, discarded: 1 });
      expect(await advance()).toMatchObject({ cancelled: 0, isCompleted: true });
    });

    test('a call that starts to match while the cancellation runs is recorded, for five minutes', async () => {
      await insert({ id: 'c1', agentId: 'a' });
      await start({ filter: { agentId: 'a' } });
      expect(await advance()).toMatchObject({ isRecorded: true, isCompleted: false });
      await insert({ id: 'c2', agentId: 'a' });
      expect(await advance()).toMatchObject({ cancelled: 1 });
      clock.set(NOW + 5 * 60_000);
      await insert({ id: 'c3', agentId: 'a' });
      expect(await advance()).toMatchObject({ cancelled: 0 });
      expect(await statusesOf(['c2', 'c3'])).toEqual(['cancelled', 'active']);
    });

    test('a call that starts to match after its hold was lifted stays live, also while the cancellation runs', async () => {
      await insert({ id: 'c1', agentId: 'a' });
      await insert({ id: 'c2', agentId: 'a', status: 'ringing', roomName: 'r2' });
      await start({ filter: { agentId: 'a' } }, { hasHold: true });
      expect(await advance()).toMatchObject({ cancelled: 2, isRecorded: true, isCompleted: false });
      const { organizationId, id: apiKeyId } = acme;
      await store.liftHold({ id: 'can', organizationId, apiKeyId, idempotency: null });
      await insert({ id: 'c3', agentId: 'a', status: 'ringing', roomName: 'r3' });
      expect(await advance()).toMatchObject({ cancelled: 0, isCompleted: false });
      await receive('r3', { kind: 'room_started' });
      await receive('r3', joined(AGENT));
      await receive('r3', joined(PERSON));
      expect(await statusesOf(['c1', 'c2', 'c3'])).toEqual(['cancelled', 'cancelled', 'active']);
    });

    test('a call that waits to be recorded is recorded when an event would end its match', async () => {
      for (const id of ['c1', 'c2']) await insert({ id, status: 'ringing', roomName: `r${id}` });
      await insert({ id: 'theirs', status: 'ringing', roomName: 'r3', organizationId: other.organizationId });
      const answer = async (roomName: string) => {
        await receive(roomName, { kind: 'room_started' });
        await receive(roomName, joined(AGENT));
        await receive(roomName, joined(PERSON));
      };
      await start({ filter: { status: ['ringing'] } });
      for (const roomName of ['rc1', 'r3']) await answer(roomName);
      expect(await call('c1')).toMatchObject({ status: 'cancelled', cancellationId: 'can' });
      expect(await statusesOf(['c2', 'theirs'])).toEqual(['ringing', 'active']);
      // Also while the cancellation runs, for five minutes.
      while (!(await advance()).isRecorded);
      await insert({ id: 'c4', status: 'ringing', roomName: 'r4' });
      await answer('r4');
      expect((await call('c4'))?.cancellationId).toBe('can');
      clock.set(NOW + 5 * 60_000);
      await insert({ id: 'c5', status: 'ringing', roomName: 'r5' });
      await answer('r5');
      expect((await call('c5'))?.status).toBe('active');
    });

    test('a cancellation that no process has advanced for hours still records its calls', async () => {
      await insert({ id: 'c1' });
      await start({ all: true });
      clock.set(NOW + 5 * 3_600_000);
      expect(await advance()).toMatchObject({ cancelled: 1, isRecorded: true });
    });

    describe('a hold', () => {
      const hold = (filter: CallFilter) => start({ filter }, { hasHold: true });

      test('refuses a matching call of the organization, until it is lifted', async () => {
        await hold({ agentId: 'a' });
        const refusal = { kind: 'held', cancellationId: 'can' };
        expect(await insert({ id: 'c1', agentId: 'a' })).toEqual(refusal);
        expect(await insert({ id: 'c2', agentId: 'b' })).toMatchObject({ kind: 'registered' });
        const theirs = { agentId: 'a', organizationId: other.organizationId };
        expect(await insert({ id: 'c3', ...theirs })).toMatchObject({ kind: 'registered' });
        expect(await call('c1')).toBeUndefined();
        const lift = (organizationId: string) =>
          store.liftHold({ id: 'can', organizationId, apiKeyId: acme.id, idempotency: null });
        expect((await lift(other.organizationId)).result).toEqual({ kind: 'not_found' });
        expect(await insert({ id: 'c1', agentId: 'a' })).toEqual(refusal);
        clock.set(NOW + 1);
        const lifted = await lift(acme.organizationId);
        expect(lifted.result).toMatchObject({
          kind: 'lifted',
          cancellation: { hold: { state: 'lifted', liftedAt: NOW + 1, liftedBy: acme.id } },
        });
        clock.set(NOW + 2);
        expect(await lift(acme.organizationId)).toEqual(lifted);
        expect(await insert({ id: 'c1', agentId: 'a' })).toMatchObject({ kind: 'registered' });
        expect((await eventsOf()).map(({ action }) => action)).toEqual([
          'cancellation.progress',
          'hold.lifted',
        ]);
      });

      test('accepts a call of another organization in the room of an earlier call', async () => {
        await insert({ id: 'earlier', roomName: 'shared', status: 'completed', endedAt: 9_000 });
        await start({ all: true }, { hasHold: true });
        const theirs = { id: 'theirs', roomName: 'shared', organizationId: other.organizationId };
        expect(await insert(theirs)).toMatchObject({ kind: 'registered' });
        expect(await insert({ id: 'ours' })).toEqual({ kind: 'held', cancellationId: 'can' });
      });

      test('cancels an adopted call in the transaction of its adoption', async () => {
        await store.addAdoptionPrefix({
          prefix: 'desk-',
          organizationName: 'acme',
          organizationIdIfNew: 'x',
          now: 1,
        });
        await hold({ agentId: 'a' });
        const { result, events } = await receive('desk-1', { kind: 'room_started' });
        expect(result).toMatchObject({ kind: 'applied', wasAdopted: true, dueAt: NOW });
        expect(events.map(({ action, toStatus }) => [action, toStatus])).toEqual([
          ['call.created', 'initiated'],
          ['call.status_changed', 'connecting'],
          ['call.status_changed', 'cancelled'],
        ]);
        expect(await store.findCall('adopted_desk-1')).toMatchObject({
          call: { status: 'cancelled', cancellationId: 'can', cancelReason: 'why' },
          deletion: { state: 'available', cancellationId: 'can' },
        });
      });

      test('cancels a call that starts to match through an event or an observation', async () => {
        await insert({ id: 'c1', status: 'initiated', roomName: 'r1' });
        await insert({ id: 'c2', status: 'initiated', roomName: 'r2' });
        await hold({ status: ['connecting', 'active'] });
        await receive('r1', { kind: 'room_started' });
        expect(await call('c1')).toMatchObject({ status: 'cancelled', cancellationId: 'can' });
        const room = { name: 'r2', sid: 'RM_r2', createdAt: NOW, metadata: '' };
        await store.changeCall({
          kind: 'observation',
          observation: { kind: 'room', room, requestedAt: NOW },
          policy: POLICY,
          adopted: null,
          leaseMs: null,
        });
        expect(await call('c2')).toMatchObject({ status: 'cancelled', cancellationId: 'can' });
        expect((await find())?.counts.cancelled).toBe(2);
      });

      test('does not change the counts after the completion', async () => {
        await hold({ status: ['active', 'connecting'] });
        expect(await advance()).toMatchObject({ isCompleted: true });
        await insert({ id: 'c1', status: 'initiated', roomName: 'r1' });
        await receive('r1', { kind: 'room_started' });
        expect((await call('c1'))?.cancellationId).toBe('can');
        expect((await find())?.counts.cancelled).toBe(0);
      });
    });

    test('deletions of cancellations are claimed before older ones', async () => {
      for (const id of ['old', 'new']) await insert({ id, agentId: id });
      await store.changeCall({
        kind: 'cancel',
        callId: 'old',
        organizationId: acme.organizationId,
        apiKeyId: acme.id,
        reason: null,
        leaseMs: -5_000,
      });
      await start({ filter: { agentId: 'new' } });
      await advance();
      const claim = () => store.claimDeletions({ leaseMs: 1_000, maxDelayMs: 60_000, limit: 1 });
      expect(await claim()).toMatchObject([{ callId: 'new', cancellationId: 'can' }]);
      expect(await claim()).toMatchObject([{ callId: 'old', cancellationId: null }]);
      expect(await claim()).toEqual([]);
    });

    test('a quarter of a claim is for deletions of other calls', async () => {
      for (let i = 0; i < 8; i += 1) await insert({ id: `c${i}`, agentId: i < 4 ? 'single' : 'many' });
      for (let i = 0; i < 4; i += 1) {
        await store.changeCall({
          kind: 'cancel',
          callId: `c${i}`,
          organizationId: acme.organizationId,
          apiKeyId: acme.id,
          reason: null,
          leaseMs: -i,
        });
      }
      await start({ filter: { agentId: 'many' } });
      await advance();
      const claim = async () => {
        const claimed = await store.claimDeletions({ leaseMs: 1_000, maxDelayMs: 60_000, limit: 4 });
        return claimed.filter(({ cancellationId }) => cancellationId === null).map(({ callId }) => callId);
      };
      expect(await claim()).toEqual(['c3']);
      expect(new Set(await claim())).toEqual(new Set(['c0', 'c1', 'c2']));
    });

    test('progress is an event at the start, at most once a second, after the last record and at the end', async () => {
      for (const id of ['c1', 'c2', 'c3']) await insert({ id });
      await start({ all: true });
      await advance('can', { limit: 1 });
      clock.set(NOW + 1_000);
      await advance('can', { limit: 1 });
      await advance('can', { limit: 1 });
      await advance();
      await advance();
      await settleAll();
      await advance();
      const progress = (await eventsOf()).map(({ details }) => details);
      const counts = (cancelled: number, deleted: number) => ({
        cancelled,
        alreadyEnded: 0,
        notFound: 0,
        rooms: { deleted, pending: cancelled - deleted, discarded: 0 },
      });
      expect(progress).toEqual([
        { state: 'running', counts: counts(0, 0) },
        { state: 'running', counts: counts(2, 0) },
        { state: 'running', counts: counts(3, 0) },
        { state: 'completed', counts: counts(3, 3) },
      ]);
    });

    test('cancellations are listed newest first, after a position, and only those of the organization', async () => {
      for (const [i, id] of ['can_1', 'can_2', 'can_3'].entries()) {
        clock.set(NOW + (i === 0 ? 0 : 1));
        await start({ all: true }, { id });
      }
      const { organizationId } = acme;
      const list = async (after: { createdAt: number; id: string } | null, limit = 9) =>
        (await store.listCancellations({ organizationId, after, limit })).map(({ id }) => id);
      expect(await list(null)).toEqual(['can_3', 'can_2', 'can_1']);
      expect(await list(null, 2)).toEqual(['can_3', 'can_2']);
      expect(await list({ createdAt: NOW + 1, id: 'can_2' })).toEqual(['can_1']);
      expect(
        await store.listCancellations({ organizationId: other.organizationId, after: null, limit: 9 }),
      ).toEqual([]);
    });

    test('a repeated request under an Idempotency-Key starts one cancellation', async () => {
      const first = await start({ all: true }, { key: 'k' });
      expect(first.isReplay).toBe(false);
      expect(await start({ all: true }, { id: 'again', key: 'k' })).toEqual({ ...first, isReplay: true });
      expect(await find('again')).toBeNull();
    });
  });
}
