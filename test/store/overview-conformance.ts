import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { ApiKey } from '../../src/domain/api-key.ts';
import type { Call } from '../../src/domain/call.ts';
import { matchesSearch, toSearchTerms } from '../../src/domain/call-search.ts';
import { type Activity, type IncompleteState, MAX_CANDIDATES } from '../../src/ports/overview-store.ts';
import type { OpenStore, Store } from '../../src/ports/store.ts';
import type { Clock } from '../../src/ports/system.ts';
import { buildCall, insertApiKey } from '../harness/calls.ts';
import { type ManualClock, manualClock } from '../harness/manual-clock.ts';
import { AGENT, callAfter, joined, left, PERSON, POLICY, RECORDER } from '../harness/rosters.ts';

const STATES: readonly IncompleteState[] = ['available', 'running', 'retryable', 'discarded'];

/** The tests of the overview of every store. */
export function overviewConformance(
  name: string,
  openStore: (clock: Clock) => OpenStore | Promise<OpenStore>,
): void {
  describe(`${name}: overview`, () => {
    let store: Store;
    let clock: ManualClock;
    let acme: ApiKey;
    let other: ApiKey;
    beforeEach(async () => {
      clock = manualClock(1_000);
      const opened = await openStore(clock);
      onTestFinished(async () => opened.close());
      store = opened;
      [acme, other] = await Promise.all([makeKey('acme', '0'), makeKey('other', '1')]);
    });

    const makeKey = (organizationName: string, digit: string) =>
      store.createApiKey({
        id: `key_${organizationName}`,
        organizationName,
        organizationIdIfNew: `org_${organizationName}`,
        name: 'test',
        hash: digit.repeat(64),
        scopes: ['calls:read'],
        expiresAt: null,
        now: 1,
      });
    const create = async (id: string, { key = acme, ...parts }: Partial<Call> & { key?: ApiKey } = {}) => {
      const call = buildCall({ id, organizationId: key.organizationId, ...parts });
      const { result } = await store.changeCall({ kind: 'register', call, apiKeyId: key.id });
      expect(result.kind).toBe('registered');
    };
    const cancel = async (callId: string, { organizationId, id }: ApiKey = acme) => {
      const command = { callId, organizationId, apiKeyId: id, reason: null, leaseMs: 1_000 } as const;
      await store.changeCall({ kind: 'cancel', ...command, idempotency: null });
    };
    const discard = (callId: string) =>
      store.settleDeletion({
        callId,
        attempt: 1,
        settlement: { state: 'discarded', lastError: 'unavailable' },
        wasRescued: false,
        keptBecause: null,
      });
    const list = async (parts: Partial<Parameters<Store['listRoomDeletions']>[0]> = {}) => {
      const all = { organizationId: acme.organizationId, states: STATES, cancellationId: null } as const;
      const deletions = await store.listRoomDeletions({ ...all, after: null, limit: 10, ...parts });
      return deletions.map(({ callId, state }) => [callId, state]);
    };
    const retry = (callId: string, key: string | null = null, { organizationId, id } = acme) =>
      store.retryRoomDeletion({
        callId,
        organizationId,
        apiKeyId: id,
        idempotency: key === null ? null : { organizationId, key, fingerprint: callId, ttlMs: 1_000 },
      });

    test('findRooms returns the participants who are present in live calls', async () => {
      const { roster } = callAfter([
        [1, joined(AGENT)],
        [2, joined(PERSON)],
        [3, joined(RECORDER)],
        [4, left(AGENT)],
      ]);
      await create('live', { roomName: 'room', status: 'active', roster });
      await create('ended', { status: 'completed', endedAt: 5_000, roster });
      await create('new', { roster: null });
      const rooms = await store.findRooms(['live', 'ended', 'new', 'unknown', "it's"]);
      expect(Object.fromEntries(rooms)).toEqual({
        live: {
          name: 'room',
          participants: [{ identity: 'person', role: 'person', joinedAt: 1_002_000 }],
        },
        ended: { name: 'ended', participants: [] },
        new: { name: 'new', participants: [] },
      });
      expect((await store.findRooms([])).size).toBe(0);
    });

    describe('searchCalls', () => {
      const search = async (text: string, { limit = 100, organizationId = acme.organizationId } = {}) => {
        const terms = toSearchTerms(text);
        return (await store.searchCalls({ organizationId, terms, limit })).map(({ id }) => id);
      };

      test('finds exactly the calls that match, newest first', async () => {
        const numbers = [
          null,
          '+15551234567',
          '5551234',
          '+49551234567',
          '1234',
          'ada',
          '+1555%4567',
          '004567',
        ];
        const calls = numbers.flatMap((phoneNumber, i) =>
          ['call_a', 'call_b', 'x%y', 'X-1'].map((prefix, j) => ({
            id: `${prefix}${i}`,
            roomName: j % 2 === 0 ? `room-${j}-${i}` : `555-${i}${j}`,
            phoneNumber,
            createdAt: 1_000 + ((i * 7 + j * 3) % 5),
          })),
        );
        for (const call of calls) await create(call.id, call);
        await create('call_a_foreign', { key: other, roomName: 'room-f', phoneNumber: '+15551234567' });
        const found = new Set<string>();
        for (const text of [
          'call_a',
          'call_a0',
          'CALL',
          'x%y',
          'x_y',
          'room-',
          'room-2-1',
          '555',
          '+1555',
          '4567',
          '551234567',
          '+49 (551) 234-567',
          '15551234567',
          '0000000000004567',
          '234',
          'ada',
          '%%%',
          'call_a\u{10FFFF}',
          'ÿÿÿ',
        ]) {
          const terms = toSearchTerms(text);
          const expected = calls
            .filter((call) => matchesSearch(terms, call))
            .sort((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1))
            .map(({ id }) => id);
          expect(await search(text), text).toEqual(expected);
          expect(await search(text, { limit: 2 }), text).toEqual(expected.slice(0, 2));
          for (const id of expected) found.add(id);
        }
        expect(found.size).toBe(calls.length);
      });

      test('finds an old call by an exact text, and new calls by a short one, among more than it reads', async () => {
        const calls = Array.from({ length: MAX_CANDIDATES * 2 + 10 }, (_, i) => i);
        // At once, because a store commits many registrations together.
        const register = (i: number) =>
          create(`call_${String(calls.length - i).padStart(5, '0')}`, {
            key: i % 2 === 0 ? acme : other,
            phoneNumber: `+1555${String(i).padStart(7, '0')}`,
            createdAt: 1_000 + i,
          });
        for (let i = 0; i < calls.length; i += 500) await Promise.all(calls.slice(i, i + 500).map(register));
        const oldest = `call_0${calls.length}`;
        expect(await search(oldest)).toEqual([oldest]);
        expect(await search('15550000000')).toEqual([oldest]);
        expect(await search('0000000')).toEqual([oldest]);
        expect(await search('call_', { limit: 2 })).toEqual(['call_00002', 'call_00004']);
        expect(await search('+1555', { limit: 2 })).toEqual(['call_00002', 'call_00004']);
      });
    });

    test('listAgents counts live calls of the organization', async () => {
      await create('1', { agentId: 'b', agentName: 'Old', status: 'ringing' });
      await create('2', { agentId: 'b', agentName: 'Ben', status: 'active' });
      await create('3', { agentId: 'a', agentName: 'Ann', scheduledAt: 9_000 });
      await create('4', { status: 'connecting', direction: 'inbound' });
      await create('5', { agentId: 'a', status: 'completed', endedAt: 2_000 });
      await create('6', { agentId: 'c', key: other });
      const { organizationId } = acme;
      const agents = [
        { id: 'b', name: 'Ben', liveCalls: 2 },
        { id: null, name: null, liveCalls: 1 },
        { id: 'a', name: 'Ann', liveCalls: 1 },
      ];
      expect(await store.listAgents({ organizationId, limit: 10 })).toEqual(agents);
      expect(await store.listAgents({ organizationId, limit: 2 })).toEqual(agents.slice(0, 2));
    });

    test('listRoomDeletions lists incomplete deletions of the organization by age, in pages', async () => {
      for (const [id, at, key] of [
        ['c', 3_000, acme],
        ['a', 2_000, acme],
        ['b', 3_000, acme],
        ['foreign', 2_500, other],
        ['done', 2_600, acme],
      ] as const) {
        await create(id, { key });
        clock.set(at);
        await cancel(id, key);
      }
      await discard('b');
      await store.completeDeletions([{ callId: 'done', attempt: 1 }]);
      expect(await list()).toEqual([
        ['a', 'running'],
        ['b', 'discarded'],
        ['c', 'running'],
      ]);
      expect(await list({ limit: 1 })).toEqual([['a', 'running']]);
      expect(await list({ after: { createdAt: 2_000, callId: 'a' }, limit: 1 })).toEqual([
        ['b', 'discarded'],
      ]);
      expect(await list({ after: { createdAt: 3_000, callId: 'b' } })).toEqual([['c', 'running']]);
      expect(await list({ states: ['discarded', 'retryable'] })).toEqual([['b', 'discarded']]);
      expect(await list({ cancellationId: 'can' })).toEqual([]);
      expect(await list({ organizationId: other.organizationId })).toEqual([['foreign', 'running']]);
    });

    test('listRoomDeletions lists those of a cancellation', async () => {
      await create('alone');
      await cancel('alone');
      await create('stopped', { agentId: 'a' });
      const { organizationId, id: createdBy } = acme;
      const selector = { filter: { agentId: 'a' } } as const;
      await store.createCancellation({
        cancellation: { id: 'can', organizationId, reason: 'r', createdBy, selector, hasHold: false },
        expectedAtMost: null,
        isDryRun: false,
        idempotency: null,
      });
      await store.advanceCancellation({ id: 'can', limit: 10, budgetMs: 1_000 });
      expect(await list({ cancellationId: 'can' })).toEqual([['stopped', 'available']]);
      expect(await list()).toHaveLength(2);
    });

    test('countOrganization counts the rows of the organization', async () => {
      const counts = (key: ApiKey) => store.countOrganization(key.organizationId);
      const none = {
        liveCalls: { initiated: 0, connecting: 0, ringing: 0, active: 0 },
        roomDeletions: { open: 0, discarded: 0, oldestOpenAt: null },
        cancellations: { running: 0, activeHolds: 0 },
        lastWebhookAt: null,
      };
      expect(await counts(acme)).toEqual(none);
      for (const id of ['a', 'b', 'c', 'd'])
        await create(id, { status: id === 'd' ? 'active' : 'initiated' });
      for (const [id, at] of [
        ['a', 2_000],
        ['b', 3_000],
        ['c', 4_000],
      ] as const) {
        clock.set(at);
        await cancel(id);
      }
      await discard('a');
      const { organizationId, id: createdBy } = acme;
      const selector = { filter: { agentId: 'nobody' } } as const;
      await store.createCancellation({
        cancellation: { id: 'can', organizationId, reason: 'r', createdBy, selector, hasHold: true },
        expectedAtMost: null,
        isDryRun: false,
        idempotency: null,
      });
      const event = {
        id: 'EV',
        at: 1,
        room: { name: 'none', sid: 'RM', createdAt: 1, metadata: '' },
        payload: { kind: 'room_started' },
      } as const;
      await store.changeCall({
        kind: 'room_event',
        event,
        policy: POLICY,
        adopted: { id: 'x', agentId: null },
      });
      const { lastWebhookAt } = await counts(acme);
      expect(await counts(acme)).toEqual({
        liveCalls: { initiated: 0, connecting: 0, ringing: 0, active: 1 },
        roomDeletions: { open: 2, discarded: 1, oldestOpenAt: 3_000 },
        cancellations: { running: 1, activeHolds: 1 },
        lastWebhookAt,
      });
      expect(await counts(other)).toEqual({ ...none, lastWebhookAt });
    });

    test('readActivity counts each event once, by organization', async () => {
      const { position, organizations } = await store.readActivity(null);
      expect(organizations).toEqual([]);
      for (const id of ['a', 'b', 'live']) await create(id);
      await create('foreign', { key: other });
      await cancel('a');
      await cancel('b');
      await cancel('foreign', other);
      await discard('a');
      await store.completeDeletions([{ callId: 'b', attempt: 1 }]);
      const byOrganization = (activity: Activity) =>
        activity.organizations.toSorted((a, b) => (a.organizationId < b.organizationId ? -1 : 1));
      const first = await store.readActivity(position);
      const foreign = { organizationId: 'org_other', liveCalls: 0, openDeletions: 1 };
      expect(byOrganization(first)).toEqual([
        { organizationId: 'org_acme', liveCalls: 1, openDeletions: 0, cancelled: 2, deleted: 1, failed: 1 },
        { ...foreign, cancelled: 1, deleted: 0, failed: 0 },
      ]);
      const none = { cancelled: 0, deleted: 0, failed: 0 };
      expect(byOrganization(await store.readActivity(first.position))).toEqual([
        { organizationId: 'org_acme', liveCalls: 1, openDeletions: 0, ...none },
        { ...foreign, ...none },
      ]);
    });

    test('readActivity counts the open deletions of a single organization', async () => {
      const alone = await openStore(clock);
      onTestFinished(async () => alone.close());
      const { organizationId, id: apiKeyId } = await insertApiKey(alone);
      const call = buildCall({ id: 'c', organizationId });
      await alone.changeCall({ kind: 'register', call, apiKeyId });
      const command = { callId: 'c', organizationId, apiKeyId, reason: null, leaseMs: 1_000 } as const;
      await alone.changeCall({ kind: 'cancel', ...command, idempotency: null });
      expect((await alone.readActivity(null)).organizations).toEqual([
        { organizationId, liveCalls: 0, openDeletions: 1, cancelled: 0, deleted: 0, failed: 0 },
      ]);
    });

    test('retryRoomDeletion makes a deletion due now, with an audit event of the key', async () => {
      await create('c');
      await cancel('c');
      await discard('c');
      clock.set(9_000);
      const { result } = await retry('c');
      const deletion = (await store.findCall('c'))?.deletion;
      expect(result).toEqual({ kind: 'retried', deletion });
      expect(deletion).toMatchObject({
        state: 'available',
        attempt: 0,
        scheduledAt: 9_000,
        createdAt: 9_000,
        finalizedAt: null,
        lastError: 'unavailable',
      });
      expect(await store.nextDeletionAt()).toBe(9_000);
      const events = await store.listCallEvents({ callId: 'c', after: 0, limit: 100 });
      expect(events.at(-1)).toMatchObject({
        at: 9_000,
        action: 'call.room_deletion_reopened',
        actor: 'api_key',
        actorId: 'key_acme',
        reason: 'the deletion was discarded',
      });
    });

    test('retryRoomDeletion changes nothing without an incomplete deletion of the organization', async () => {
      for (const id of ['done', 'foreign', 'live'])
        await create(id, { key: id === 'foreign' ? other : acme });
      await cancel('done');
      await store.completeDeletions([{ callId: 'done', attempt: 1 }]);
      await cancel('foreign', other);
      const before = await store.findCall('foreign');
      expect((await retry('done')).result).toEqual({ kind: 'completed' });
      for (const id of ['foreign', 'live', 'unknown']) {
        expect((await retry(id)).result).toEqual({ kind: 'not_found' });
      }
      expect(await store.findCall('foreign')).toEqual(before);
    });

    test('retryRoomDeletion runs once under an Idempotency-Key', async () => {
      for (const id of ['c', 'd']) {
        await create(id);
        await cancel(id);
      }
      const first = await retry('c', 'k');
      expect(first.isReplay).toBe(false);
      clock.set(1_500);
      expect(await retry('c', 'k')).toEqual({ ...first, isReplay: true });
      expect((await store.findCall('c'))?.deletion?.scheduledAt).toBe(1_000);
      expect((await retry('d', 'k')).result).toEqual({ kind: 'idempotency_key_reused' });
      expect((await retry('unknown', 'k2')).result).toEqual({ kind: 'not_found' });
      expect((await retry('d', 'k2')).result.kind).toBe('retried');
    });
  });
}
