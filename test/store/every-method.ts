import type { CallQuery, Store } from '../../src/ports/store.ts';
import { buildCall } from '../harness/calls.ts';
import { eachListShape } from './list-shapes.ts';

/** Calls each method of the store, and a list of each shape. */
export async function callEveryMethod(store: Store): Promise<void> {
  const { organizationId, id: apiKeyId } = await store.createApiKey({
    id: 'k',
    organizationName: 'acme',
    organizationIdIfNew: 'o',
    name: 'test',
    hash: '0'.repeat(64),
    scopes: [],
    expiresAt: null,
    now: 1,
  });
  await store.findApiKey('x');
  await store.findApiKeyById('k');
  await store.listApiKeys();
  await store.listApiKeysOf({ organizationId, limit: 10 });
  await store.listOrganizations();
  await store.recordApiKeyUse({ id: 'k', now: 1 });
  await store.revokeApiKey({ id: 'k', now: 1 });
  const prefix = { prefix: 'p', organizationName: 'acme', organizationIdIfNew: 'o', now: 1 };
  await store.addAdoptionPrefix(prefix);
  await store.listAdoptionPrefixes();
  await store.recordLiveKitServer({ url: 'http://livekit', now: 1 });
  await store.heartbeat({ memberId: 'proc', wanted: ['pruning'], rateDivisor: null });
  await store.leaveFleet({ memberId: 'proc' });
  await store.listLiveKitServers();

  const cursors: CallQuery['after'][] = [-1, 0, 1].map((sort) => ({ sort, createdAt: 2, id: 'c' }));
  for (const shape of eachListShape({ from: 1, to: 3 })) {
    for (const after of [undefined, ...cursors]) {
      await store.listCalls({ organizationId, limit: 50, offset: 0, ...shape, after });
    }
  }
  await store.findCall('c');
  await store.findKeyAndCall({ keyHash: 'x', callId: 'c' });
  await store.listCallEvents({ callId: 'c', after: 0, limit: 10 });
  await store.getEventRange();
  for (const filter of [{}, { agentId: 'a' }, { callId: 'c' }, { cancellationId: 'can' }]) {
    await store.listEvents({ organizationId, filter, after: 0, limit: 10 });
  }
  const call = buildCall({ id: 'c', organizationId });
  await store.changeCall({ kind: 'register', call, apiKeyId });
  const idempotency = { key: 'k', fingerprint: 'f', ttlMs: 1 };
  const cancel = { organizationId, apiKeyId, reason: null, leaseMs: 1, idempotency } as const;
  await store.changeCall({ kind: 'cancel', callId: 'c', ...cancel });
  await store.claimDeletions({ leaseMs: 1, maxDelayMs: 2, limit: 1 });
  await store.nextDeletionAt();
  const event = {
    id: 'EV',
    at: 1,
    room: { name: 'p-room', sid: 'RM', createdAt: 1, metadata: '' },
    payload: { kind: 'room_started' },
  } as const;
  const policy = { agentLeftGraceMs: 1, reconnectGraceMs: 1, recreatedRoomWindowMs: 1 };
  const adopted = { id: 'x', agentId: null };
  await store.changeCall({ kind: 'room_event', event, policy, adopted });
  const observed = { kind: 'observation', policy, adopted, leaseMs: null } as const;
  const room = { kind: 'room', room: event.room, requestedAt: 1 } as const;
  await store.changeCall({ ...observed, observation: room });
  await store.changeCall({ ...observed, observation: { kind: 'never_started', callId: 'c' } });
  await store.listReviews({ maxDelayMs: 1, limit: 10 });
  await store.findDeletionSubject('c');
  await store.findRosterVersion('c');
  await store.listLiveRooms({ after: 'r', limit: 10 });
  await store.findLiveCalls(['r']);
  await store.findRosterVersion('c');
  await store.listKnownRooms(['r']);
  await store.listUnansweredPhones({ after: 'c', limit: 10 });
  await store.listDeletions({ states: ['retryable'], limit: 10 });
  await store.countOpenDeletions();
  await store.searchCalls({
    organizationId,
    terms: { beginning: '123', phoneBeginnings: ['+123', '123'], phoneEnd: '123' },
    limit: 10,
  });
  await store.countOrganization(organizationId);
  await store.readActivity(null);
  await store.readActivity(0);
  await store.findRooms(['c']);
  await store.listAgents({ organizationId, limit: 10 });
  const deletions = { organizationId, states: ['retryable'], cancellationId: null, limit: 10 } as const;
  await store.listRoomDeletions({ ...deletions, after: null });
  await store.retryRoomDeletion({
    callId: 'c',
    organizationId,
    apiKeyId,
    idempotency: { ...idempotency, organizationId, key: 'retry' },
  });
  const settled = { callId: 'c', wasRescued: true, keptBecause: 'kept' };
  await store.settleDeletion({ ...settled, attempt: 1, settlement: { state: 'discarded', lastError: 'x' } });
  await store.completeDeletions([{ callId: 'c', attempt: 1 }]);
  await store.retryDeletion({ callId: 'c' });
  await store.countLive();
  await store.countPrunable({ callsBefore: 1, auditBefore: 1, eventsBefore: 1 });
  await store.pruneEvents({ before: Number.MAX_SAFE_INTEGER, limit: 1 });
  await store.pruneCalls({ before: Number.MAX_SAFE_INTEGER, limit: 1 });
  await store.pruneAudit({ before: Number.MAX_SAFE_INTEGER, now: Number.MAX_SAFE_INTEGER, limit: 1 });
  await store.pruneIdempotencyKeys({ before: Number.MAX_SAFE_INTEGER, limit: 1 });
  const cancellation = { id: 'can', organizationId, reason: 'test', createdBy: apiKeyId };
  for (const [id, selector] of [
    ['can_ids', { callIds: ['c', 'd'] }],
    ['can_all', { all: true }],
  ] as const) {
    await store.createCancellation({
      cancellation: { ...cancellation, id, selector, hasHold: 'all' in selector },
      expectedAtMost: 9,
      isDryRun: false,
      idempotency: null,
    });
    await store.advanceCancellation({ id, limit: 9, budgetMs: 1_000 });
    await store.findCancellation(id);
    await store.liftHold({ id, organizationId, apiKeyId, idempotency: null });
  }
  const filter = { agentId: 'a', direction: 'inbound', phoneNumber: '+1', from: 1, to: 2 } as const;
  await store.createCancellation({
    cancellation: { ...cancellation, selector: { filter }, hasHold: false },
    expectedAtMost: null,
    isDryRun: true,
    idempotency: null,
  });
  await store.listCancellations({ organizationId, after: null, limit: 9 });
  await store.listRunningCancellations();
  await store.getWebhookActivity();
  await store.checkWritable();
  await store.removeAdoptionPrefix({ prefix: 'p', now: 1 });
}
