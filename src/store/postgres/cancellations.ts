import { handlerOf } from '../../domain/call-command.ts';
import { isLive, LIVE_STATUSES } from '../../domain/call-status.ts';
import {
  type Cancellation,
  type CancellationSelector,
  isMatching,
  isProgressDue,
  isProgressIntervalOver,
  NO_COUNTS,
  PHASES,
  RECORDED,
  stateOf,
} from '../../domain/cancellation.ts';
import {
  type AdvancedCancellation,
  type CallListItem,
  type CreateCancellationResult,
  type LiftHoldResult,
  MAX_SAMPLE,
  type Replayable,
  type Store,
} from '../../ports/store.ts';
import { decideCommands } from './call-changes.ts';
import { loadRowsOf } from './call-loads.ts';
import { countSelected, findByIds, findSelected } from './cancellation-matches.ts';
import {
  AFTER_ALL,
  byId,
  type CancellationRow,
  countsOf,
  insertCancellation,
  newest,
  running,
  saveLiftedHold,
  saveProgress,
  toCancellation,
  toCancellations,
} from './cancellation-rows.ts';
import type { Database } from './database.ts';
import { runOnce } from './idempotency.ts';
import { type Lock, lockIdempotencyKey, lockOrganization, lockRoom, takeLocks } from './locks.ts';
import { prepareSql, type Session } from './session.ts';
import { type Transaction, transaction } from './transaction.ts';

const roomsOfCalls = prepareSql<{ roomName: string }>(
  'SELECT room_name AS "roomName" FROM calls WHERE id = ANY($1::text[])',
);
const runningById = prepareSql<{ organizationId: string }>(
  `SELECT organization_id AS "organizationId" FROM cancellations WHERE id = $1 AND state = 'running'`,
);
const itemsByIds = prepareSql<CallListItem>(`
  SELECT id, status, direction, scheduled_at AS "scheduledAt", answered_at AS "answeredAt", ended_at AS "endedAt",
    agent_id AS "agentId", agent_name AS "agentName", contact_phone AS "contactPhone", contact_name AS "contactName",
    contact_email AS "contactEmail", phone_number AS "phoneNumber", created_at AS "createdAt"
  FROM calls JOIN unnest($1::text[]) WITH ORDINALITY AS sample (id, position) USING (id) ORDER BY position`);

const alone = (organizationId: string): Lock => lockOrganization(organizationId, { isShared: false });

/** Starts a cancellation. No call of the organization changes by a hold or by a running cancellation meanwhile. */
export function createCancellation(
  db: Database,
  { idempotency, ...input }: Parameters<Store['createCancellation']>[0],
): Promise<Replayable<CreateCancellationResult>> {
  const locks = [
    alone(input.cancellation.organizationId),
    ...(idempotency === null ? [] : [lockIdempotencyKey(idempotency)]),
  ];
  return transaction(
    db,
    (tx) =>
      runOnce(tx, idempotency, async () => {
        const result = await create(tx, input);
        return { result, outcome: result };
      }),
    { locks },
  );
}

async function create(
  tx: Transaction,
  {
    cancellation: { id, organizationId, reason, createdBy, selector, hasHold },
    expectedAtMost,
    isDryRun,
  }: Omit<Parameters<Store['createCancellation']>[0], 'idempotency'>,
): Promise<CreateCancellationResult> {
  const { now } = tx;
  if (expectedAtMost !== null || isDryRun) {
    const matched = await countSelected(tx, { organizationId, selector });
    const total = LIVE_STATUSES.reduce((sum, status) => sum + matched[status], 0);
    if (expectedAtMost !== null && total > expectedAtMost) return { kind: 'too_many', matched: total };
    if (isDryRun) {
      const ids = await findSelected(tx, { organizationId, selector }, MAX_SAMPLE);
      return { kind: 'previewed', preview: { matched, sample: await itemsByIds.all(tx, [ids]) } };
    }
  }
  const row: CancellationRow = {
    id,
    organizationId,
    state: 'running',
    reason,
    createdBy,
    createdAt: now,
    completedAt: null,
    selector,
    holdState: hasHold ? 'active' : null,
    holdLiftedAt: null,
    holdLiftedBy: null,
    phase: 0,
    position: 0,
    alreadyEnded: 0,
    notFound: 0,
    reportedCounts: NO_COUNTS,
    reportedAt: now,
  };
  await insertCancellation.run(tx, [row]);
  const cancellation = toCancellation(row, NO_COUNTS);
  appendProgress(tx, cancellation, { actor: 'api_key', actorId: createdBy });
  return { kind: 'created', cancellation };
}

const NOTHING_LEFT: AdvancedCancellation = { cancelled: 0, isRecorded: true, isCompleted: true };

