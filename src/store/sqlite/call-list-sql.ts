import { DIRECTIONS, ENDED_STATUSES, LIVE_STATUSES } from '../../domain/call-status.ts';
import type { CallQuery } from '../../ports/store.ts';

/*
 * Each statement of a list reads ranges of indexes, and merges them. In a range, all calls match, and are in the list's
 * order. So the time of a page depends on the calls of the page, not on the calls on record. INDEXED BY names each index:
 * SQLite cannot choose well without statistics.
 *
 * These lists read more calls than those of the page and the count:
 * - of a cancellation with other filters or by scheduled time: all calls of the cancellation;
 * - of a phone number with other filters or by scheduled time: all calls of the number;
 * - of an agent with live statuses, or of live statuses by scheduled time: live calls, in the index;
 * - by scheduled time between dates: the days on which matching calls are scheduled, or the agent's scheduled calls.
 */

/** The filters of a list. Their values are parameters, so all lists of the same shape have the same statement. */
export interface FilterShape {
  readonly hasCancellation: boolean;
  readonly hasAgent: boolean;
  readonly hasPhone: boolean;
  readonly hasDirection: boolean;
  /** The number of live statuses in the filter. Without live and ended statuses, calls of every status match. */
  readonly liveStatuses: number;
  readonly endedStatuses: number;
  readonly hasFrom: boolean;
  readonly hasTo: boolean;
}

/** A page after a cursor. A call without `scheduledAt` sorts as 0. */
export interface PageShape extends FilterShape, Pick<CallQuery, 'sortBy' | 'sortOrder'> {
  /** The sign of the cursor's scheduled time; null without a cursor. */
  readonly cursorSign: -1 | 0 | 1 | null;
  /** Whether the cursor's `createdAt` is a narrower limit than `from` (ascending) or `to` (descending). */
  readonly isCursorNarrower: boolean;
}

/** Calls that one index has in the order of the list. */
interface IndexRange {
  readonly index: string;
  readonly conditions: readonly string[];
  /** The sort keys before `created_at` and `id`. */
  readonly keys?: readonly string[];
  /** Conditions of the scheduled days, each of which is a range. */
  readonly days?: readonly string[];
}

export const DAY_MS = 86_400_000;

/*
 * Parameters are expressions: SQLite compiles a statement again after each bind of a plain parameter that an index
 * condition, an ORDER BY or a LIMIT could depend on. That takes longer than most lists.
 */
const text = (name: string) => `CAST(@${name} AS TEXT)`;
const integer = (name: string) => `(@${name} + 0)`;

const COLUMNS =
  'id, status, direction, scheduled_at, answered_at, ended_at, agent_id, agent_name, contact_phone, contact_name, contact_email, phone_number, created_at';
const IN_ORGANIZATION = `calls.organization_id = ${text('organizationId')}`;
const BY_AGENT = `agent_id = ${text('agentId')}`;
const IS_ENDED = 'ended_at IS NOT NULL';
const IS_SCHEDULED = 'scheduled_at IS NOT NULL';

/** Returns a statement that reads `limit` calls after `offset` calls. */
export function pageSql(shape: PageShape): string {
  const { sortBy, sortOrder } = shape;
  const ranges = sortBy === 'createdAt' ? rangesByCreation(shape) : rangesByScheduledTime(shape);
  const selects = ranges.map(({ index, conditions, keys = [], days = [] }) => {
    const columns = [COLUMNS, ...keys.map((key, i) => `${key} AS key${i}`)].join(', ');
    const tables = days.length === 0 ? 'calls' : 'scheduled_days CROSS JOIN calls';
    const where = allOf([IN_ORGANIZATION, ...days, ...conditions]);
    return `SELECT ${columns} FROM ${tables} INDEXED BY ${index} WHERE ${where}`;
  });
  const keys = [...(ranges[0]?.keys ?? []).map((_, i) => `key${i}`), 'created_at', 'id'];
  const order = keys.map((key) => `${key} ${sortOrder}`).join(', ');
  return `${selects.join(' UNION ALL ')} ORDER BY ${order} LIMIT ${integer('limit')} OFFSET ${integer('offset')}`;
}

/** Returns a statement that counts the matching calls. Of each range, it counts at most `maxCount` calls. */
export function countSql(shape: FilterShape): string {
  const counts = rangesToCount(shape).map(({ index, conditions }) => {
    const where = allOf([IN_ORGANIZATION, ...conditions, ...datesOf(shape)]);
    return `(SELECT count(*) FROM (SELECT 1 FROM calls INDEXED BY ${index} WHERE ${where} LIMIT ${integer('maxCount')}))`;
  });
  return `SELECT ${counts.join(' + ')}`;
}

