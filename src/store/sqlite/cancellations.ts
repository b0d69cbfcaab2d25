import { eq, inArray, sql } from 'drizzle-orm';
import { type CallStatus, isLive, LIVE_STATUSES, type LiveStatus } from '../../domain/call-status.ts';
import {
  type CallFilter,
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
import type { Timestamp } from '../../domain/time.ts';
import {
  type AdvancedCancellation,
  type CreateCancellationResult,
  type LiftHoldResult,
  MAX_SAMPLE,
  type Replayable,
  type Store,
} from '../../ports/store.ts';
import { appendAudit } from './audit.ts';
import { changeCall } from './call-changes.ts';
import { countMatches, findMatches, hasStatus } from './cancellation-matches.ts';
import { type CancellationRow, countsOf, rows, toCancellation } from './cancellation-rows.ts';
import type { Database } from './database.ts';
import { runOnce } from './idempotency.ts';
import { preparePerConnection } from './prepare-per-connection.ts';
import { CALL } from './rows.ts';
import { calls } from './schema.ts';
import { prepareRows, valuesOf } from './statement.ts';
import { monotonicMs } from './thread-messages.ts';

const statements = preparePerConnection((db) => ({
  selected: prepareRows(
    db,
    db
      .select({
        id: sql<string>`${calls.id}`.as('id'),
        organizationId: sql<string>`${calls.organizationId}`.as('organizationId'),
        status: sql<CallStatus>`${calls.status}`.as('status'),
        cancellationId: sql<string | null>`${calls.cancellationId}`.as('cancellationId'),
      })
      .from(calls)
      .where(inArray(calls.id, valuesOf('ids'))),
  ),
  itemById: prepareRows(
    db,
    db
      .select({
        id: CALL.id,
        status: CALL.status,
        direction: CALL.direction,
        scheduledAt: CALL.scheduledAt,
        answeredAt: CALL.answeredAt,
        endedAt: CALL.endedAt,
        agentId: CALL.agentId,
        agentName: CALL.agentName,
        contactPhone: CALL.contactPhone,
        contactName: CALL.contactName,
        contactEmail: CALL.contactEmail,
        phoneNumber: CALL.phoneNumber,
        createdAt: CALL.createdAt,
      })
      .from(calls)
      .where(eq(calls.id, sql.placeholder('id'))),
  ),
}));

/** Starts a cancellation, in the transaction of the connection. */
export function createCancellation(
  db: Database,
  { idempotency, ...input }: Parameters<Store['createCancellation']>[0],
  now: Timestamp,
): Replayable<CreateCancellationResult> {
  return runOnce(db, idempotency, now, () => {
    const result = create(db, input, now);
    return { result, outcome: result };
  });
}

function create(
  db: Database,
  {
    cancellation: { id, organizationId, reason, createdBy, selector, hasHold },
    expectedAtMost,
    isDryRun,
  }: Omit<Parameters<Store['createCancellation']>[0], 'idempotency'>,
  now: Timestamp,
): CreateCancellationResult {
  if (expectedAtMost !== null || isDryRun) {
    const matched = countSelected(db, { organizationId, selector });
    const total = LIVE_STATUSES.reduce((sum, status) => sum + matched[status], 0);
    if (expectedAtMost !== null && total > expectedAtMost) return { kind: 'too_many', matched: total };
    if (isDryRun) {
      const ids = findSelected(db, { organizationId, selector }, MAX_SAMPLE);
      const sample = ids.flatMap((id) => statements(db).itemById.all({ id }));
      return { kind: 'previewed', preview: { matched, sample } };
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
  const json = { selector: JSON.stringify(selector), reportedCounts: JSON.stringify(NO_COUNTS) };
  rows(db).insert.run({ ...row, ...json });
  const cancellation = toCancellation(db, row);
  appendProgress(db, cancellation, { actor: 'api_key', actorId: createdBy, at: now });
  return { kind: 'created', cancellation };
}

interface Selected {
  readonly organizationId: string;
  readonly selector: CancellationSelector;
}

function countSelected(db: Database, { organizationId, selector }: Selected): Record<LiveStatus, number> {
  const counts = { initiated: 0, connecting: 0, ringing: 0, active: 0 };
  if ('callIds' in selector) {
    for (const { status } of findLiveById(db, organizationId, selector.callIds)) counts[status] += 1;
    return counts;
  }
  const filter = filterOf(selector);
  for (const status of LIVE_STATUSES) {
    if (hasStatus(filter, status)) counts[status] = countMatches(db, { organizationId, filter, status });
  }
  return counts;
}

/** Returns ids of selected live calls, in the order in which they are recorded. */
function findSelected(db: Database, { organizationId, selector }: Selected, limit: number): string[] {
  if ('callIds' in selector) {
    const live = findLiveById(db, organizationId, selector.callIds);
    const order = (status: LiveStatus) => LIVE_STATUSES.indexOf(status);
    return live
      .toSorted((a, b) => order(a.status) - order(b.status))
      .slice(0, limit)
      .map(({ id }) => id);
  }
  const filter = filterOf(selector);
  const ids: string[] = [];
  for (const status of LIVE_STATUSES) {
    if (ids.length < limit && hasStatus(filter, status)) {
      ids.push(...findMatches(db, { organizationId, filter, status }, limit - ids.length));
    }
  }
  return ids;
}

function findLiveById(db: Database, organizationId: string, callIds: readonly string[]) {
  return statements(db)
    .selected.all({ ids: JSON.stringify(callIds) })
    .flatMap(({ id, status, organizationId: owner }) =>
      owner === organizationId && isLive(status) ? [{ id, status }] : [],
    );
}

const filterOf = (selector: Exclude<CancellationSelector, { callIds: readonly string[] }>): CallFilter =>
  'all' in selector ? {} : selector.filter;

/** Records the next calls of a cancellation, in the transaction of the connection. */
export function advanceCancellation(
  db: Database,
  { id, limit, budgetMs }: Parameters<Store['advanceCancellation']>[0],
  now: Timestamp,
): AdvancedCancellation {
  const row = rows(db).byId.get({ id });
  if (row === undefined || row.state === 'completed') {
    return { cancelled: 0, isRecorded: true, isCompleted: true };
  }
  const endsAtMs = monotonicMs() + budgetMs;
  let cancelled = 0;
  const stop = (callId: string): boolean => {
    if (cancelled > 0 && monotonicMs() >= endsAtMs) return false;
    const { result } = changeCall(db, { kind: 'stop', callId, cancellation: row }, now);
    if (result.kind === 'cancelled') cancelled += 1;
    return true;
  };
  const { selector } = row;
  const recorded =
    'callIds' in selector
      ? recordIds(db, { row, callIds: selector.callIds, limit, stop })
      : recordMatches(db, { row, selector, limit, stop }, now);
  const after = { ...row, ...recorded };
  const isRecorded = after.phase === RECORDED && recorded.isExhausted;
  // A count reads all recorded calls, so a count in each write would make a large cancellation slow.
  const isCounted = isRecorded || isProgressIntervalOver(row, now);
  const counts = isCounted ? countsOf(db, after) : row.reportedCounts;
  const state = stateOf(counts, { isRecorded });
  const isReported = isProgressDue(row, { phase: after.phase, state, counts }, now);
  const reported = isReported ? { reportedCounts: counts, reportedAt: now } : row;
  const { reportedCounts, reportedAt } = reported;
  const isCompleted = state === 'completed';
  const { phase, position, alreadyEnded, notFound } = after;
  const hasAdvanced = phase !== row.phase || position !== row.position || isReported;
  if (hasAdvanced) {
    rows(db).advance.run({
      id,
      state,
      completedAt: isCompleted ? now : null,
      phase,
      position,
      alreadyEnded,
      notFound,
      reportedCounts: JSON.stringify(reportedCounts),
      reportedAt,
    });
  }
  if (isReported) {
    const cancellation = { ...toCancellation(db, after), state, counts };
    appendProgress(db, cancellation, { actor: 'reconciler', actorId: null, at: now });
  }
  return { cancelled, isRecorded, isCompleted };
}

type Progress = Pick<CancellationRow, 'phase' | 'position' | 'alreadyEnded' | 'notFound'> & {
  /** No selected call waits to be recorded. */
  readonly isExhausted: boolean;
};

interface Recording {
  readonly row: CancellationRow;
  readonly limit: number;
  /** Records one call. Returns false when the time is up, and the call was not recorded. */
  readonly stop: (callId: string) => boolean;
}

/** A recorded call matches no more, so that each write continues with the first matches. */
function recordMatches(
  db: Database,
  {
    row,
    selector,
    limit,
    stop,
  }: Recording & { selector: Exclude<CancellationSelector, { callIds: readonly string[] }> },
  now: Timestamp,
): Progress {
  const { phase, position, alreadyEnded, notFound, organizationId } = row;
  if (!isMatching(row, now)) return { phase, position, alreadyEnded, notFound, isExhausted: true };
  const ids = findSelected(db, { organizationId, selector }, limit);
  const isExhausted = ids.every(stop) && ids.length < limit;
  return { phase: isExhausted ? RECORDED : phase, position, alreadyEnded, notFound, isExhausted };
}

/** Passes the list once for each phase. */
function recordIds(
  db: Database,
  { row, callIds, limit, stop }: Recording & { callIds: readonly string[] },
): Progress {
  const { organizationId, id: cancellationId } = row;
  let { phase, position, alreadyEnded, notFound } = row;
  const statuses = PHASES[phase];
  if (statuses === undefined) return { phase, position, alreadyEnded, notFound, isExhausted: true };
  const isLast = phase === PHASES.length - 1;
  const ids = callIds.slice(position, position + limit);
  const found = new Map(
    statements(db)
      .selected.all({ ids: JSON.stringify(ids) })
      .map((call) => [call.id, call]),
  );
  for (const id of ids) {
    const call = found.get(id);
    if (call === undefined || call.organizationId !== organizationId) {
      if (isLast) notFound += 1;
    } else if (isLive(call.status)) {
      const isDue = isLast || statuses.includes(call.status);
      if (isDue && !stop(id)) break;
    } else if (isLast && call.cancellationId !== cancellationId) alreadyEnded += 1;
    position += 1;
  }
  if (position < callIds.length) return { phase, position, alreadyEnded, notFound, isExhausted: false };
  phase += 1;
  return { phase, position: 0, alreadyEnded, notFound, isExhausted: phase === RECORDED };
}

function appendProgress(
  db: Database,
  { id, organizationId, reason, state, counts }: Cancellation,
  cause: { actor: 'api_key' | 'reconciler'; actorId: string | null; at: Timestamp },
): void {
  appendAudit(db, {
    ...cause,
    action: 'cancellation.progress',
    organizationId,
    subjectId: id,
    cancellationId: id,
    reason,
    details: { state, counts },
  });
}

export function findCancellation(db: Database, id: string): Cancellation | null {
  const row = rows(db).byId.get({ id });
  return row === undefined ? null : toCancellation(db, row);
}

export function listCancellations(
  db: Database,
  { organizationId, after, limit }: Parameters<Store['listCancellations']>[0],
): Cancellation[] {
  const { createdAt, id } = after ?? { createdAt: Number.MAX_SAFE_INTEGER, id: '' };
  return rows(db)
    .newest.all({ organizationId, createdAt, id, limit })
    .map((row) => toCancellation(db, row));
}

export function listRunningCancellations(db: Database): string[] {
  return rows(db)
    .running.all()
    .map(({ id }) => id);
}

export function liftHold(
  db: Database,
  { id, organizationId, apiKeyId, idempotency }: Parameters<Store['liftHold']>[0],
  now: Timestamp,
): Replayable<LiftHoldResult> {
  return runOnce<LiftHoldResult>(db, idempotency, now, () => {
    const row = rows(db).byId.get({ id });
    if (row === undefined || row.organizationId !== organizationId || row.holdState === null) {
      return { result: { kind: 'not_found' }, outcome: null };
    }
    if (row.holdState === 'active') {
      rows(db).liftHold.run({ id, holdLiftedAt: now, holdLiftedBy: apiKeyId });
      appendAudit(db, {
        at: now,
        action: 'hold.lifted',
        actor: 'api_key',
        actorId: apiKeyId,
        organizationId,
        subjectId: id,
        cancellationId: id,
      });
    }
    const lifted = rows(db).byId.get({ id }) ?? row;
    const result = { kind: 'lifted', cancellation: toCancellation(db, lifted) } as const;
    return { result, outcome: result };
  });
}
