import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { ApiKey } from '../../src/domain/api-key.ts';
import type { Call } from '../../src/domain/call.ts';
import type { Observation } from '../../src/domain/observation.ts';
import type { CancelCommand } from '../../src/domain/on-cancel.ts';
import type { DeletionState } from '../../src/domain/room-deletion.ts';
import type { Participant, RoomEventPayload } from '../../src/domain/room-event.ts';
import { versionOf } from '../../src/domain/roster.ts';
import {
  type CallQuery,
  MAX_COUNT,
  type NewApiKey,
  type OpenStore,
  type Store,
} from '../../src/ports/store.ts';
import type { Clock } from '../../src/ports/system.ts';
import { buildCall } from '../harness/calls.ts';
import { type ManualClock, manualClock } from '../harness/manual-clock.ts';
import { AGENT, ANSWERED, inbound, joined, left, outbound, PERSON, POLICY } from '../harness/rosters.ts';

type Factory = (clock: Clock) => OpenStore | Promise<OpenStore>;

const ROOM = { name: 'room', sid: 'RM_1', createdAt: 2_000, metadata: '' };
const PHONE = inbound({ callStatus: 'active' });

/*
 * The tests of every store: load the rows of a decision, write the decision as one change, lease, list, count and prune.
 * test/domain tests the decisions without a store.
 */