/** A count needs no order, so its ranges have several statuses and directions. */
function rangesToCount(shape: FilterShape): IndexRange[] {
  if (hasFewCalls(shape)) return [smallRange(shape)];
  if (isUnfiltered(shape)) return [{ index: 'calls_by_created', conditions: [] }];
  const rest = [isOneOf('direction', directionsOf(shape)), 'is_scheduled IN (0, 1)'];
  if (!hasStatus(shape)) {
    const { index, conditions } = indexWithoutStatus(shape);
    return [{ index, conditions: [...conditions, ...rest] }];
  }
  return statusIndexes(shape).map(({ index, statuses, conditions }) => ({
    index,
    conditions: [...conditions, isOneOf('status', statuses), ...rest],
  }));
}

function rangesByCreation(shape: PageShape): IndexRange[] {
  const limits = limitsOfCreation(shape);
  if (hasFewCalls(shape)) return [smallRange(shape, limits)];
  if (isUnfiltered(shape)) return [{ index: 'calls_by_created', conditions: limits }];
  return ['is_scheduled = 0', 'is_scheduled = 1'].flatMap((isScheduled) =>
    rangesInOrderOfCreation(shape, [isScheduled, ...limits]),
  );
}

/** Returns ranges of scheduled or of unscheduled calls. */
function rangesInOrderOfCreation(shape: FilterShape, limits: readonly string[]): IndexRange[] {
  if (hasStatus(shape)) return partition(shape, statusIndexes(shape), limits);
  const { index, conditions } = indexWithoutStatus(shape);
  return directionsOf(shape).map((direction) => ({
    index,
    conditions: [...conditions, `direction = ${direction}`, ...limits],
  }));
}

const indexWithoutStatus = ({ hasAgent }: FilterShape): IndexRange =>
  hasAgent
    ? { index: 'calls_by_agent', conditions: [BY_AGENT] }
    : { index: 'calls_by_direction', conditions: [] };

/** Calls without a scheduled time are in order of creation. */
function rangesByScheduledTime(shape: PageShape): IndexRange[] {
  const { sortOrder, cursorSign } = shape;
  const dates = datesOf(shape);
  if (hasFewCalls(shape)) {
    const key = 'coalesce(scheduled_at, 0)';
    return [{ ...smallRange(shape, [...dates, ...afterScheduled(shape, key)]), keys: [key] }];
  }
  const days = daysOf(shape);
  const isByDay = days.length > 0;
  const scheduled = scheduledRanges(shape, [...dates, ...afterScheduled(shape, 'scheduled_at')]);
  const isPast = cursorSign !== null && (sortOrder === 'asc' ? cursorSign > 0 : cursorSign < 0);
  const limits = cursorSign === 0 ? limitsOfCreation(shape) : dates;
  const unscheduled = isPast ? [] : rangesInOrderOfCreation(shape, ['is_scheduled = 0', ...limits]);
  return [
    ...scheduled.map((range) => ({
      ...range,
      keys: isByDay ? ['day', 'scheduled_at'] : ['scheduled_at'],
      days,
    })),
    // Their sort keys are this column and not a literal 0, because SQLite sorts a merge with a literal.
    ...unscheduled.map((range) => ({
      ...range,
      keys: isByDay ? ['is_scheduled', 'is_scheduled'] : ['is_scheduled'],
    })),
  ];
}

function scheduledRanges(shape: PageShape, limits: readonly string[]): IndexRange[] {
  const byDirection = (index: string, conditions: readonly string[]) =>
    directionsOf(shape).map((direction) => ({
      index,
      conditions: [IS_SCHEDULED, `direction = ${direction}`, ...conditions, ...limits],
    }));
  if (!hasStatus(shape) && !shape.hasAgent) return byDirection('scheduled_calls', []);
  const { live, ended: statuses } = statusesOf(shape);
  const agent = shape.hasAgent ? [BY_AGENT] : [];
  const index = shape.hasAgent ? 'ended_scheduled_calls_by_agent' : 'ended_scheduled_calls';
  const ended = { index, statuses, conditions: [IS_SCHEDULED, IS_ENDED, ...agent] };
  return [
    ...(live.length > 0
      ? byDirection('live_scheduled_calls', ['ended_at IS NULL', isOneOf('status', live), ...agent])
      : []),
    ...partition(shape, [ended], limits),
  ];
}

/** Conditions of the days on which a matching call may be scheduled. An agent has too few calls to skip days. */
function daysOf({ hasAgent, hasFrom, hasTo, sortOrder, cursorSign }: PageShape): string[] {
  if (hasAgent || !(hasFrom || hasTo)) return [];
  return [
    `scheduled_days.organization_id = ${text('organizationId')}`,
    ...(hasFrom ? [`last_created_at >= ${integer('from')}`] : []),
    ...(hasTo ? [`first_created_at <= ${integer('to')}`] : []),
    ...(cursorSign === null ? [] : [`day ${sortOrder === 'asc' ? '>=' : '<='} ${integer('day')}`]),
    `scheduled_at >= day * ${DAY_MS}`,
    `scheduled_at < (day + 1) * ${DAY_MS}`,
  ];
}

