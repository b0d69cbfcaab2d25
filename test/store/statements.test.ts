import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { SQLiteSyncDialect } from 'drizzle-orm/sqlite-core';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { CancellationSelector } from '../../src/domain/cancellation.ts';
import type { Observation } from '../../src/domain/observation.ts';
import type { RoomEventPayload } from '../../src/domain/room-event.ts';
import type { Store } from '../../src/ports/store.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { buildCall } from '../harness/calls.ts';
import { AGENT, joined, left, PERSON, POLICY } from '../harness/rosters.ts';
import { temporaryFolder } from '../harness/temporary.ts';

interface Use {
  readonly built: string[];
  readonly prepared: string[];
}

/** Returns a store that records the statements which drizzle builds, and which SQLite prepares, for each method. */
function observe(store: Store): { observed: Store; uses: Map<string, Use>; restore(): void } {
  const uses = new Map<string, Use>();
  let current: Use = { built: [], prepared: [] };
  const prepare = vi.spyOn(SqliteDatabase.prototype, 'prepare');
  const build = vi.spyOn(SQLiteSyncDialect.prototype, 'sqlToQuery');
  const collect = () => {
    current.prepared.push(...prepare.mock.calls.map(([sql]) => sql));
    current.built.push(...build.mock.results.map(({ value }) => (value as { sql: string }).sql));
    prepare.mockClear();
    build.mockClear();
  };
  const observed = new Proxy(store, {
    get(target, name: keyof Store) {
      collect();
      current = uses.get(name) ?? { built: [], prepared: [] };
      uses.set(name, current);
      return target[name];
    },
  });
  const restore = () => {
    collect();
    prepare.mockRestore();
    build.mockRestore();
  };
  return { observed, uses, restore };
}

/** Returns the names of the methods with such a use. */
const methodsWith = (uses: ReadonlyMap<string, Use>, isSuch: (use: Use) => boolean) =>
  new Set([...uses].filter(([, use]) => isSuch(use)).map(([method]) => method));

function openTestStore() {
  // Equal times would leave a column unchanged.
  let now = 2_000;
  const store = openSqliteStore(join(temporaryFolder(), 'hangup.db'), { clock: { now: () => ++now } });
  onTestFinished(() => store.close());
  return store;
}