export function conformance(name: string, openStore: Factory): void {
  describe(name, () => {
    let store: Store;
    let clock: ManualClock;
    let acme: ApiKey;
    let other: ApiKey;
    let hashes = 0;

    const makeKey = (organizationName: string, parts: Partial<NewApiKey> & { id: string }) => {
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
      const call = buildCall({ organizationId: acme.organizationId, ...parts });
      return (await store.changeCall({ kind: 'register', call, apiKeyId: acme.id })).result.kind;
    };
    /** Registers a call under the Idempotency-Key `k`. */
    const register = (parts: Partial<Call> & { id: string }, { fingerprint = 'register' } = {}) => {
      const call = buildCall({ organizationId: acme.organizationId, ...parts });
      const idempotency = { key: 'k', fingerprint, ttlMs: 100_000 };
      return store.changeCall({ kind: 'register', call, apiKeyId: acme.id, idempotency });
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
    let lastEvent = 0;
    const receive = async (
      payload: RoomEventPayload,
      {
        now = 5_000,
        id = '',
        in: room = ROOM as { name: string; sid: string; createdAt: number; metadata: string },
      } = {},
    ) => {
      clock.set(now);
      lastEvent += 1;
      const event = { id: id || `EV_${lastEvent}`, at: now, room, payload };
      const adopted = { id: `adopted_${lastEvent}`, agentId: 'a' };
      return (await store.changeCall({ kind: 'room_event', event, policy: POLICY, adopted })).result;
    };
    const observe = async (observation: Observation, now = 5_000, leaseMs: number | null = null) => {
      clock.set(now);
      const adopted = { id: 'adopted', agentId: null };
      const command = { kind: 'observation', observation, policy: POLICY, adopted, leaseMs } as const;
      return (await store.changeCall(command)).result;
    };
    /** Applies LiveKit's list of the participants. */
    const list = async (
      callId: string,
      participants: readonly Participant[],
      requestedAt = 5_000,
      leaseMs: number | null = null,
    ) => {
      const version = versionOf((await store.findCall(callId))?.call.roster ?? null);
      const listed = { participants, requestedAt, version, isTrusted: true };
      return observe({ kind: 'participants', callId, ...listed }, requestedAt, leaseMs);
    };
    const reviews = (now: number, limit = 10) => {
      clock.set(now);
      return store.listReviews({ maxDelayMs: 100_000, limit });
    };
    const addPrefix = (prefix: string, organizationName = 'acme') =>
      store.addAdoptionPrefix({ prefix, organizationName, organizationIdIfNew: `org_of_${prefix}`, now: 1 });
    const callNow = async (id = 'c1') => (await store.findCall(id))?.call;
    const auditOf = (callId: string) => store.listCallEvents({ callId, after: 0, limit: 99 });
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

      test('findKeyAndCall returns the same key and call as two single reads', async () => {
        const hashOf = (number: number) => String(number).padStart(64, '0');
        const key = await makeKey('acme', { id: 'key_2', name: 'a "key" of \\ Zoë 😀', expiresAt: 9_000 });
        const keyHash = hashOf(hashes);
        await create({ id: 'live', roomName: 'live', metadata: { nested: [1, null, '😀'] } });
        await create({ id: 'cancelled', roomName: 'cancelled' });
        await cancel('cancelled', { reason: 'because' });
        await settle('cancelled', 1, 3_000, {
          settlement: { state: 'discarded', lastError: 'a "quote"\n😀' },
        });
        for (const hash of [keyHash, 'f'.repeat(64)]) {
          for (const callId of ['live', 'cancelled', 'none']) {
            const found = { apiKey: await store.findApiKey(hash), record: await store.findCall(callId) };
            expect(await store.findKeyAndCall({ keyHash: hash, callId })).toEqual(found);
          }
        }
        expect(await store.findKeyAndCall({ keyHash, callId: 'cancelled' })).toMatchObject({
          apiKey: key,
          record: { deletion: { state: 'discarded', lastError: 'a "quote"\n😀' } },
        });
        await store.revokeApiKey({ id: key.id, now: 4_000 });
        expect(await store.findKeyAndCall({ keyHash, callId: 'live' })).toMatchObject({
          apiKey: { revokedAt: 4_000 },
        });
      });

      test('organizations differ by name, and are listed', async () => {
        expect(acme.organizationId).not.toBe(other.organizationId);
        expect(await store.listOrganizations()).toEqual(['acme', 'other']);
      });

      test('all keys are listed by id', async () => {
        await makeKey('acme', { id: 'key_0' });
        expect((await store.listApiKeys()).map(({ id }) => id)).toEqual(['key_0', 'key_acme', 'key_other']);
      });

      test('a revocation is final, and keeps its first time', async () => {
        expect(await store.revokeApiKey({ id: acme.id, now: 10 })).toMatchObject({ revokedAt: 10 });
        expect(await store.revokeApiKey({ id: acme.id, now: 20 })).toMatchObject({ revokedAt: 10 });
        expect(await store.revokeApiKey({ id: 'key_none', now: 20 })).toBeNull();
        expect(await auditOf(acme.id)).toMatchObject([
          { action: 'api_key.created', actor: 'operator' },
          { action: 'api_key.revoked', actor: 'operator', at: 10 },
        ]);
      });

      test('a key is found by its id, with its hash', async () => {
        const key = await makeKey('acme', { id: 'key_2', name: 'a "key" of Zoë 😀', expiresAt: 9_000 });
        const hash = String(hashes).padStart(64, '0');
        expect(await store.findApiKeyById('key_2')).toEqual({ apiKey: key, hash });
        expect(await store.findApiKeyById('key_none')).toBeNull();
        expect(await store.findApiKeyById(hash)).toBeNull();
        await store.revokeApiKey({ id: 'key_2', now: 10 });
        expect(await store.findApiKeyById('key_2')).toMatchObject({ apiKey: { revokedAt: 10 } });
      });

      test('the keys of one organization are listed: not revoked ones first, then the newest first', async () => {
        for (const id of ['key_1', 'key_2', 'key_3', 'key_4']) await makeKey('third', { id });
        const [key] = (await store.listApiKeys()).filter(({ id }) => id === 'key_1');
        const organizationId = key?.organizationId ?? '';
        await store.revokeApiKey({ id: 'key_4', now: 10 });
        await store.revokeApiKey({ id: 'key_2', now: 20 });
        const list = (limit: number, id = organizationId) =>
          store.listApiKeysOf({ organizationId: id, limit });
        expect((await list(9)).map(({ id }) => id)).toEqual(['key_3', 'key_1', 'key_4', 'key_2']);
        expect((await list(9)).at(1)).toEqual(key);
        expect((await list(3)).map(({ id }) => id)).toEqual(['key_3', 'key_1', 'key_4']);
        expect(await list(9, 'org_none')).toEqual([]);
      });

      test('an author changes only keys of its organization, and is in the audit log', async () => {
        await makeKey('acme', { id: 'key_2', author: acme });
        expect(await store.revokeApiKey({ id: 'key_2', author: other, now: 10 })).toBeNull();
        expect(await store.findApiKeyById('key_2')).toMatchObject({ apiKey: { revokedAt: null } });
        expect(await auditOf('key_2')).toHaveLength(1);
        expect(await store.revokeApiKey({ id: 'key_2', author: acme, now: 20 })).toMatchObject({
          revokedAt: 20,
        });
        expect(await store.revokeApiKey({ id: 'key_2', author: acme, now: 30 })).toMatchObject({
          revokedAt: 20,
        });
        expect(await auditOf('key_2')).toMatchObject([
          { action: 'api_key.created', actor: 'api_key', actorId: acme.id },
          { action: 'api_key.revoked', actor: 'api_key', actorId: acme.id, at: 20 },
        ]);
      });

      test('an author removes only prefixes of its organization, and is in the audit log', async () => {
        const prefix = 'support-';
        const organization = { organizationName: 'acme', organizationIdIfNew: 'org_none' };
        await store.addAdoptionPrefix({ prefix, ...organization, author: acme, now: 1 });
        expect(await store.removeAdoptionPrefix({ prefix, author: other, now: 2 })).toBe(false);
        expect(await store.listAdoptionPrefixes()).toMatchObject([{ prefix, organizationName: 'acme' }]);
        expect(await store.removeAdoptionPrefix({ prefix, author: acme, now: 3 })).toBe(true);
        expect(await store.removeAdoptionPrefix({ prefix, author: acme, now: 4 })).toBe(false);
        expect(await auditOf(prefix)).toMatchObject([
          { action: 'adoption.added', actor: 'api_key', actorId: acme.id, at: 1 },
          { action: 'adoption.removed', actor: 'api_key', actorId: acme.id, at: 3 },
        ]);
      });

      test('the last use of a key is recorded', async () => {
        await store.recordApiKeyUse({ id: acme.id, now: 77 });
        expect((await store.listApiKeys()).find(({ id }) => id === acme.id)?.lastUsedAt).toBe(77);
      });
    });

    describe('changeCall', () => {
      test('a registered call is found with every field', async () => {
        const call = buildCall({
          id: 'c1',
          organizationId: acme.organizationId,
          phoneNumber: '+15551234567',
          agentId: 'a',
          contactName: 'Zoë 😀',
          scheduledAt: 5_000,
          metadata: { nested: { list: [1, null, 'x'] } },
        });
        const created = { action: 'call.created', actor: 'api_key', actorId: acme.id, toStatus: 'initiated' };
        expect(await store.changeCall({ kind: 'register', call, apiKeyId: acme.id })).toMatchObject({
          result: { kind: 'registered', call },
          events: [created],
        });
        expect(await store.findCall('c1')).toEqual({ call, deletion: null });
        expect(await store.findCall('c2')).toBeNull();
        expect(await auditOf('c1')).toMatchObject([created]);
      });

      test('an id is taken for every organization', async () => {
        await create({ id: 'c1' });
        expect(await create({ id: 'c1', roomName: 'r2' })).toBe('id_taken');
        expect(await create({ id: 'c1', roomName: 'r2', organizationId: other.organizationId })).toBe(
          'id_taken',
        );
      });

      test('a room name is taken by a live call and by a deletion that is not complete', async () => {
        await create({ id: 'c1', roomName: 'room' });
        expect(await create({ id: 'c2', roomName: 'room' })).toBe('room_name_taken');
        await cancel('c1');
        expect(await create({ id: 'c2', roomName: 'room' })).toBe('room_name_taken');
        await settle('c1', 1, 3_000, { settlement: { state: 'discarded', lastError: 'x' } });
        expect(await create({ id: 'c2', roomName: 'room' })).toBe('room_name_taken');
        await retry('c1', 3_000);
        await claim(3_000);
        await settle('c1', 1);
        expect(await create({ id: 'c2', roomName: 'room' })).toBe('registered');
      });

      test('a change that the database refuses writes nothing', async () => {
        const refused = create({ id: 'c1', organizationId: 'org_none' });
        await expect(refused).rejects.toThrow();
        expect(await store.findCall('c1')).toBeNull();
        expect(await auditOf('c1')).toEqual([]);
      });

      test('a cancel changes the call and its deletion together, by the clock of the store', async () => {
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
        expect(await cancel('c2')).toEqual({ kind: 'not_found' });
      });

      test('a response under an Idempotency-Key is repeated until it is pruned', async () => {
        const idempotency = { key: 'k', fingerprint: 'cancel c1', ttlMs: 100_000 };
        await create({ id: 'c1' });
        expect(await cancel('c1', { idempotency })).toMatchObject({
          kind: 'cancelled',
          deletion: { state: 'running' },
        });
        const before = [await store.findCall('c1'), await auditOf('c1')];
        expect(await cancel('c1', { idempotency })).toEqual({ kind: 'cancelled', deletion: null });
        expect([await store.findCall('c1'), await auditOf('c1')]).toEqual(before);
        expect(await store.pruneIdempotencyKeys({ before: 2_000, limit: 10 })).toBe(0);
        expect(await store.pruneIdempotencyKeys({ before: 2_001, limit: 10 })).toBe(1);
        expect(await cancel('c1', { idempotency })).toEqual({ kind: 'not_live', status: 'cancelled' });
        expect(await cancel('c1', { idempotency })).toEqual({ kind: 'not_live', status: 'cancelled' });
      });

      test('a registration runs once for its Idempotency-Key, and its call is repeated unchanged', async () => {
        const metadata = JSON.parse('{"b":1,"a":{"__proto__":{"x":[null,"é 😀"]}},"10":1.5}');
        const first = await register({ id: 'c1', metadata, scheduledAt: 9_000 });
        expect(first).toMatchObject({ result: { kind: 'registered' }, isReplay: false });
        expect(first.events).toMatchObject([{ action: 'call.created' }]);
        await cancel('c1');
        const replay = await register({ id: 'c2', metadata, scheduledAt: 9_000 });
        expect(replay).toEqual({ result: first.result, events: [], isReplay: true });
        expect(JSON.stringify(replay.result)).toBe(JSON.stringify(first.result));
        expect(await callNow('c2')).toBeUndefined();
        expect(await register({ id: 'c2' }, { fingerprint: 'another' })).toEqual({
          result: { kind: 'idempotency_key_reused' },
          events: [],
          isReplay: false,
        });
        expect(await callNow('c2')).toBeUndefined();
      });

      test('of two equal registrations in one turn, the first runs and the second is its replay', async () => {
        const [first, second] = await Promise.all([register({ id: 'c1' }), register({ id: 'c2' })]);
        expect(first).toMatchObject({ result: { kind: 'registered', call: { id: 'c1' } }, isReplay: false });
        expect(second).toEqual({ result: first.result, events: [], isReplay: true });
      });

      test('a refusal is repeated under its Idempotency-Key, and not_found leaves the key unused', async () => {
        await create({ id: 'c1', roomName: 'room' });
        const refused = { result: { kind: 'room_name_taken' }, events: [], isReplay: false };
        expect(await register({ id: 'c2', roomName: 'room' })).toEqual(refused);
        await cancel('c1');
        await settle('c1', 1);
        expect(await register({ id: 'c2', roomName: 'room' })).toEqual({ ...refused, isReplay: true });

        const idempotency = { key: 'other', fingerprint: 'cancel c3', ttlMs: 100_000 };
        expect(await cancel('c3', { idempotency })).toEqual({ kind: 'not_found' });
        await create({ id: 'c3' });
        expect(await cancel('c3', { idempotency })).toMatchObject({ kind: 'cancelled' });
      });

      test('a newer response replaces an expired response, and each organization has its own keys', async () => {
        const idempotency = { key: 'k', fingerprint: 'f', ttlMs: 499 };
        for (const id of ['c1', 'c2']) await create({ id });
        await create({ id: 'c3', organizationId: other.organizationId });
        await cancel('c1', { idempotency });
        const theirs = { organizationId: other.organizationId, apiKeyId: other.id, idempotency };
        expect(await cancel('c3', theirs)).toMatchObject({ kind: 'cancelled' });
        expect(await cancel('c2', { idempotency, now: 2_500 })).toMatchObject({ kind: 'cancelled' });
        expect(await cancel('c2', { idempotency, now: 2_999 })).toEqual({
          kind: 'cancelled',
          deletion: null,
        });
      });

      test('an event is applied once', async () => {
        await create({ id: 'c1', roomName: 'room' });
        expect(await receive({ kind: 'room_started' }, { id: 'EV_same' })).toMatchObject({
          kind: 'applied',
          callId: 'c1',
          decision: { kind: 'advance', to: 'connecting' },
        });
        expect(await receive({ kind: 'room_finished' }, { id: 'EV_same' })).toEqual({ kind: 'duplicate' });
        expect(await callNow()).toMatchObject({
          status: 'connecting',
          startedAt: 2_000,
          roomId: 'RM_1',
          roster: { sid: 'RM_1' },
        });
        expect((await auditOf('c1')).at(-1)).toMatchObject({
          action: 'call.status_changed',
          at: 5_000,
          actor: 'livekit',
          actorId: 'EV_same',
          fromStatus: 'initiated',
          toStatus: 'connecting',
          reason: 'room_started',
        });
      });

      test('an event of an unknown room is on record until its id is pruned', async () => {
        expect(await receive({ kind: 'room_started' }, { now: 10 })).toEqual({ kind: 'unknown_room' });
        expect(await store.getWebhookActivity()).toEqual({ hasEvents: true, hasLiveCalls: false });
        expect(await store.pruneEvents({ before: 10, limit: 10 })).toBe(0);
        expect(await store.pruneEvents({ before: 11, limit: 10 })).toBe(1);
        expect(await store.getWebhookActivity()).toEqual({ hasEvents: false, hasLiveCalls: false });
      });

      test('an event is matched with the two newest calls in its room, of the same time by id', async () => {
        for (const id of ['a', 'z', 'b']) {
          await create({ id, roomName: 'room', createdAt: 1_000 });
          if (id === 'b') break;
          await receive({ kind: 'room_started' }, { in: { ...ROOM, sid: `RM_${id}` } });
          await cancel(id);
          await settle(id, 1);
        }
        expect(await receive({ kind: 'room_finished' }, { in: { ...ROOM, sid: 'RM_z' } })).toEqual({
          kind: 'unknown_room',
        });
        expect(await receive({ kind: 'room_started' })).toMatchObject({ callId: 'b' });
      });

      test('a deletion that is scheduled again takes the lease from the running attempt', async () => {
        await create({ id: 'c1', roomName: 'room' });
        await cancel('c1');
        expect(await receive(joined(PERSON))).toMatchObject({
          decision: { kind: 'delete_room' },
          dueAt: 5_000,
        });
        expect(await settle('c1', 1)).toBe(false);
        expect(await claim(5_000)).toMatchObject([{ callId: 'c1', attempt: 2 }]);
      });

      test('a new caller begins a call, and completes the deletion of the ended call in the same change', async () => {
        await addPrefix('ro', 'other');
        await addPrefix('room');
        const first = await receive(joined(PHONE));
        if (first.kind !== 'applied') throw new Error(first.kind);
        expect(await callNow(first.callId)).toMatchObject({
          organizationId: acme.organizationId,
          adoptedPrefix: 'room',
          agentId: 'a',
          status: 'active',
        });
        await cancel(first.callId, { now: 6_000 });
        const next = await receive(joined(inbound({ callStatus: 'active' }, 'next')), { now: 6_500 });
        if (next.kind !== 'applied') throw new Error(next.kind);
        expect(next).toMatchObject({ wasAdopted: true, decision: { to: 'active' } });
        expect(await deletionOf(first.callId)).toMatchObject({ state: 'completed', finalizedAt: 6_500 });
        expect(await settle(first.callId, 1)).toBe(false);
        expect(await claim(1_000_000)).toEqual([]);
        expect(await callNow(next.callId)).toMatchObject({ createdAt: 6_500, adoptedPrefix: 'room' });
      });

      test.each(['never attempted', 'retried by an operator'])(
        'a deletion that was %s is completed by a new call in its room',
        async (how) => {
          await addPrefix('room');
          await create({ id: 'c1', roomName: 'room' });
          await receive(joined(PHONE));
          if (how === 'never attempted') {
            await receive(left(PHONE), { now: 6_000 });
            await list('c1', [], 6_100);
          } else {
            await cancel('c1', { now: 6_000 });
            await settle('c1', 1, 6_100, { settlement: { state: 'discarded', lastError: 'x' } });
            await retry('c1', 6_200);
          }
          expect(await deletionOf('c1')).toMatchObject({ state: 'available', attempt: 0 });
          const next = joined(inbound({ callStatus: 'active' }, 'next'));
          expect(await receive(next, { now: 7_000 })).toMatchObject({ wasAdopted: true });
          expect(await deletionOf('c1')).toMatchObject({ state: 'completed', finalizedAt: 7_000 });
        },
      );

      test('an observation of an ended call is matched with a newer call in the room', async () => {
        await create({ id: 'c1', roomName: 'room', createdAt: 3_000 });
        await cancel('c1', { now: 4_000 });
        await settle('c1', 1, 4_100);
        const listed = { participants: [PHONE], requestedAt: 6_000, version: '', isTrusted: true };
        const observation = { kind: 'room_of_ended', callId: 'c1', room: ROOM, ...listed } as const;
        expect(await observe(observation, 6_000)).toMatchObject({ decision: { kind: 'delete_room' } });
        await claim(6_000);
        await settle('c1', 2, 6_100);
        await create({ id: 'c2', roomName: 'room', createdAt: 6_500 });
        expect(await observe({ ...observation, requestedAt: 7_000 }, 7_000)).toBeNull();
        expect(await observe({ kind: 'room_absent', callId: 'none', sid: null })).toBeNull();
      });

      test('an observation that changes nothing leaves the record as it is', async () => {
        await create({ id: 'c1', roomName: 'room' });
        await observe({ kind: 'room', room: ROOM, requestedAt: 4_000 });
        await list('c1', [AGENT, PERSON]);
        const before = [await store.findCall('c1'), await auditOf('c1')];
        expect(await callNow()).toMatchObject({ status: 'active' });
        await list('c1', [PERSON, AGENT], 9_000);
        expect([await store.findCall('c1'), await auditOf('c1')]).toEqual(before);
      });

      test('an end leases the deletion of the room to the observer', async () => {
        await create({ id: 'c1', roomName: 'room' });
        await receive(joined(PHONE));
        await receive(left(PHONE), { now: 6_000 });
        const result = await list('c1', [], 6_500, 7_500);
        expect(result?.deletion).toEqual(await deletionOf('c1'));
        expect(result?.deletion).toMatchObject({ state: 'running', attempt: 1, scheduledAt: 14_000 });
        expect(await claim(13_999)).toEqual([]);
        expect(await settle('c1', 1, 7_000)).toBe(true);
      });
    });

    describe('live calls', () => {
      test('calls with an unanswered phone are listed by id, until the phone is answered or the call ends', async () => {
        for (const id of ['c1', 'c2', 'c3']) {
          await create({ id, roomName: id });
          await observe({ kind: 'room', room: { ...ROOM, name: id }, requestedAt: 4_000 });
          await list(id, [outbound()]);
        }
        const unanswered = async (after: string, limit: number) =>
          (await store.listUnansweredPhones({ after, limit })).map(({ callId }) => callId);
        expect(await unanswered('', 2)).toEqual(['c1', 'c2']);
        expect(await unanswered('c2', 2)).toEqual(['c3']);
        await list('c1', [outbound(ANSWERED)], 6_000);
        await cancel('c2', { now: 6_000 });
        expect(await store.listUnansweredPhones({ after: '', limit: 9 })).toEqual([
          { callId: 'c3', roomName: 'c3', version: 'RM_1:0' },
        ]);
      });

      test('the rooms of live calls are listed in pages, and live calls are found by their rooms', async () => {
        for (const id of ['c1', 'c2', 'c3']) await create({ id, roomName: `room ${id}` });
        await cancel('c2');
        expect(await store.listLiveRooms({ after: '', limit: 1 })).toEqual(['room c1']);
        expect(await store.listLiveRooms({ after: 'room c1', limit: 9 })).toEqual(['room c3']);
        const call = {
          id: 'c3',
          status: 'initiated',
          roomName: 'room c3',
          roomId: null,
          scheduledAt: null,
          createdAt: 1_000,
          updatedAt: 1_000,
        };
        expect(await store.findLiveCalls(['none', 'room c3', 'room c2', 'room c3'])).toEqual([
          null,
          call,
          null,
          call,
        ]);
        expect(await store.findLiveCalls([])).toEqual([]);
        expect(await store.findRosterVersion('c3')).toBe('');
        expect(await store.findRosterVersion('none')).toBe(null);
      });

      test('the known rooms are those of calls on record and those with an adoption prefix', async () => {
        await create({ id: 'live', roomName: 'live' });
        await create({ id: 'ended', roomName: 'ended' });
        await cancel('ended');
        await store.addAdoptionPrefix({
          prefix: 'sip-',
          organizationName: 'acme',
          organizationIdIfNew: 'org_x',
          now: 1,
        });
        const names = ['live', 'ended', 'sip-1', 'sip', 'live-2', 'Live', '%', '"'];
        expect((await store.listKnownRooms(names)).toSorted()).toEqual(['ended', 'live', 'sip-1']);
        expect(await store.listKnownRooms([])).toEqual([]);
      });

      test('a due review has the state of its roster', async () => {
        await create({ id: 'c1', roomName: 'room' });
        await receive(joined(PHONE));
        await receive(left(PHONE), { now: 6_000 });
        expect(await store.findRosterVersion('c1')).toBe('RM_1:1');
        expect(await reviews(5_999)).toEqual({ due: [], nextAt: 6_000 });
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
        const silent = { kind: 'node', callId: 'c1', isResponding: false, isTrusted: true } as const;
        await observe({ ...silent, requestedAt: 6_500 }, 6_500);
        expect((await reviews(1_000_000)).due).toMatchObject([{ isUnresponsive: true }]);
        await cancel('c1', { now: 7_000 });
        expect(await reviews(1_000_000)).toEqual({ due: [], nextAt: null });
      });

      test('reviews are listed in the order in which they are due, at most as many as requested', async () => {
        for (const [i, id] of ['c1', 'c2', 'c3'].entries()) {
          await create({ id, roomName: id });
          const where = { in: { ...ROOM, name: id }, now: 9_000 - i };
          await receive(joined(PHONE), where);
          await receive(joined(AGENT), where);
          await receive(left(AGENT), where);
        }
        expect((await reviews(38_999, 2)).due.map(({ callId }) => callId)).toEqual(['c3', 'c2']);
        expect((await reviews(38_999, 2)).nextAt).toBe(39_000);
      });

      test('a review later than every grace is due now: the clock was set back', async () => {
        await create({ id: 'c1', roomName: 'room' });
        for (const payload of [joined(PHONE), joined(AGENT), left(AGENT)]) {
          await receive(payload, { now: 3_600_000 });
        }
        clock.set(10_000);
        const dueWithin = async (maxDelayMs: number) =>
          (await store.listReviews({ maxDelayMs, limit: 9 })).due.length;
        expect(await dueWithin(3_690_000)).toBe(0);
        expect(await dueWithin(990_000)).toBe(1);
      });
    });

    describe('the deletion queue', () => {
      test('a leased deletion is not claimed again until the lease ends', async () => {
        await create({ id: 'c1' });
        await cancel('c1', { now: 2_000, leaseMs: 7_000 });
        expect(await claim(8_999)).toEqual([]);
        expect(await claim(9_000)).toMatchObject([
          { callId: 'c1', state: 'running', attempt: 2, scheduledAt: 24_000, attemptedAt: 9_000 },
        ]);
        expect(await claim(9_001)).toEqual([]);
      });

      test('only the attempt that holds the lease settles a deletion', async () => {
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

      test('deletions complete together, each under the lease of its own attempt', async () => {
        for (const id of ['c1', 'c2', 'c3', 'c4']) {
          await create({ id, roomName: `room-${id}` });
          await cancel(id);
        }
        const failed = { state: 'retryable', retryAfterMs: 1_000, lastError: 'unavailable: x' } as const;
        await settle('c1', 1, 3_000, { settlement: failed });
        await claim(4_000);
        await settle('c4', 1, 4_000);
        const untouched = [await deletionOf('c2'), await deletionOf('c4')];
        clock.set(5_000);
        expect(
          await store.completeDeletions([
            { callId: 'c1', attempt: 2 },
            { callId: 'c2', attempt: 2 },
            { callId: 'none', attempt: 1 },
            { callId: 'c3', attempt: 1 },
            { callId: 'c4', attempt: 1 },
          ]),
        ).toEqual([true, false, false, true, false]);
        expect(await deletionOf('c1')).toMatchObject({
          ...{ state: 'completed', attempt: 2, finalizedAt: 5_000, lastError: failed.lastError },
        });
        expect(await deletionOf('c3')).toMatchObject({ state: 'completed', attempt: 1, finalizedAt: 5_000 });
        expect([await deletionOf('c2'), await deletionOf('c4')]).toEqual(untouched);
        expect(await store.completeDeletions([])).toEqual([]);
      });

      test('a retryable deletion is due after its delay, and a final one never', async () => {
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

      test('the deletions due first are claimed first, at most as many as requested', async () => {
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

      test('a deletion later than every delay is due now: the clock was set back', async () => {
        await create({ id: 'c1', createdAt: 3_600_000, updatedAt: 3_600_000 });
        await cancel('c1', { now: 3_600_000, leaseMs: 7_500 });
        expect(await claim(0)).toMatchObject([{ callId: 'c1', attempt: 2 }]);
      });

      test('an empty queue has no next deletion', async () => {
        expect(await store.nextDeletionAt()).toBeNull();
        expect(await claim(1_000)).toEqual([]);
      });

      test('incomplete deletions are listed by state, and an operator can retry them', async () => {
        for (const id of ['c1', 'c2', 'c3']) {
          await create({ id });
          await cancel(id);
        }
        await settle('c1', 1);
        const settlement = { state: 'discarded', lastError: 'gone for a day' } as const;
        await settle('c2', 1, 3_000, { settlement, wasRescued: true });
        const listed = async (states: readonly DeletionState[]) =>
          (await store.listDeletions({ states, limit: 9 })).map(({ callId }) => callId);
        expect(await listed(['discarded'])).toEqual(['c2']);
        expect(await listed(['running', 'discarded', 'completed'])).toEqual(['c2', 'c3']);
        expect(await store.countOpenDeletions()).toBe(1);
        expect(await retry('none', 4_000)).toBeNull();
        expect(await retry('c1', 4_000)).toBe('completed');
        expect(await deletionOf('c1')).toMatchObject({ state: 'completed' });
        expect(await retry('c2', 4_000)).toBe('discarded');
        expect(await claim(4_000)).toMatchObject([{ callId: 'c2', attempt: 1 }]);
        expect((await auditOf('c2')).slice(2)).toMatchObject([
          { action: 'call.room_rescued', actor: 'reconciler' },
          { action: 'call.room_deletion_discarded', actor: 'reconciler', reason: 'gone for a day' },
          { action: 'call.room_deletion_reopened', actor: 'operator', reason: 'the deletion was discarded' },
        ]);
      });

      test('the subject of a deletion is its call, with whether a prefix adopts the room name', async () => {
        await create({ id: 'c1', roomName: 'room' });
        await cancel('c1');
        const call = await callNow();
        expect(await store.findDeletionSubject('c1')).toEqual({ call, isAdoptable: false });
        expect(await store.findDeletionSubject('none')).toBeNull();
        await addPrefix('ro');
        expect(await store.findDeletionSubject('c1')).toEqual({ call, isAdoptable: true });
      });

      test('a claimed deletion has the status of its call, and whether a prefix adopts the room name', async () => {
        await create({ id: 'c1', roomName: 'room' });
        await cancel('c1');
        const [first] = await claim(9_000);
        expect(first).toEqual({ ...(await deletionOf('c1')), callStatus: 'cancelled', isAdoptable: false });
        await addPrefix('ro');
        expect(await claim(24_000)).toMatchObject([
          { attempt: 3, callStatus: 'cancelled', isAdoptable: true },
        ]);
      });

      test('the reason for a kept room is in the audit log', async () => {
        await create({ id: 'c1' });
        await cancel('c1');
        const keptBecause = 'other participants use the room';
        expect(await settle('c1', 2, 3_000, { keptBecause })).toBe(false);
        expect(await settle('c1', 1, 3_000, { keptBecause })).toBe(true);
        expect(await deletionOf('c1')).toMatchObject({ state: 'completed' });
        expect((await auditOf('c1')).filter(({ action }) => action === 'call.room_kept')).toMatchObject([
          { actor: 'reconciler', reason: keptBecause },
        ]);
      });
    });

    test('adoption prefixes are added once, listed and removed', async () => {
      expect(await addPrefix('ro', 'other')).toBe('added');
      expect(await addPrefix('roo')).toBe('added');
      expect(await addPrefix('roo', 'other')).toBe('taken');
      expect(await store.listAdoptionPrefixes()).toMatchObject([
        { prefix: 'ro', organizationName: 'other' },
        { prefix: 'roo', organizationName: 'acme' },
      ]);
      expect(await store.removeAdoptionPrefix({ prefix: 'roo', now: 2 })).toBe(true);
      expect(await store.removeAdoptionPrefix({ prefix: 'roo', now: 2 })).toBe(false);
      expect((await auditOf('roo')).map(({ action }) => action)).toEqual([
        'adoption.added',
        'adoption.removed',
      ]);
    });

    test('LiveKit servers are listed by their last use, also when the clock was set back', async () => {
      expect(await store.listLiveKitServers()).toEqual([]);
      await store.recordLiveKitServer({ url: 'ws://a', now: 2_000 });
      await store.recordLiveKitServer({ url: 'ws://b', now: 1_000 });
      expect(await store.listLiveKitServers()).toEqual(['ws://b', 'ws://a']);
      await store.recordLiveKitServer({ url: 'ws://a', now: 1_000 });
      expect(await store.listLiveKitServers()).toEqual(['ws://a', 'ws://b']);
    });

    describe('health', () => {
      const noAges = { under_1m: 0, '1m_to_10m': 0, over_10m: 0 };
      const noRooms = { pending: noAges, discarded: noAges };

      test('live calls and incomplete deletions are counted, and nothing else', async () => {
        expect(await store.countLive()).toEqual({
          liveCalls: { initiated: 0, connecting: 0, ringing: 0, active: 0 },
          openDeletions: { available: 0, running: 0, retryable: 0, discarded: 0 },
          oldestOpenDeletionAt: null,
          cancellations: { running: 0, oldestRunningAt: null, activeHolds: 0, rooms: noRooms },
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
          // The cancels were requests for one call each.
          cancellations: { running: 0, oldestRunningAt: null, activeHolds: 0, rooms: noRooms },
        });
      });

      test('running cancellations, active holds and rooms of cancellations are counted, rooms by age', async () => {
        const ids = ['given-up', 'done', 'old', 'middle', 'new'];
        for (const id of ids) await create({ id, roomName: id });
        const stop = async (
          id: string,
          callId: string,
          { now, hasHold = false }: { now: number; hasHold?: boolean },
        ) => {
          clock.set(now);
          await store.createCancellation({
            cancellation: {
              id,
              organizationId: acme.organizationId,
              reason: 'test',
              createdBy: acme.id,
              selector: { callIds: [callId] },
              hasHold,
            },
            expectedAtMost: null,
            isDryRun: false,
            idempotency: null,
          });
          let isRecorded = false;
          while (!isRecorded) {
            ({ isRecorded } = await store.advanceCancellation({ id, limit: 10, budgetMs: 1_000 }));
          }
        };
        await stop('can_1', 'given-up', { now: 10_000, hasHold: true });
        await stop('can_2', 'done', { now: 10_000 });
        await stop('can_3', 'old', { now: 20_000, hasHold: true });
        await stop('can_4', 'middle', { now: 20_001 });
        await stop('can_5', 'new', { now: 560_001 });
        const claimed = await store.claimDeletions({ leaseMs: 1_000, maxDelayMs: 1_000, limit: 10 });
        expect(claimed.map(({ callId }) => callId).toSorted()).toEqual(ids.toSorted());
        await settle('done', 1, 560_001);
        await settle('given-up', 1, 560_001, { settlement: { state: 'discarded', lastError: 'x' } });
        await store.advanceCancellation({ id: 'can_1', limit: 10, budgetMs: 1_000 });
        await store.advanceCancellation({ id: 'can_2', limit: 10, budgetMs: 1_000 });
        await store.liftHold({
          id: 'can_3',
          organizationId: acme.organizationId,
          apiKeyId: acme.id,
          idempotency: null,
        });
        const cancellationsAt = async (now: number) => {
          clock.set(now);
          return (await store.countLive()).cancellations;
        };
        expect(await cancellationsAt(620_000)).toEqual({
          running: 3,
          oldestRunningAt: 20_000,
          activeHolds: 1,
          rooms: {
            pending: { under_1m: 1, '1m_to_10m': 1, over_10m: 1 },
            discarded: { under_1m: 0, '1m_to_10m': 0, over_10m: 1 },
          },
        });
        const { pending } = (await cancellationsAt(620_001)).rooms;
        expect(pending).toEqual({ under_1m: 0, '1m_to_10m': 1, over_10m: 2 });
      });

      test('checkWritable changes no record', async () => {
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

      test('calls are listed newest first, and only those of the organization', async () => {
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
      ])('calls are filtered by %s', async (_, query, ids) => {
        const page = await list(query);
        expect(page.calls.map(({ id }) => id)).toEqual(ids);
        expect(page.total).toBe(ids.length);
      });

      test('calls are listed oldest first on request', async () => {
        expect(await idsOf({ sortOrder: 'asc' })).toEqual(['a', 'b', 'c', 'd', 'e']);
      });

      test('calls without a scheduled time sort as the earliest', async () => {
        expect(await idsOf({ sortBy: 'scheduledAt' })).toEqual(['a', 'd', 'e', 'c', 'b']);
        expect(await idsOf({ sortBy: 'scheduledAt', sortOrder: 'asc' })).toEqual(['b', 'c', 'e', 'd', 'a']);
      });

      test('a page starts at its offset', async () => {
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
      ])('pages by cursor have neither gap nor repetition: %j', async (query) => {
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

      test('the total is exact up to 10,000', async () => {
        // In groups that no store refuses: a store may commit the calls of a group together.
        for (let i = 0; i < MAX_COUNT; i += 500) {
          const group = Array.from({ length: 500 }, (_, n) => `n${i + n}`);
          await Promise.all(group.map((id) => create({ id, agentId: 'many', createdAt: 5 })));
        }
        expect(await list({ agentId: 'many', limit: 1 })).toMatchObject({
          total: 10_000,
          totalCapped: false,
        });
        await create({ id: 'one-more', agentId: 'many' });
        expect(await list({ agentId: 'many', limit: 1 })).toMatchObject({ total: 10_000, totalCapped: true });
      });
    });
  });
}