/** Records the next calls of a cancellation. */
export async function advanceCancellation(
  db: Database,
  { id, limit, budgetMs }: Parameters<Store['advanceCancellation']>[0],
): Promise<AdvancedCancellation> {
  const running = await runningById.get(db, [id]);
  if (running === undefined) return NOTHING_LEFT;
  // The organization of a cancellation never changes.
  const locks = [alone(running.organizationId)];
  return transaction(db, (tx) => advance(tx, { id, limit, budgetMs }), { locks });
}

async function advance(
  tx: Transaction,
  { id, limit, budgetMs }: Parameters<Store['advanceCancellation']>[0],
): Promise<AdvancedCancellation> {
  const { now } = tx;
  const row = await byId.get(tx, [id]);
  if (row === undefined || row.state === 'completed') return NOTHING_LEFT;
  const stop = createStop(tx, row, budgetMs);
  const { selector } = row;
  const recorded =
    'callIds' in selector
      ? await recordIds(tx, { row, callIds: selector.callIds, limit, stop })
      : await recordMatches(tx, { row, selector, limit, stop });
  const after = { ...row, ...recorded };
  const isRecorded = after.phase === RECORDED && recorded.isExhausted;
  // A count reads all recorded calls, so a count in each write would make a large cancellation slow.
  const isCounted = isRecorded || isProgressIntervalOver(row, now);
  const counts = isCounted ? await countsOf(tx, after) : row.reportedCounts;
  const state = stateOf(counts, { isRecorded });
  const isReported = isProgressDue(row, { phase: after.phase, state, counts }, now);
  const { reportedCounts, reportedAt } = isReported ? { reportedCounts: counts, reportedAt: now } : row;
  const isCompleted = state === 'completed';
  const { phase, position, alreadyEnded, notFound } = after;
  if (phase !== row.phase || position !== row.position || isReported) {
    const completedAt = isCompleted ? now : null;
    const progress = { phase, position, alreadyEnded, notFound, reportedCounts, reportedAt };
    await saveProgress.run(tx, [{ id, state, completedAt, ...progress }]);
  }
  if (isReported) {
    const cancellation = { ...toCancellation(after, counts), state };
    appendProgress(tx, cancellation, { actor: 'reconciler', actorId: null });
  }
  return { cancelled: stop.cancelled, isRecorded, isCompleted };
}

/** The calls that are recorded together. Between two groups the time is checked. */
const GROUP_SIZE = 64;

interface Stop {
  /** Records calls. Returns how many of them were recorded before the time was up, at least one. */
  run(callIds: readonly string[]): Promise<number>;
  /** The number of calls that were live. */
  readonly cancelled: number;
}

/** Returns the recording of calls for a limited time. Without time, each group is one call. */
function createStop(tx: Transaction, cancellation: CancellationRow, budgetMs: number): Stop {
  const endsAtMs = performance.now() + budgetMs;
  let cancelled = 0;
  const stopGroup = async (callIds: readonly string[]) => {
    const requests = callIds.map((callId) => ({
      ...handlerOf({ kind: 'stop', callId, cancellation }),
      expiresAtMs: Number.POSITIVE_INFINITY,
    }));
    const loaded = await loadRowsOf(tx, requests);
    const { outcomes, write, audit } = decideCommands(requests, loaded, tx.now, () => {});
    await Promise.all(write(tx));
    for (const event of audit) tx.appendAudit(event);
    for (const outcome of outcomes) {
      if ('error' in outcome) throw outcome.error;
      if (outcome.result.result?.kind === 'cancelled') cancelled += 1;
    }
  };
  return {
    async run(callIds) {
      const size = budgetMs > 0 ? GROUP_SIZE : 1;
      let stopped = 0;
      while (stopped < callIds.length && (cancelled === 0 || performance.now() < endsAtMs)) {
        const group = callIds.slice(stopped, stopped + size);
        await stopGroup(group);
        stopped += group.length;
      }
      return stopped;
    },
    get cancelled() {
      return cancelled;
    },
  };
}

/** In one statement, and after the lock of the organization: see locks.ts. */
async function lockRoomsOf(tx: Transaction, callIds: readonly string[]): Promise<void> {
  const rooms = await roomsOfCalls.all(tx, [callIds]);
  await takeLocks(
    tx,
    rooms.map(({ roomName }) => lockRoom(roomName)),
  );
}

type Progress = Pick<CancellationRow, 'phase' | 'position' | 'alreadyEnded' | 'notFound'> & {
  /** No selected call waits to be recorded. */
  readonly isExhausted: boolean;
};

interface Recording {
  readonly row: CancellationRow;
  readonly limit: number;
  readonly stop: Stop;
}