/** Calls each method of a store at least once. The ids of the rows contain the name of the round. */
async function use(store: Store, round: string): Promise<void> {
  const id = (name: string) => `${name}_${round}`;
  const key = await store.createApiKey({
    id: id('key'),
    organizationName: id('acme'),
    organizationIdIfNew: id('org'),
    name: 'test',
    hash: round.padStart(64, '0'),
    scopes: ['calls:read'],
    expiresAt: null,
    now: 1,
  });
  const { organizationId } = key;
  await store.findApiKey(round.padStart(64, '0'));
  await store.recordApiKeyUse({ id: key.id, now: 2 });
  await store.findApiKeyById(key.id);
  await store.listApiKeys();
  await store.listApiKeysOf({ organizationId, limit: 9 });
  await store.listOrganizations();

  const register = (name: string) =>
    store.changeCall({
      kind: 'register',
      call: buildCall({ id: id(name), organizationId }),
      apiKeyId: key.id,
    });
  for (const name of ['cancelled', 'left', 'kept', 'failed', 'discarded']) await register(name);

  let events = 0;
  const room = (name: string) => ({ name: id(name), sid: `RM_${id(name)}`, createdAt: 2_000, metadata: '' });
  const receive = (name: string, payload: RoomEventPayload) => {
    events += 1;
    return store.changeCall({
      kind: 'room_event',
      event: { id: id(`EV_${events}`), at: 3_000, room: room(name), payload },
      policy: POLICY,
      adopted: { id: id(`adopted_${events}`), agentId: null },
    });
  };
  const apply = (observation: Observation) =>
    store.changeCall({
      kind: 'observation',
      observation,
      policy: POLICY,
      adopted: { id: id('observed'), agentId: null },
      leaseMs: null,
    });
  for (const name of ['left', 'ends']) {
    await receive(name, { kind: 'room_started' });
    await receive(name, joined(PERSON));
    await receive(name, joined(AGENT));
    await receive(name, left(AGENT));
    await receive(name, { kind: 'room_finished' });
  }
  await store.addAdoptionPrefix({
    prefix: id('adopt-'),
    organizationName: id('acme'),
    organizationIdIfNew: id('org'),
    now: 1,
  });
  await receive(`adopt-${round}`, { kind: 'room_started' });
  await apply({ kind: 'room', room: room('observed'), requestedAt: 2_000 });
  await apply({ kind: 'never_started', callId: id('kept') });

  const idempotency = { key: id('key'), fingerprint: 'f', ttlMs: 1_000 };
  for (const name of ['cancelled', 'kept', 'failed', 'discarded'])
    await store.changeCall({
      kind: 'cancel',
      callId: id(name),
      organizationId,
      apiKeyId: key.id,
      reason: 'test',
      leaseMs: 1_000,
      idempotency: name === 'cancelled' ? idempotency : null,
    });
  await store.findCall(id('cancelled'));
  await store.findKeyAndCall({ keyHash: round.padStart(64, '0'), callId: id('cancelled') });
  await store.searchCalls({
    organizationId,
    terms: { beginning: '123', phoneBeginnings: ['+123', '123'], phoneEnd: '123' },
    limit: 10,
  });
  await store.countOrganization(organizationId);
  await store.readActivity(null);
  await store.readActivity(0);
  await store.findRooms([id('left')]);
  await store.listAgents({ organizationId, limit: 10 });
  await store.listRoomDeletions({
    organizationId,
    states: ['retryable'],
    cancellationId: null,
    limit: 10,
    after: null,
  });
  await store.retryRoomDeletion({
    callId: id('kept'),
    organizationId,
    apiKeyId: key.id,
    idempotency: { ...idempotency, organizationId, key: id('retry') },
  });
  await store.findDeletionSubject(id('cancelled'));
  await store.findRosterVersion(id('left'));
  const settle = (name: string, parts: Partial<Parameters<Store['settleDeletion']>[0]>) =>
    store.settleDeletion({
      callId: id(name),
      attempt: 1,
      settlement: { state: 'completed' },
      wasRescued: false,
      keptBecause: null,
      ...parts,
    });
  await store.completeDeletions([{ callId: id('cancelled'), attempt: 2 }]);
  await settle('cancelled', { wasRescued: true });
  await settle('kept', { keptBecause: 'test' });
  await settle('failed', { settlement: { state: 'retryable', retryAfterMs: 1, lastError: 'test' } });
  await settle('discarded', { settlement: { state: 'discarded', lastError: 'test' } });
  await store.retryDeletion({ callId: id('discarded') });
  await store.claimDeletions({ leaseMs: 1, maxDelayMs: 2, limit: 2 });
  await store.listDeletions({ states: ['running', 'available', 'discarded'], limit: 9 });
  await store.countOpenDeletions();
  await store.nextDeletionAt();

  const list = { organizationId, sortBy: 'createdAt', sortOrder: 'desc', limit: 9, offset: 0 } as const;
  await store.listCalls(list);
  await store.listCalls({ ...list, statuses: ['cancelled', 'active'], agentId: 'a', from: 1, to: 2 });
  await store.listCallEvents({ callId: id('cancelled'), after: 0, limit: 9 });
  await store.getEventRange();
  for (const filter of [{}, { callId: id('cancelled') }, { cancellationId: id('can') }]) {
    await store.listEvents({ organizationId, filter, after: 0, limit: 9 });
  }
  await store.listLiveRooms({ after: '', limit: 9 });
  await store.findLiveCalls([id('left'), id('kept')]);
  await store.listKnownRooms([id('left'), id('kept')]);
  await store.listUnansweredPhones({ after: '', limit: 9 });
  await store.listReviews({ maxDelayMs: 1, limit: 9 });
  await store.countLive();
  await store.getWebhookActivity();
  await store.checkWritable();
  await store.recordLiveKitServer({ url: `ws://${round}`, now: 1 });
  const member = { memberId: `proc_${round}` };
  await store.heartbeat({ ...member, wanted: ['pruning'], rateDivisor: null });
  await store.leaveFleet(member);
  await store.listLiveKitServers();
  await store.listAdoptionPrefixes();
  await store.removeAdoptionPrefix({ prefix: id('adopt-'), now: 2 });
  await store.countPrunable({ callsBefore: 1, auditBefore: 1, eventsBefore: 1 });
  for (const name of ['stopped', 'byId']) await register(name);
  await stop(store, { id: id('can'), organizationId, apiKeyId: key.id, callId: id('byId') });
  // Rows of the first round, so that each statement of a prune runs.
  const now = 1e12;
  await store.pruneIdempotencyKeys({ before: now, limit: 1 });
  await store.pruneEvents({ before: now, limit: 1 });
  await store.pruneAudit({ before: now, now, limit: 1 });
  await store.pruneCalls({ before: now, limit: 1 });
  await store.revokeApiKey({ id: key.id, now: 3 });
}