function afterScheduled(shape: PageShape, key: string): string[] {
  if (shape.cursorSign === null) return [];
  return [
    `(${key}, created_at, id) ${operator(shape)} (${integer('sort')}, ${integer('createdAt')}, ${text('id')})`,
  ];
}

/** An index of calls by status, for some statuses. */
interface StatusIndex extends IndexRange {
  readonly statuses: readonly string[];
}

function statusIndexes(shape: FilterShape): StatusIndex[] {
  const { live, ended } = statusesOf(shape);
  const index = 'calls_by_status';
  if (!shape.hasAgent) return [{ index, statuses: [...live, ...ended], conditions: [] }];
  return [
    { index, statuses: live, conditions: [BY_AGENT] },
    { index: 'ended_calls_by_agent', statuses: ended, conditions: [IS_ENDED, BY_AGENT] },
  ].filter(({ statuses }) => statuses.length > 0);
}

/** Returns a range of each combination of a status and a direction. */
function partition(
  shape: FilterShape,
  indexes: readonly StatusIndex[],
  limits: readonly string[],
): IndexRange[] {
  return indexes.flatMap(({ index, statuses, conditions }) =>
    statuses.flatMap((status) =>
      directionsOf(shape).map((direction) => ({
        index,
        conditions: [...conditions, `status = ${status}`, `direction = ${direction}`, ...limits],
      })),
    ),
  );
}

/** Whether the filter selects the calls of one phone number or one cancellation. */
const hasFewCalls = ({ hasPhone, hasCancellation }: FilterShape) => hasPhone || hasCancellation;

/** Returns the calls of the cancellation or the phone number that match the other filters. */
function smallRange(shape: FilterShape, limits: readonly string[] = []): IndexRange {
  const { live, ended } = statusesOf(shape);
  const conditions = [
    ...(shape.hasCancellation ? [`cancellation_id = ${text('cancellationId')}`] : []),
    ...(shape.hasPhone ? [`phone_number = ${text('phoneNumber')}`] : []),
    ...(shape.hasAgent ? [BY_AGENT] : []),
    ...(shape.hasDirection ? [isOneOf('direction', directionsOf(shape))] : []),
    ...(hasStatus(shape) ? [isOneOf('status', [...live, ...ended])] : []),
    ...limits,
  ];
  return { index: shape.hasCancellation ? 'calls_by_cancellation' : 'calls_by_phone', conditions };
}

const isUnfiltered = (shape: FilterShape) => !shape.hasAgent && !shape.hasDirection && !hasStatus(shape);

const hasStatus = ({ liveStatuses, endedStatuses }: FilterShape) => liveStatuses + endedStatuses > 0;

/** Returns the parameters of the statuses; without a filter by status, all statuses. */
function statusesOf(shape: FilterShape): { live: string[]; ended: string[] } {
  if (!hasStatus(shape)) return { live: LIVE_STATUSES.map(quoted), ended: ENDED_STATUSES.map(quoted) };
  const parameters = (kind: 'live' | 'ended', length: number) =>
    Array.from({ length }, (_, i) => text(statusParameter(kind, i)));
  return { live: parameters('live', shape.liveStatuses), ended: parameters('ended', shape.endedStatuses) };
}

/** Returns the name of the parameter for a status. */
export const statusParameter = (kind: 'live' | 'ended', i: number) => `${kind}${i}`;

const directionsOf = ({ hasDirection }: FilterShape) =>
  hasDirection ? [text('direction')] : DIRECTIONS.map(quoted);

const quoted = (value: string) => `'${value}'`;

const isOneOf = (column: string, values: readonly string[]) => `${column} IN (${values.join(', ')})`;

const allOf = (conditions: readonly string[]) => conditions.join(' AND ');

const operator = ({ sortOrder }: PageShape) => (sortOrder === 'asc' ? '>' : '<');

function datesOf({ hasFrom, hasTo }: Pick<FilterShape, 'hasFrom' | 'hasTo'>): string[] {
  return [
    ...(hasFrom ? [`created_at >= ${integer('from')}`] : []),
    ...(hasTo ? [`created_at <= ${integer('to')}`] : []),
  ];
}

/**
 * Returns at most one lower and one upper limit: of two lower limits, SQLite may choose the wider one, and read all calls
 * between them.
 */
function limitsOfCreation(shape: PageShape): string[] {
  const { hasFrom, hasTo, sortOrder, cursorSign, isCursorNarrower } = shape;
  if (cursorSign === null || !isCursorNarrower) return datesOf(shape);
  const isAscending = sortOrder === 'asc';
  return [
    ...datesOf({ hasFrom: hasFrom && !isAscending, hasTo: hasTo && isAscending }),
    `(created_at, id) ${operator(shape)} (${integer('createdAt')}, ${text('id')})`,
  ];
}
