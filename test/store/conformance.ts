import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { ApiKey } from '../../src/domain/api-key.ts';
import { CALL_STATUSES, type Call, type CallStatus, isLive } from '../../src/domain/call.ts';
import type { Observation } from '../../src/domain/observation.ts';
import type { CancelCommand } from '../../src/domain/on-cancel.ts';
import type { DeletionState } from '../../src/domain/room-deletion.ts';
import type {
  Participant,
  PhoneAttributes,
  Role,
  RoomEvent,
  RoomEventPayload,
} from '../../src/domain/room-event.ts';
import type { ParticipantList } from '../../src/domain/roster-changes.ts';
import { type CallQuery, MAX_COUNT, type OpenStore, type Store } from '../../src/ports/store.ts';
import type { Clock } from '../../src/ports/system.ts';
import { aCall } from '../harness/calls.ts';
import { type ManualClock, manualClock } from '../harness/manual-clock.ts';

type Factory = (clock: Clock) => OpenStore | Promise<OpenStore>;

const POLICY = { agentLeftGraceMs: 30_000, reconnectGraceMs: 25_000, recreatedRoomWindowMs: 86_400_000 };
const ROOM = { name: 'room', sid: 'RM_1', createdAt: 2_000, metadata: '' };
type Listing = ParticipantList & { readonly callId: string };
const LISTED = { askedAt: 5_000, version: 'RM_1:0', isTrusted: true };

const aParticipant = (role: Role, sid: string, phone: PhoneAttributes | null = null): Participant => ({
  sid,
  identity: sid,
  role,
  phone,
  joinedAt: null,
});
const inbound = (callId: string): PhoneAttributes => ({
  via: 'sip',
  callStatus: 'active',
  callTag: 'tag',
  callId,
  phoneNumber: '+15557770001',
  trunkPhoneNumber: '+15550002',
  trunkId: 'ST_1',
  ruleId: 'SDR_1',
});
const PHONE = aParticipant('phone', 'PA_phone', inbound('SCL_1'));
const left = (participant: Participant): RoomEventPayload => ({
  kind: 'participant_left',
  participant,
  reason: 'CLIENT_INITIATED',
});