/** Calls each method of cancellations. */
async function stop(
  store: Store,
  {
    id,
    organizationId,
    apiKeyId,
    callId,
  }: { id: string; organizationId: string; apiKeyId: string; callId: string },
): Promise<void> {
  const request = { organizationId, reason: 'test', createdBy: apiKeyId };
  const start = (name: string, selector: CancellationSelector, isDryRun = false) =>
    store.createCancellation({
      cancellation: { ...request, id: name, selector, hasHold: 'all' in selector },
      expectedAtMost: 9,
      isDryRun,
      idempotency: { organizationId, key: name, fingerprint: 'f', ttlMs: 1_000 },
    });
  await start(`dry_${id}`, { filter: { agentId: 'nobody' } }, true);
  await start(`ids_${id}`, { callIds: [callId, 'unknown'] });
  await start(id, { all: true });
  for (const name of [`ids_${id}`, `ids_${id}`, `ids_${id}`, id]) {
    await store.advanceCancellation({ id: name, limit: 9, budgetMs: 1_000 });
  }
  await store.claimDeletions({ leaseMs: 1, maxDelayMs: 2, limit: 2 });
  await store.findCancellation(id);
  await store.listCancellations({ organizationId, after: { createdAt: 1, id: 'can' }, limit: 9 });
  await store.listRunningCancellations();
  await store.listCalls({
    organizationId,
    cancellationId: id,
    sortBy: 'createdAt',
    sortOrder: 'desc',
    limit: 9,
    offset: 0,
  });
  await store.liftHold({ id, organizationId, apiKeyId, idempotency: null });
}

/** Only commands of operators use these methods, and each command opens the database. */
const OF_OPERATORS = ['createApiKey', 'listApiKeys', 'revokeApiKey'];

test('a statement is built and prepared once for each connection, not for each request', async () => {
  const store = openTestStore();
  const first = observe(store);
  await use(first.observed, 'one');
  first.restore();
  expect(new Set(first.uses.keys())).toEqual(
    new Set(Object.keys(store).filter((method) => method !== 'close')),
  );
  expect([...first.uses.values()].flatMap(({ prepared }) => prepared).length).toBeGreaterThan(50);
  const second = observe(store);
  await use(second.observed, 'two');
  second.restore();
  expect(methodsWith(second.uses, ({ built, prepared }) => built.length + prepared.length > 0)).toEqual(
    new Set(OF_OPERATORS),
  );
});

/*
 * SQLite plans for the value of a parameter that is a limit, or that is compared with `=` in a sorted query, and therefore
 * compiles such a statement again after each bind. EXPLAIN does not show this.
 */
test('SQLite does not recompile statements for new values', async () => {
  const { observed, uses, restore } = observe(openTestStore());
  await use(observed, 'one');
  restore();
  const isCompiledAgain = (sql: string) =>
    /^\s*select/i.test(sql) &&
    (/(limit|offset) (\?(?! \+ 0)|@)/i.test(sql) || (/order by/i.test(sql) && /[^<>]= [?@]/.test(sql)));
  expect(methodsWith(uses, ({ prepared }) => prepared.some(isCompiledAgain))).toEqual(new Set());
});