/** A recorded call matches no more, so that each write continues with the first matches. */
async function recordMatches(
  tx: Transaction,
  {
    row,
    selector,
    limit,
    stop,
  }: Recording & { selector: Exclude<CancellationSelector, { callIds: readonly string[] }> },
): Promise<Progress> {
  const { phase, position, alreadyEnded, notFound, organizationId } = row;
  if (!isMatching(row, tx.now)) return { phase, position, alreadyEnded, notFound, isExhausted: true };
  const ids = await findSelected(tx, { organizationId, selector }, limit);
  await lockRoomsOf(tx, ids);
  const stopped = await stop.run(ids);
  const isExhausted = stopped === ids.length && ids.length < limit;
  return { phase: isExhausted ? RECORDED : phase, position, alreadyEnded, notFound, isExhausted };
}

/** Passes the list once for each phase. */
async function recordIds(
  tx: Transaction,
  { row, callIds, limit, stop }: Recording & { callIds: readonly string[] },
): Promise<Progress> {
  const { organizationId, id: cancellationId } = row;
  let { phase, position, alreadyEnded, notFound } = row;
  const statuses = PHASES[phase];
  if (statuses === undefined) return { phase, position, alreadyEnded, notFound, isExhausted: true };
  const isLast = phase === PHASES.length - 1;
  const ids = callIds.slice(position, position + limit);
  await lockRoomsOf(tx, ids);
  const found = new Map((await findByIds(tx, ids)).map((call) => [call.id, call]));
  const isDue = (id: string) => {
    const call = found.get(id);
    if (call === undefined || call.organizationId !== organizationId || !isLive(call.status)) return false;
    return isLast || statuses.includes(call.status);
  };
  const due = ids.filter(isDue);
  const stopped = new Set(due.slice(0, await stop.run(due)));
  for (const id of ids) {
    if (isDue(id) && !stopped.has(id)) break;
    const call = found.get(id);
    if (call === undefined || call.organizationId !== organizationId) {
      if (isLast) notFound += 1;
    } else if (!isLive(call.status) && isLast && call.cancellationId !== cancellationId) alreadyEnded += 1;
    position += 1;
  }
  if (position < callIds.length) return { phase, position, alreadyEnded, notFound, isExhausted: false };
  phase += 1;
  return { phase, position: 0, alreadyEnded, notFound, isExhausted: phase === RECORDED };
}

function appendProgress(
  tx: Transaction,
  { id, organizationId, reason, state, counts }: Cancellation,
  cause: { actor: 'api_key' | 'reconciler'; actorId: string | null },
): void {
  tx.appendAudit({
    ...cause,
    at: tx.now,
    action: 'cancellation.progress',
    organizationId,
    subjectId: id,
    cancellationId: id,
    reason,
    details: { state, counts },
  });
}

export async function findCancellation(session: Session, id: string): Promise<Cancellation | null> {
  const row = await byId.get(session, [id]);
  if (row === undefined) return null;
  const [cancellation] = await toCancellations(session, [row]);
  return cancellation ?? null;
}

export async function listCancellations(
  session: Session,
  { organizationId, after, limit }: Parameters<Store['listCancellations']>[0],
): Promise<Cancellation[]> {
  const { createdAt, id } = after ?? AFTER_ALL;
  return toCancellations(session, await newest.all(session, [organizationId, createdAt, id, limit]));
}

export async function listRunningCancellations(session: Session): Promise<string[]> {
  return (await running.all(session)).map(({ id }) => id);
}

export function liftHold(
  db: Database,
  { id, organizationId, apiKeyId, idempotency }: Parameters<Store['liftHold']>[0],
): Promise<Replayable<LiftHoldResult>> {
  const locks = [alone(organizationId), ...(idempotency === null ? [] : [lockIdempotencyKey(idempotency)])];
  return transaction(
    db,
    (tx) =>
      runOnce<LiftHoldResult>(tx, idempotency, async () => {
        const row = await byId.get(tx, [id]);
        if (row === undefined || row.organizationId !== organizationId || row.holdState === null) {
          return { result: { kind: 'not_found' }, outcome: null };
        }
        if (row.holdState === 'active') await lift(tx, row, apiKeyId);
        const cancellation = await findCancellation(tx, id);
        if (cancellation === null) throw new Error(`cancellation ${id} does not exist`);
        const result = { kind: 'lifted', cancellation } as const;
        return { result, outcome: result };
      }),
    { locks },
  );
}

async function lift(
  tx: Transaction,
  { id, organizationId }: CancellationRow,
  apiKeyId: string,
): Promise<void> {
  await saveLiftedHold.run(tx, [id, tx.now, apiKeyId]);
  tx.appendAudit({
    at: tx.now,
    action: 'hold.lifted',
    actor: 'api_key',
    actorId: apiKeyId,
    organizationId,
    subjectId: id,
    cancellationId: id,
  });
}