/** What every store must do, whatever database stands behind it. */
export function conformance(name: string, openStore: Factory): void {
  describe(name, () => {
    let store: Store;
    let clock: ManualClock;
    let acme: ApiKey;
    let other: ApiKey;
    let hashes = 0;

    const makeKey = (organizationName: string, parts: { id: string; now?: number }) => {
      hashes += 1;
      return store.createApiKey({
        organizationName,
        organizationIdIfNew: `org_${organizationName}_${hashes}`,
        name: 'test',
        hash: String(hashes).padStart(64, '0'),
        scopes: ['calls:read', 'calls:cancel'],
        expiresAt: null,
        now: 1,
        ...parts,
      });
    };
    const create = async (parts: Partial<Call> & { id: string }) => {
      const call = aCall({ organizationId: acme.organizationId, ...parts });
      return (await store.changeCall({ kind: 'register', call, apiKeyId: acme.id })).result.kind;
    };
    const cancel = async (
      callId: string,
      { now = 2_000, ...parts }: Partial<CancelCommand> & { now?: number } = {},
    ) => {
      clock.set(now);
      const { result } = await store.changeCall({
        kind: 'cancel',
        callId,
        organizationId: acme.organizationId,
        apiKeyId: acme.id,
        reason: null,
        leaseMs: 7_000,
        idempotency: null,
        ...parts,
      });
      return result;
    };
    const claim = (now: number, limit = 100) => {
      clock.set(now);
      return store.claimDeletions({ leaseMs: 15_000, maxDelayMs: 60_000, limit });
    };
    const settle = async (
      callId: string,
      attempt: number,
      now = 3_000,
      parts: Partial<Parameters<Store['settleDeletion']>[0]> = {},
    ) => {
      clock.set(now);
      const settled = await store.settleDeletion({
        callId,
        attempt,
        settlement: { state: 'completed' },
        wasRescued: false,
        keptBecause: null,
        ...parts,
      });
      if (settled !== null) expect(settled).toEqual((await store.findCall(callId))?.deletion);
      return settled !== null;
    };
    const retry = (callId: string, now: number) => {
      clock.set(now);
      return store.retryDeletion({ callId });
    };
    const observeNow = async (observation: Observation, now: number, leaseMs: number | null = null) => {
      clock.set(now);
      const adopted = { id: 'adopted', agentId: null };
      const command = { kind: 'observation', observation, policy: POLICY, adopted, leaseMs } as const;
      return (await store.changeCall(command)).result;
    };
    const deletionOf = async (id: string) => (await store.findCall(id))?.deletion;

    beforeEach(async () => {
      clock = manualClock();
      const opened = await openStore(clock);
      onTestFinished(async () => {
        await opened.close();
      });
      store = opened;
      acme = await makeKey('acme', { id: 'key_acme' });
      other = await makeKey('other', { id: 'key_other' });
    });

    describe('API keys', () => {
      test('a key is found by its hash, with its organization', async () => {
        const key = await makeKey('acme', { id: 'key_2', now: 5 });
        expect(await store.findApiKey(String(hashes).padStart(64, '0'))).toEqual(key);
        expect(key).toMatchObject({
          id: 'key_2',
          organizationName: 'acme',
          organizationId: acme.organizationId,
          scopes: ['calls:read', 'calls:cancel'],
          createdAt: 5,
          revokedAt: null,
          lastUsedAt: null,
        });
        expect(await store.findApiKey('f'.repeat(64))).toBeNull();
      });

      test('organizations are kept apart by name', () => {
        expect(acme.organizationId).not.toBe(other.organizationId);
      });

      test('all keys are listed by id', async () => {
        await makeKey('acme', { id: 'key_0' });
        expect((await store.listApiKeys()).map(({ id }) => id)).toEqual(['key_0', 'key_acme', 'key_other']);
      });

      test('revoking is for good, and keeps the first time', async () => {
        expect(await store.revokeApiKey({ id: acme.id, now: 10 })).toMatchObject({ revokedAt: 10 });
        expect(await store.revokeApiKey({ id: acme.id, now: 20 })).toMatchObject({ revokedAt: 10 });
        expect(await store.revokeApiKey({ id: 'key_none', now: 20 })).toBeNull();
      });

      test('a use is recorded', async () => {
        await store.recordApiKeyUse({ id: acme.id, now: 77 });
        expect((await store.listApiKeys()).find(({ id }) => id === acme.id)?.lastUsedAt).toBe(77);
      });
    });

    describe('createCall', () => {
      test('a call is found again as it was', async () => {
        const call = aCall({
          id: 'c1',
          organizationId: acme.organizationId,
          phoneNumber: '+15551234567',
          agentId: 'a',
          contactName: 'Zoë 😀',
          scheduledAt: 5_000,
          metadata: { nested: { list: [1, null, 'x'] } },
        });
        expect(await store.changeCall({ kind: 'register', call, apiKeyId: acme.id })).toMatchObject({
          result: { kind: 'registered', call },
        });
        expect(await store.findCall('c1')).toEqual({ call, deletion: null });
        expect(await store.findCall('c2')).toBeNull();
      });

      test('an id is taken for every organization', async () => {
        await create({ id: 'c1' });
        expect(await create({ id: 'c1', roomName: 'r2' })).toBe('id_taken');
        expect(await create({ id: 'c1', roomName: 'r2', organizationId: other.organizationId })).toBe(
          'id_taken',
        );
      });

      test('a room name is taken while its call lives, and while the deletion of its room is not complete', async () => {
        await create({ id: 'c1', roomName: 'room' });
        expect(await create({ id: 'c2', roomName: 'room' })).toBe('room_name_taken');
        await cancel('c1');
        expect(await create({ id: 'c2', roomName: 'room' })).toBe('room_name_taken');
        await settle('c1', 1);
        expect(await create({ id: 'c2', roomName: 'room' })).toBe('registered');
      });

      test('a room whose deletion was given up keeps its name: it may be alive', async () => {
        await create({ id: 'c1', roomName: 'room' });
        await cancel('c1');
        const settlement = { state: 'discarded', lastError: 'gone for a day' } as const;
        await settle('c1', 1, 3_000, { settlement });
        expect(await create({ id: 'c2', roomName: 'room' })).toBe('room_name_taken');
      });
    });

    describe('cancelCall', () => {
      test('call and deletion change together', async () => {
        await create({ id: 'c1', roomName: 'room' });
        const result = await cancel('c1', { reason: 'because' });
        expect(result).toEqual({ kind: 'cancelled', deletion: await deletionOf('c1') });
        expect(await store.findCall('c1')).toMatchObject({
          call: {
            status: 'cancelled',
            endedAt: 2_000,
            updatedAt: 2_000,
            cancelledBy: acme.id,
            cancelReason: 'because',
          },
          deletion: {
            roomName: 'room',
            state: 'running',
            attempt: 1,
            scheduledAt: 9_000,
            attemptedAt: 2_000,
            finalizedAt: null,
            lastError: null,
            createdAt: 2_000,
          },
        });
      });

      test.each(CALL_STATUSES)('a call that is %s', async (status: CallStatus) => {
        const live = isLive(status);
        await create({ id: 'c1', status, endedAt: live ? null : 1_500 });
        const before = await store.findCall('c1');
        expect(await cancel('c1')).toMatchObject(live ? { kind: 'cancelled' } : { kind: 'not_live', status });
        if (!live) expect(await store.findCall('c1')).toEqual(before);
      });

      test('a second cancel changes nothing', async () => {
        await create({ id: 'c1' });
        await cancel('c1');
        const before = await store.findCall('c1');
        expect(await cancel('c1', { now: 4_000, reason: 'again' })).toEqual({
          kind: 'not_live',
          status: 'cancelled',
        });
        expect(await store.findCall('c1')).toEqual(before);
      });

      test("a call of another organization is not there, and isn't touched", async () => {
        await create({ id: 'c1', organizationId: other.organizationId });
        expect(await cancel('c1')).toEqual({ kind: 'not_found' });
        expect(await cancel('c2')).toEqual({ kind: 'not_found' });
        expect((await store.findCall('c1'))?.call.status).toBe('initiated');
      });

      test('a clock that was set back does not end a call before it began', async () => {
        await create({ id: 'c1', status: 'active', createdAt: 5_000, startedAt: 6_000, answeredAt: 7_000 });
        await cancel('c1', { now: 100, leaseMs: 100 });
        expect((await store.findCall('c1'))?.call.endedAt).toBe(7_000);
      });
    });

    describe('Idempotency-Key', () => {
      const idempotency = { key: 'k', fingerprint: 'cancel c1', ttlMs: 100_000 };

      test('the same request gets the first answer again', async () => {
        await create({ id: 'c1' });
        expect(await cancel('c1', { idempotency })).toMatchObject({ kind: 'cancelled' });
        expect(await cancel('c1', { idempotency })).toEqual({ kind: 'replayed' });
        expect(await cancel('c1')).toEqual({ kind: 'not_live', status: 'cancelled' });
      });

      test('a refusal is an answer too', async () => {
        await create({ id: 'c1', status: 'completed', endedAt: 1_500 });
        const refusal = { kind: 'not_live', status: 'completed' };
        expect(await cancel('c1', { idempotency })).toEqual(refusal);
        expect(await cancel('c1', { idempotency })).toEqual(refusal);
      });

      test('another request under the same key is refused, and changes nothing', async () => {
        await create({ id: 'c1' });
        await create({ id: 'c2' });
        await cancel('c1', { idempotency });
        const another = { ...idempotency, fingerprint: 'cancel c2' };
        expect(await cancel('c2', { idempotency: another })).toEqual({ kind: 'idempotency_key_reused' });
        expect((await store.findCall('c2'))?.call.status).toBe('initiated');
      });

      test("another organization's key of the same name is another key", async () => {
        await create({ id: 'c1' });
        await create({ id: 'c2', organizationId: other.organizationId });
        await cancel('c1', { idempotency });
        const theirs = { organizationId: other.organizationId, apiKeyId: other.id };
        expect(
          await cancel('c2', { ...theirs, idempotency: { ...idempotency, fingerprint: 'cancel c2' } }),
        ).toMatchObject({ kind: 'cancelled' });
      });

      test('an answer is forgotten after its time, and pruned', async () => {
        await create({ id: 'c1' });
        await create({ id: 'c2' });
        await cancel('c1', { idempotency });
        const later = { ...idempotency, fingerprint: 'cancel c2', ttlMs: 499 };
        expect(await cancel('c2', { idempotency: later, now: 2_500 })).toMatchObject({ kind: 'cancelled' });
        expect(await store.pruneIdempotencyKeys({ before: 2_500, limit: 10 })).toBe(0);
        expect(await store.pruneIdempotencyKeys({ before: 2_501, limit: 10 })).toBe(1);
      });
    });

    describe('room deletions', () => {
      test('a lease is nobody else’s until it ends', async () => {
        await create({ id: 'c1' });
        await cancel('c1', { now: 2_000, leaseMs: 7_000 });
        expect(await claim(8_999)).toEqual([]);
        expect(await claim(9_000)).toMatchObject([{ callId: 'c1', state: 'running', attempt: 2 }]);
        expect(await claim(9_001)).toEqual([]);
      });

      test('only the attempt that holds the lease settles it', async () => {
        await create({ id: 'c1' });
        await cancel('c1');
        await claim(9_000);
        expect(await settle('c1', 1)).toBe(false);
        expect(await deletionOf('c1')).toMatchObject({ state: 'running', attempt: 2 });
        expect(await settle('c1', 2)).toBe(true);
        expect(await settle('c1', 2)).toBe(false);
        expect(await settle('none', 1)).toBe(false);
        expect(await deletionOf('c1')).toMatchObject({ state: 'completed', finalizedAt: 3_000 });
        expect(await claim(999_999)).toEqual([]);
      });

      test('what failed is due at its time, what is final never', async () => {
        for (const id of ['c1', 'c2']) {
          await create({ id });
          await cancel(id);
        }
        const lastError = 'unavailable: x';
        const retryable = { state: 'retryable', retryAfterMs: 1_000, lastError } as const;
        await settle('c1', 1, 3_000, { settlement: retryable });
        const discarded = { state: 'discarded', lastError: 'too late' } as const;
        await settle('c2', 1, 3_000, { settlement: discarded });
        expect(await deletionOf('c1')).toMatchObject({
          state: 'retryable',
          scheduledAt: 4_000,
          lastError,
          finalizedAt: null,
        });
        expect(await deletionOf('c2')).toMatchObject({ ...discarded, finalizedAt: 3_000 });
        expect(await store.nextDeletionAt()).toBe(4_000);
        expect(await claim(3_999)).toEqual([]);
        expect((await claim(4_000)).map(({ callId }) => callId)).toEqual(['c1']);
      });

      test('the oldest are claimed first, and no more than asked for', async () => {
        for (const [id, leaseMs] of [
          ['c1', 300],
          ['c2', 100],
          ['c3', 200],
        ] as const) {
          await create({ id });
          await cancel(id, { leaseMs });
        }
        expect((await claim(3_000, 2)).map(({ callId }) => callId).sort()).toEqual(['c2', 'c3']);
        expect((await claim(3_000, 2)).map(({ callId }) => callId)).toEqual(['c1']);
      });

      test('after the clock was set back an hour nothing waits for an hour', async () => {
        await create({ id: 'c1', createdAt: 3_600_000, updatedAt: 3_600_000 });
        await cancel('c1', { now: 3_600_000, leaseMs: 7_500 });
        expect(await claim(0)).toMatchObject([{ callId: 'c1', attempt: 2 }]);
      });

      test('nothing is open', async () => {
        expect(await store.nextDeletionAt()).toBeNull();
        expect(await claim(1_000)).toEqual([]);
      });
    });

    describe('events of LiveKit', () => {
      let told = 0;
      const apply = (
        payload: RoomEventPayload,
        { now = 5_000, id = '', in: room = ROOM, by = POLICY } = {},
      ) => {
        told += 1;
        const event = { id: id || `EV_${told}`, at: now, room, payload };
        const adopted = { id: `adopted_${told}`, agentId: 'a' };
        return applyEvent(event, now, { policy: by, adopted });
      };
      const applyEvent = async (
        event: RoomEvent,
        now: number,
        { policy = POLICY, adopted = { id: 'x', agentId: null as string | null } } = {},
      ) => {
        clock.set(now);
        return (await store.changeCall({ kind: 'room_event', event, policy, adopted })).result;
      };
      const list = (participants: readonly Participant[], parts: Partial<Listing> = {}) =>
        observe({ kind: 'participants', callId: 'c1', participants, ...LISTED, ...parts }, parts.askedAt);
      const observe = (observation: Observation, now = 5_000, leaseMs: number | null = null) =>
        observeNow(observation, now, leaseMs);
      const callNow = async (id = 'c1') => (await store.findCall(id))?.call;
      const reviews = (now: number, limit = 10) => {
        clock.set(now);
        return store.listReviews({ maxDelayMs: 100_000, limit });
      };
      const idsOfDue = async (now: number) => (await reviews(now)).due.map(({ callId }) => callId);

      test('an event is applied once, and the change, its time and its cause are on record', async () => {
        await create({ id: 'c1', roomName: 'room' });
        expect(await apply({ kind: 'room_started' }, { id: 'EV_same' })).toEqual({
          kind: 'applied',
          callId: 'c1',
          wasAdopted: false,
          decision: { kind: 'advance', to: 'connecting' },
          deletion: null,
          isListedAfterEnd: false,
          dueAt: null,
        });
        expect(await apply({ kind: 'room_finished' }, { id: 'EV_same' })).toEqual({ kind: 'duplicate' });
        expect(await callNow()).toMatchObject({ status: 'connecting', startedAt: 2_000, roomId: 'RM_1' });
        expect(await store.listCallEvents({ callId: 'c1', after: 0, limit: 10 })).toMatchObject([
          { action: 'call.created', actor: 'api_key', toStatus: 'initiated' },
          {
            action: 'call.status_changed',
            at: 5_000,
            actor: 'livekit',
            actorId: 'EV_same',
            fromStatus: 'initiated',
            toStatus: 'connecting',
            reason: 'room_started',
          },
        ]);
      });

      test('an event of a room without a call is remembered until its id is pruned', async () => {
        expect(await apply({ kind: 'room_started' }, { now: 10 })).toEqual({ kind: 'unknown_room' });
        expect(await store.getWebhookActivity()).toEqual({ hasEvents: true, hasLiveCalls: false });
        expect(await store.pruneEvents({ before: 10, limit: 10 })).toBe(0);
        expect(await store.pruneEvents({ before: 11, limit: 10 })).toBe(1);
        expect(await store.getWebhookActivity()).toEqual({ hasEvents: false, hasLiveCalls: false });
      });

      test('an end that webhooks imply is due for review at once, and ends the call by a list that confirms it', async () => {
        await create({ id: 'c1', roomName: 'room' });
        await apply({ kind: 'participant_joined', participant: PHONE });
        expect(await apply(left(PHONE), { now: 6_000 })).toMatchObject({
          decision: { kind: 'nothing' },
          dueAt: 6_000,
        });
        expect(await store.findCall('c1')).toMatchObject({ call: { status: 'active' }, deletion: null });
        expect(await reviews(6_000)).toEqual({
          due: [
            {
              callId: 'c1',
              roomName: 'room',
              version: 'RM_1:1',
              isUnresponsive: false,
              suspects: [],
              movedAt: null,
            },
          ],
          nextAt: null,
        });
        expect(await list([], { askedAt: 6_500, version: 'RM_1:1' })).toMatchObject({
          decision: { kind: 'end', status: 'completed' },
          deletion: null,
          dueAt: 6_500,
        });
        expect(await store.findCall('c1')).toMatchObject({
          call: { status: 'completed', endedAt: 6_000, reviewAt: null },
          deletion: { state: 'available', attempt: 0, scheduledAt: 6_500 },
        });
        expect(await store.nextDeletionAt()).toBe(6_500);
        expect(await idsOfDue(1_000_000)).toEqual([]);
      });

      test('a list that was requested before a leaving was noticed confirms nothing', async () => {
        await create({ id: 'c1', roomName: 'room' });
        await apply({ kind: 'participant_joined', participant: PHONE });
        await apply(left(PHONE), { now: 6_000 });
        expect(await list([], { askedAt: 6_500, version: 'RM_1:0' })).toMatchObject({
          decision: { kind: 'nothing' },
        });
        expect(await idsOfDue(6_500)).toEqual(['c1']);
      });

      test('a list that shows two parties keeps the call', async () => {
        await create({ id: 'c1', roomName: 'room' });
        await apply({ kind: 'participant_joined', participant: PHONE });
        await apply(left(PHONE), { now: 6_000 });
        const people = [aParticipant('person', 'PA_1'), aParticipant('person', 'PA_2')];
        expect(await list(people, { askedAt: 6_500, version: 'RM_1:1' })).toMatchObject({
          decision: { kind: 'nothing' },
        });
        expect(await idsOfDue(1_000_000)).toEqual([]);
        expect((await callNow())?.status).toBe('active');
      });

      test('a deletion that follows a list is leased to its reader', async () => {
        await create({ id: 'c1', roomName: 'room' });
        await apply({ kind: 'participant_joined', participant: PHONE });
        await apply(left(PHONE), { now: 6_000 });
        const listed = { ...LISTED, askedAt: 6_500, version: 'RM_1:1' };
        const observation = { kind: 'participants', callId: 'c1', participants: [], ...listed } as const;
        const result = await observe(observation, 6_500, 7_500);
        expect(result).toMatchObject({ decision: { kind: 'end' }, dueAt: null });
        expect(result?.deletion).toEqual(await deletionOf('c1'));
        expect(result?.deletion).toMatchObject({ state: 'running', attempt: 1, scheduledAt: 14_000 });
        expect(await settle('c1', 1, 7_000)).toBe(true);
      });

      test('room_finished ends a call at once, and makes no deletion due', async () => {
        await create({ id: 'c2', roomName: 'another', status: 'active' });
        await apply({ kind: 'room_finished' }, { now: 7_000, in: { ...ROOM, name: 'another' } });
        expect(await store.findCall('c2')).toMatchObject({ call: { status: 'completed' }, deletion: null });
      });

      test('the call that was made last has the room, though the clock was set back before it was made', async () => {
        await create({ id: 'z', roomName: 'room', createdAt: 4_000 });
        await cancel('z', { now: 4_500 });
        await settle('z', 1);
        await create({ id: 'a', roomName: 'room', createdAt: 3_000 });
        expect(await apply({ kind: 'room_started' })).toMatchObject({
          callId: 'a',
          decision: { to: 'connecting' },
        });
        expect(await deletionOf('z')).toMatchObject({ state: 'completed' });
        // Also when both have ended: a room name has one deletion at most that is not complete.
        await cancel('a');
        expect(await apply({ kind: 'room_started' })).toMatchObject({
          callId: 'a',
          decision: { kind: 'delete_room' },
        });
      });

      test('a call that was registered late ends when its room is gone, though its end is its first event', async () => {
        await create({ id: 'c1', roomName: 'room' });
        await apply(left(aParticipant('person', 'PA_1')));
        expect(await observe({ kind: 'room_absent', callId: 'c1', sid: ROOM.sid }, 9_000)).toMatchObject({
          decision: { kind: 'end', status: 'failed', failureReason: 'ROOM_FINISHED' },
        });
      });

      test('a deletion that runs while its room comes back loses its attempt', async () => {
        await create({ id: 'c1', roomName: 'room' });
        await cancel('c1');
        expect(
          await apply({ kind: 'participant_joined', participant: aParticipant('person', 'PA_1') }),
        ).toMatchObject({
          kind: 'applied',
          decision: { kind: 'delete_room' },
          dueAt: 5_000,
        });
        expect(await settle('c1', 1)).toBe(false);
        expect(await claim(5_000)).toMatchObject([{ callId: 'c1', attempt: 2 }]);
      });

      test('a phone that was left alone is due for review after the grace, unless somebody came back', async () => {
        const agent = aParticipant('agent', 'PA_agent');
        for (const id of ['c1', 'c2']) {
          await create({ id, roomName: id });
          const room = { ...ROOM, name: id };
          await apply({ kind: 'participant_joined', participant: PHONE }, { in: room });
          await apply({ kind: 'participant_joined', participant: agent }, { in: room });
          await apply(left(agent), { in: room });
        }
        const back = { kind: 'participant_joined', participant: aParticipant('agent', 'PA_2') } as const;
        await apply(back, { now: 6_000, in: { ...ROOM, name: 'c2' } });

        expect(await reviews(34_999)).toEqual({ due: [], nextAt: 35_000 });
        expect(await idsOfDue(35_000)).toEqual(['c1']);
        await list([PHONE], { askedAt: 35_000, version: 'RM_1:1' });
        expect(await callNow('c1')).toMatchObject({ status: 'completed', failureReason: 'AGENT_LEFT' });
        expect(await deletionOf('c1')).toMatchObject({ state: 'available' });
        expect(await callNow('c2')).toMatchObject({ status: 'active' });
        expect(await reviews(1_000_000)).toEqual({ due: [], nextAt: null });
      });

      test('reviews come in the order in which they are due, at most as many as requested', async () => {
        const agent = aParticipant('agent', 'PA_agent');
        for (const [i, id] of ['c1', 'c2', 'c3'].entries()) {
          await create({ id, roomName: id });
          const where = { in: { ...ROOM, name: id }, now: 9_000 - i };
          await apply({ kind: 'participant_joined', participant: PHONE }, where);
          await apply({ kind: 'participant_joined', participant: agent }, where);
          await apply(left(agent), where);
        }
        expect((await reviews(38_999, 2)).due.map(({ callId }) => callId)).toEqual(['c3', 'c2']);
        expect((await reviews(38_999, 2)).nextAt).toBe(39_000);
      });

      test('a review that lies beyond every grace is due now: the clock was set back', async () => {
        const agent = aParticipant('agent', 'PA_agent');
        await create({ id: 'c1', roomName: 'room' });
        await apply({ kind: 'participant_joined', participant: PHONE }, { now: 3_600_000 });
        await apply({ kind: 'participant_joined', participant: agent }, { now: 3_600_000 });
        await apply(left(agent), { now: 3_600_000 });
        clock.set(10_000);
        const dueWithin = async (maxDelayMs: number) =>
          (await store.listReviews({ maxDelayMs, limit: 9 })).due.length;
        expect(await dueWithin(3_690_000)).toBe(0);
        expect(await dueWithin(990_000)).toBe(1);
      });

      test('a cancelled call is not reviewed', async () => {
        await create({ id: 'c1', roomName: 'room' });
        await apply({ kind: 'participant_joined', participant: PHONE });
        await apply(left(PHONE), { now: 6_000 });
        await cancel('c1', { now: 6_001 });
        expect(await reviews(1_000_000)).toEqual({ due: [], nextAt: null });
      });

      test('a late event of the call before under the same name does not end the next one', async () => {
        await create({ id: 'c1', roomName: 'room' });
        await apply({ kind: 'room_started' });
        await cancel('c1', { now: 3_000 });
        await settle('c1', 1);
        await create({ id: 'c2', roomName: 'room', createdAt: 4_000 });
        const ofThen = { name: 'room', sid: 'RM_never_seen', createdAt: 2_500, metadata: '' };
        const event = { id: 'EV_late', at: 3_500, room: ofThen, payload: { kind: 'room_finished' } } as const;
        expect(await applyEvent(event, 5_000)).toEqual({ kind: 'unknown_room' });
        expect(await apply({ kind: 'room_finished' })).toEqual({ kind: 'unknown_room' });
        expect(await callNow('c2')).toMatchObject({ status: 'initiated', updatedAt: 4_000 });
      });

      test('an event of an earlier session leaves no trace in the call', async () => {
        await create({ id: 'c1', roomName: 'room' });
        await apply({ kind: 'room_started' });
        const before = await callNow();
        const earlier = { ...ROOM, sid: 'RM_0', createdAt: 1_500 };
        await apply({ kind: 'room_finished' }, { now: 9_000, in: earlier });
        expect(await callNow()).toEqual(before);
      });

      test('a room becomes a call by the longest prefix, and its phone gives the direction', async () => {
        const give = (prefix: string, organizationName: string) =>
          store.addAdoptionPrefix({ prefix, organizationName, organizationIdIfNew: 'org_new', now: 1 });
        expect(await give('ro', 'other')).toBe('added');
        expect(await give('roo', 'acme')).toBe('added');
        expect(await give('roo', 'other')).toBe('taken');
        expect((await store.listAdoptionPrefixes()).map(({ prefix }) => prefix)).toEqual(['ro', 'roo']);
        const result = await apply({ kind: 'participant_joined', participant: PHONE });
        if (result.kind !== 'applied') throw new Error(result.kind);
        expect(result.wasAdopted).toBe(true);
        expect(await callNow(result.callId)).toMatchObject({
          organizationId: acme.organizationId,
          adoptedPrefix: 'roo',
          agentId: 'a',
          direction: 'inbound',
          phoneNumber: '+15557770001',
          status: 'active',
        });
        expect(await store.removeAdoptionPrefix({ prefix: 'roo', now: 2 })).toBe(true);
        expect(await store.removeAdoptionPrefix({ prefix: 'roo', now: 2 })).toBe(false);
      });

      test('a list that was requested for a deletion does not take it from its attempt', async () => {
        await create({ id: 'c1', roomName: 'room', createdAt: 3_000 });
        await apply({ kind: 'participant_joined', participant: PHONE });
        await cancel('c1', { now: 5_100 });
        const listed = { participants: [PHONE], ...LISTED, version: '', askedAt: 6_000 };
        const observation = { kind: 'room_of_ended', callId: 'c1', room: ROOM, ...listed } as const;
        expect(await observe(observation, 6_000)).toMatchObject({ decision: { kind: 'delete_room' } });
        expect(await settle('c1', 1, 6_100)).toBe(true);
        // The room is still there after its deletion was completed.
        expect(await observe({ ...observation, askedAt: 7_000 }, 7_000)).toMatchObject({
          decision: { kind: 'delete_room' },
          dueAt: 7_000,
        });
        expect(await claim(7_000)).toMatchObject([{ callId: 'c1', attempt: 2 }]);
      });

      test('a list of the room of an ended call means nothing once a newer call has the room', async () => {
        await create({ id: 'c1', roomName: 'room', createdAt: 3_000 });
        await cancel('c1', { now: 4_000 });
        await settle('c1', 1, 4_100);
        await create({ id: 'c2', roomName: 'room', createdAt: 4_500 });
        const listed = { participants: [PHONE], ...LISTED, version: '', askedAt: 6_000 };
        const observation = { kind: 'room_of_ended', callId: 'c1', room: ROOM, ...listed } as const;
        expect(await observe(observation, 6_000)).toBeNull();
        expect(await deletionOf('c1')).toMatchObject({ state: 'completed' });
      });

      describe('in an adopted room whose call has ended', () => {
        const nextPhone = aParticipant('phone', 'PA_next', inbound('SCL_2'));
        const adopted = async () => {
          await store.addAdoptionPrefix({
            prefix: 'room',
            organizationName: 'acme',
            organizationIdIfNew: 'org_new',
            now: 1,
          });
          const result = await apply({ kind: 'participant_joined', participant: PHONE });
          if (result.kind !== 'applied') throw new Error(result.kind);
          return result.callId;
        };

        test('a new caller begins a call, and the deletion of the earlier one is complete', async () => {
          const first = await adopted();
          await cancel(first, { now: 6_000, leaseMs: 1_000 });
          const result = await apply({ kind: 'participant_joined', participant: nextPhone }, { now: 6_500 });
          expect(result).toMatchObject({ kind: 'applied', wasAdopted: true, decision: { to: 'active' } });
          if (result.kind !== 'applied') throw new Error(result.kind);
          expect(result.callId).not.toBe(first);
          expect(await deletionOf(first)).toMatchObject({ state: 'completed', finalizedAt: 6_500 });
          // The attempt under way has lost its lease, and no attempt is due.
          expect(await settle(first, 1)).toBe(false);
          expect(await claim(1_000_000)).toEqual([]);
          expect(await callNow(result.callId)).toMatchObject({ createdAt: 6_500, adoptedPrefix: 'room' });
        });

        test.each(['never attempted', 'retried by an operator'])(
          'a deletion that was %s is complete too',
          async (how) => {
            const first = await adopted();
            if (how === 'never attempted') {
              await apply(left(PHONE), { now: 6_000 });
              await list([], { callId: first, askedAt: 6_100, version: 'RM_1:1' });
            } else {
              await cancel(first, { now: 6_000 });
              await settle(first, 1, 6_100, { settlement: { state: 'discarded', lastError: 'x' } });
              await retry(first, 6_200);
            }
            expect(await deletionOf(first)).toMatchObject({ state: 'available', attempt: 0 });
            const result = await apply(
              { kind: 'participant_joined', participant: nextPhone },
              { now: 7_000 },
            );
            expect(result).toMatchObject({ wasAdopted: true });
            expect(await deletionOf(first)).toMatchObject({ state: 'completed', finalizedAt: 7_000 });
          },
        );

        test('the same caller with another sip.callID is a new caller, and with the same one is not', async () => {
          const first = await adopted();
          await cancel(first, { now: 6_000, leaseMs: 1_000 });
          const again = { ...PHONE, sid: 'PA_again' };
          expect(
            await apply({ kind: 'participant_joined', participant: again }, { now: 6_100 }),
          ).toMatchObject({
            wasAdopted: false,
            decision: { kind: 'delete_room' },
          });
          const calls = { ...PHONE, sid: 'PA_later', phone: inbound('SCL_2') };
          expect(
            await apply({ kind: 'participant_joined', participant: calls }, { now: 6_200 }),
          ).toMatchObject({
            wasAdopted: true,
          });
        });

        test("the next call has an id, a roster and an end of its own, by its room's list", async () => {
          const first = await adopted();
          await apply(left(PHONE), { now: 6_000 });
          await list([], { callId: first, askedAt: 6_100, version: 'RM_1:1' });
          expect((await callNow(first))?.status).toBe('completed');
          const ended = await callNow(first);
          const room = { kind: 'room_of_ended', callId: first, room: ROOM } as const;
          const listed = { participants: [nextPhone], ...LISTED, askedAt: 20_000, version: '' };
          expect(await observe({ ...room, ...listed }, 20_000)).toMatchObject({
            callId: 'adopted',
            wasAdopted: true,
          });
          expect(await callNow('adopted')).toMatchObject({
            status: 'active',
            roster: { members: [{ sid: 'PA_next' }] },
          });
          expect({ ...(await callNow(first)), roster: null }).toEqual({ ...ended, roster: null });
        });
      });
    });

    describe('observations', () => {
      const see = (observation: Observation, now = 5_000) => observeNow(observation, now);
      const decisionOf = async (observation: Observation, now?: number) =>
        (await see(observation, now))?.decision.kind;
      const list = (callId: string, participants: readonly Participant[], askedAt = 5_000) =>
        decisionOf({ kind: 'participants', callId, participants, ...LISTED, askedAt }, askedAt);
      const dialled = aParticipant('phone', 'PA_phone', {
        ...inbound('SCL_1'),
        callStatus: 'dialing',
        callTag: null,
        ruleId: null,
      });

      test('a listed room gives a call its session, once', async () => {
        await create({ id: 'c1', roomName: 'room' });
        expect(await decisionOf({ kind: 'room', room: ROOM, askedAt: 4_000 })).toBe('advance');
        const { call } = (await store.findCall('c1')) ?? {};
        expect(call).toMatchObject({ status: 'connecting', roomId: 'RM_1', startedAt: 2_000 });
        expect(await decisionOf({ kind: 'room', room: ROOM, askedAt: 6_000 }, 7_000)).toBe('nothing');
        expect((await store.findCall('c1'))?.call).toEqual(call);
      });

      test('a list that repeats the roster changes nothing, not even updatedAt', async () => {
        await create({ id: 'c1', roomName: 'room' });
        await see({ kind: 'room', room: ROOM, askedAt: 4_000 });
        await list('c1', [aParticipant('agent', 'PA_1'), aParticipant('person', 'PA_2')]);
        const before = await store.findCall('c1');
        expect(before?.call.status).toBe('active');
        await list('c1', [aParticipant('person', 'PA_2'), aParticipant('agent', 'PA_1')], 9_000);
        expect(await store.findCall('c1')).toEqual(before);
      });

      test('a cancelled room that is listed after its deletion was completed is deleted again; before, not', async () => {
        await create({ id: 'c1', roomName: 'room' });
        await cancel('c1');
        const listed = (askedAt: number, now = 5_000) =>
          decisionOf({ kind: 'room', room: ROOM, askedAt }, now);
        expect(await listed(4_000)).toBeUndefined(); // A deletion is under way.
        await settle('c1', 1);
        expect(await listed(3_000)).toBeUndefined(); // The list was requested before it was completed.
        expect(await listed(3_001)).toBe('delete_room');
        expect(await deletionOf('c1')).toMatchObject({ state: 'available' });
        expect(await listed(3_001)).toBeUndefined(); // Due already.
      });

      test('the participants decide in the listed room of a call that ended by itself', async () => {
        await create({ id: 'c1', roomName: 'room', status: 'completed', endedAt: 1_500 });
        expect(await see({ kind: 'room', room: ROOM, askedAt: 4_000 })).toMatchObject({
          decision: { kind: 'nothing' },
          isListedAfterEnd: true,
        });
        expect(await deletionOf('c1')).toBeNull();
      });

      test('a call that ended by absence, and whose room is in use, is reported and left alone', async () => {
        await create({ id: 'c1', roomName: 'room' });
        await see({ kind: 'room', room: ROOM, askedAt: 4_000 });
        const people = [aParticipant('person', 'PA_1'), aParticipant('person', 'PA_2')];
        await list('c1', people);
        await see({ kind: 'room_absent', callId: 'c1', sid: 'RM_1' }, 6_000);
        const listed = { participants: people, ...LISTED, askedAt: 7_000, version: '', isTrusted: false };
        const seen = { kind: 'room_of_ended', callId: 'c1', room: ROOM, ...listed } as const;
        expect(await see(seen, 7_000)).toMatchObject({ decision: { kind: 'report_survival' } });
        expect(await store.findCall('c1')).toMatchObject({ call: { status: 'completed' }, deletion: null });
        expect((await store.listCallEvents({ callId: 'c1', after: 0, limit: 9 })).at(-1)).toMatchObject({
          action: 'call.ended_in_error',
          actor: 'reconciler',
          reason: 'its room RM_1 is still in use: 2 parties',
        });
        // Once for each session.
        expect(await decisionOf({ ...seen, askedAt: 8_000 }, 8_000)).toBe('nothing');
      });

      test('a room beyond the guard time belongs to no call, and a discarded deletion is left to the operator', async () => {
        await create({ id: 'c1', roomName: 'room' });
        await cancel('c1');
        await settle('c1', 1);
        const late = 2_000 + POLICY.recreatedRoomWindowMs + 1;
        expect(await see({ kind: 'room', room: ROOM, askedAt: late }, late)).toBeNull();
        await create({ id: 'c2', roomName: 'other' });
        await cancel('c2');
        const settlement = { state: 'discarded', lastError: 'x' } as const;
        await settle('c2', 1, 3_000, { settlement });
        const other = { ...ROOM, name: 'other' };
        expect(await see({ kind: 'room', room: other, askedAt: 4_000 })).toBeNull();
      });

      test('an absent room ends the call of that session alone, and no call that never had a room', async () => {
        await create({ id: 'c1', roomName: 'room' });
        expect(await decisionOf({ kind: 'room_absent', callId: 'c1', sid: null })).toBe('nothing');
        await see({ kind: 'room', room: ROOM, askedAt: 4_000 });
        expect(await decisionOf({ kind: 'room_absent', callId: 'c1', sid: 'RM_0' })).toBe('nothing');
        expect(await decisionOf({ kind: 'room_absent', callId: 'c1', sid: 'RM_1' })).toBe('end');
        expect(await store.findCall('c1')).toMatchObject({
          call: { status: 'failed', failureReason: 'ROOM_FINISHED', endedAt: 5_000 },
          deletion: null,
        });
        expect(await decisionOf({ kind: 'room_absent', callId: 'c1', sid: 'RM_1' })).toBe('nothing');
        expect(await see({ kind: 'room_absent', callId: 'nobody', sid: null })).toBeNull();
      });

      test('calls with an unanswered phone are listed in turn, until it is answered or missing in two lists', async () => {
        for (const id of ['c1', 'c2', 'c3']) {
          await create({ id, roomName: id });
          await see({ kind: 'room', room: { ...ROOM, name: id }, askedAt: 4_000 });
          await list(id, [dialled]);
        }
        const unanswered = async (after: string, limit: number) =>
          (await store.listUnansweredPhones({ after, limit })).map(({ callId }) => callId);
        expect(await unanswered('', 2)).toEqual(['c1', 'c2']);
        expect(await unanswered('c2', 2)).toEqual(['c3']);
        const answered = { ...dialled, phone: { ...inbound('SCL_1'), callStatus: 'active', ruleId: null } };
        expect(await list('c1', [answered], 6_000)).toBe('advance');
        expect((await store.findCall('c1'))?.call).toMatchObject({ status: 'active', answeredAt: 6_000 });
        expect(await list('c2', [], 6_000)).toBe('nothing');
        expect(await list('c2', [], 15_999)).toBe('nothing');
        expect(await list('c2', [], 16_000)).toBe('end');
        expect(await store.findCall('c2')).toMatchObject({
          call: { status: 'failed' },
          deletion: { state: 'available' },
        });
        expect(await unanswered('', 9)).toEqual(['c3']);
      });

      test('a node that does not answer for the grace ends its call, one that answers again does not', async () => {
        for (const id of ['c1', 'c2']) {
          await create({ id, roomName: id });
          await see({ kind: 'room', room: { ...ROOM, name: id }, askedAt: 4_000 });
          await list(id, [aParticipant('agent', 'PA_1'), aParticipant('person', 'PA_2')]);
          const lost = {
            kind: 'node',
            callId: id,
            isResponding: false,
            isTrusted: true,
            askedAt: 6_000,
          } as const;
          expect(await decisionOf(lost, 6_000)).toBe('nothing');
        }
        clock.set(31_000);
        expect(await store.listReviews({ maxDelayMs: 969_000, limit: 9 })).toMatchObject({
          due: [
            { callId: 'c1', isUnresponsive: true },
            { callId: 'c2', isUnresponsive: true },
          ],
        });
        const back = {
          kind: 'node',
          callId: 'c2',
          isResponding: true,
          isTrusted: true,
          askedAt: 31_000,
        } as const;
        expect(await decisionOf(back, 31_000)).toBe('nothing');
        for (const callId of ['c1', 'c2']) {
          await see({ kind: 'node', callId, isResponding: false, isTrusted: true, askedAt: 31_000 }, 31_000);
        }
        expect(await store.findCall('c1')).toMatchObject({
          call: { status: 'completed', failureReason: 'NODE_LOST', endedAt: 6_000 },
          deletion: { state: 'available' },
        });
        expect((await store.findCall('c2'))?.call.status).toBe('active');
      });

      test('a call that never started fails, unless it has', async () => {
        await create({ id: 'c1', roomName: 'room' });
        await create({ id: 'c2', roomName: 'other' });
        await see({ kind: 'room', room: ROOM, askedAt: 4_000 });
        expect(await decisionOf({ kind: 'never_started', callId: 'c1' })).toBe('nothing');
        expect(await decisionOf({ kind: 'never_started', callId: 'c2' })).toBe('end');
        expect((await store.findCall('c2'))?.call).toMatchObject({
          status: 'failed',
          failureReason: 'never started',
        });
      });

      test('a deletion names its call, and whether a prefix adopts its room name', async () => {
        await create({ id: 'c1', roomName: 'room' });
        await cancel('c1');
        const { call } = (await store.findCall('c1')) ?? {};
        expect(await store.findDeletionSubject('c1')).toEqual({ call, isAdoptable: false });
        expect(await store.findDeletionSubject('none')).toBeNull();
        await store.addAdoptionPrefix({
          prefix: 'ro',
          organizationName: 'acme',
          organizationIdIfNew: 'org_new',
          now: 1,
        });
        expect(await store.findDeletionSubject('c1')).toEqual({ call, isAdoptable: true });
      });

      test('a deletion that left its room alone is completed, and the audit log has the reason', async () => {
        await create({ id: 'c1' });
        await cancel('c1');
        const keptBecause = 'others use the room now';
        expect(await settle('c1', 2, 3_000, { keptBecause })).toBe(false);
        expect(await settle('c1', 1, 3_000, { keptBecause })).toBe(true);
        expect(await deletionOf('c1')).toMatchObject({ state: 'completed' });
        const entries = await store.listCallEvents({ callId: 'c1', after: 0, limit: 9 });
        expect(entries.filter(({ action }) => action === 'call.room_kept')).toMatchObject([
          { actor: 'reconciler', reason: keptBecause },
        ]);
      });
    });

    describe('deletions that an operator looks at', () => {
      test('what is open or was given up is listed, and tried again by hand', async () => {
        for (const id of ['c1', 'c2', 'c3']) {
          await create({ id });
          await cancel(id);
        }
        await settle('c1', 1);
        const settlement = { state: 'discarded', lastError: 'gone for a day' } as const;
        await settle('c2', 1, 3_000, { settlement, wasRescued: true });
        const list = async (states: readonly DeletionState[]) =>
          (await store.listDeletions({ states, limit: 9 })).map(({ callId }) => callId);
        expect(await list(['discarded'])).toEqual(['c2']);
        expect(await list(['running', 'discarded', 'completed'])).toEqual(['c2', 'c3']);
        expect(await store.countOpenDeletions()).toBe(1);
        expect(await retry('nobody', 4_000)).toBeNull();
        expect(await retry('c1', 4_000)).toBe('completed');
        expect(await deletionOf('c1')).toMatchObject({ state: 'completed' });
        expect(await retry('c2', 4_000)).toBe('discarded');
        expect(await claim(4_000)).toMatchObject([{ callId: 'c2', attempt: 1 }]);
        const entries = await store.listCallEvents({ callId: 'c2', after: 0, limit: 9 });
        expect(entries.slice(2)).toMatchObject([
          { action: 'call.room_rescued', actor: 'reconciler' },
          { action: 'call.room_deletion_discarded', actor: 'reconciler', reason: 'gone for a day' },
          { action: 'call.room_deletion_reopened', actor: 'operator', reason: 'it was discarded' },
        ]);
      });
    });

    describe('what is watched', () => {
      test('the census counts what is live and what is not complete, and nothing that is over', async () => {
        expect(await store.countLive()).toEqual({
          liveCalls: { initiated: 0, connecting: 0, ringing: 0, active: 0 },
          openDeletions: { available: 0, running: 0, retryable: 0, discarded: 0 },
          oldestOpenDeletionAt: null,
        });
        for (const [i, status] of (['ringing', 'active', 'active', 'initiated'] as const).entries()) {
          await create({ id: `live${i}`, status });
        }
        await create({ id: 'over', status: 'completed', endedAt: 1_500 });
        for (const [i, id] of ['given-up', 'done', 'retried', 'running'].entries()) {
          await create({ id });
          await cancel(id, { now: 2_000 + i });
        }
        await settle('done', 1);
        const lastError = 'unavailable';
        await settle('given-up', 1, 3_000, { settlement: { state: 'discarded', lastError } });
        await settle('retried', 1, 3_000, {
          settlement: { state: 'retryable', retryAfterMs: 1_000, lastError },
        });
        expect(await store.countLive()).toEqual({
          liveCalls: { initiated: 1, connecting: 0, ringing: 1, active: 2 },
          openDeletions: { available: 0, running: 1, retryable: 1, discarded: 1 },
          oldestOpenDeletionAt: 2_002,
        });
      });

      test('a probe changes nothing that is on record', async () => {
        await create({ id: 'c1' });
        const before = [await store.findCall('c1'), await store.countLive()];
        expect(await store.checkWritable()).toEqual({ isSchemaCurrent: true });
        expect([await store.findCall('c1'), await store.countLive()]).toEqual(before);
      });
    });

    describe('listCalls', () => {
      const list = (query: Partial<CallQuery> = {}) =>
        store.listCalls({
          organizationId: acme.organizationId,
          sortBy: 'createdAt',
          sortOrder: 'desc',
          limit: 50,
          offset: 0,
          ...query,
        });
      const idsOf = async (query: Partial<CallQuery>) => (await list(query)).calls.map(({ id }) => id);

      const A_FEW = [
        { id: 'a', createdAt: 1, status: 'active', agentId: 'x', scheduledAt: 30 },
        { id: 'b', createdAt: 2, status: 'completed', endedAt: 9, phoneNumber: '+1' },
        { id: 'c', createdAt: 2, status: 'ringing', agentId: 'x', direction: 'inbound' },
        { id: 'd', createdAt: 3, status: 'busy', endedAt: 9, scheduledAt: 20, phoneNumber: '+1' },
        { id: 'e', createdAt: 4, status: 'active', agentId: 'y' },
      ] as const;
      beforeEach(async () => {
        for (const call of A_FEW) await create(call);
        await create({ id: 'theirs', organizationId: other.organizationId });
      });

      test("newest first, of this organization alone, without another one's", async () => {
        expect(await list()).toMatchObject({ total: 5, totalCapped: false, next: null });
        expect(await idsOf({})).toEqual(['e', 'd', 'c', 'b', 'a']);
        expect(await idsOf({ organizationId: other.organizationId })).toEqual(['theirs']);
      });

      test.each<[string, Partial<CallQuery>, string[]]>([
        ['agent', { agentId: 'x' }, ['c', 'a']],
        ['direction', { direction: 'inbound' }, ['c']],
        ['phone number', { phoneNumber: '+1' }, ['d', 'b']],
        ['one status', { statuses: ['active'] }, ['e', 'a']],
        ['several statuses', { statuses: ['busy', 'active', 'ringing'] }, ['e', 'd', 'c', 'a']],
        ['times, both inclusive', { from: 2, to: 3 }, ['d', 'c', 'b']],
        ['several at once', { statuses: ['active', 'ringing'], agentId: 'x', to: 1 }, ['a']],
        ['no status at all', { statuses: [] }, ['e', 'd', 'c', 'b', 'a']],
        ['an agent that has none', { agentId: 'z' }, []],
      ])('filtered by %s', async (_, query, ids) => {
        const page = await list(query);
        expect(page.calls.map(({ id }) => id)).toEqual(ids);
        expect(page.total).toBe(ids.length);
      });

      test('oldest first', async () => {
        expect(await idsOf({ sortOrder: 'asc' })).toEqual(['a', 'b', 'c', 'd', 'e']);
      });

      test('by scheduled time, those without one as the earliest', async () => {
        expect(await idsOf({ sortBy: 'scheduledAt' })).toEqual(['a', 'd', 'e', 'c', 'b']);
        expect(await idsOf({ sortBy: 'scheduledAt', sortOrder: 'asc' })).toEqual(['b', 'c', 'e', 'd', 'a']);
      });

      test('pages by offset', async () => {
        expect(await idsOf({ limit: 2, offset: 2 })).toEqual(['c', 'b']);
        expect(await idsOf({ limit: 2, offset: 2, statuses: ['active', 'ringing', 'busy'] })).toEqual([
          'c',
          'a',
        ]);
        expect((await list({ limit: 2, offset: 4 })).next).toBeNull();
        expect((await list({ limit: 2, offset: 3 })).next).toBeNull();
      });

      test.each<Partial<CallQuery>>([
        {},
        { sortOrder: 'asc' },
        { sortBy: 'scheduledAt' },
        { sortBy: 'scheduledAt', sortOrder: 'asc' },
        { statuses: ['active', 'ringing', 'busy', 'completed'] },
        { statuses: ['active', 'ringing'], sortBy: 'scheduledAt' },
      ])('pages by position, without gap or repetition: %j', async (query) => {
        const all = await idsOf(query);
        const seen: string[] = [];
        let after: CallQuery['after'];
        do {
          const page = await list({ ...query, limit: 2, after });
          seen.push(...page.calls.map(({ id }) => id));
          expect(page.total).toBe(all.length);
          after = page.next ?? undefined;
        } while (after !== undefined);
        expect(seen).toEqual(all);
      });

      test('counts up to 10,000', async () => {
        const fill = async (count: number) => {
          for (let i = 0; i < count; i += 1) await create({ id: `n${i}`, agentId: 'many', createdAt: 5 });
        };
        await fill(MAX_COUNT);
        expect(await list({ agentId: 'many', limit: 1 })).toMatchObject({
          total: 10_000,
          totalCapped: false,
        });
        await create({ id: 'one-more', agentId: 'many' });
        expect(await list({ agentId: 'many', limit: 1 })).toMatchObject({ total: 10_000, totalCapped: true });
      }, 60_000);
    });
  });
}
