import type { CallQuery } from '../../ports/store.ts';
import { MAX_COUNT } from '../../ports/store.ts';

/*
 * Each statement of a list merges ranges of an index. In a range, all calls match, and are in the list's order. So the time
 * of a page depends on the calls of the page, not on the calls on record. A range has one status and one direction.
 *
 * These lists read more calls than those of the page and the count:
 * - of a cancellation with other filters or by scheduled time: all calls of the cancellation;
 * - of a phone number with other filters or by scheduled time: all calls of the number;
 * - by scheduled time between dates: the days on which matching calls are scheduled, or the agent's scheduled calls.
 */

/** The calls among which a list searches. Each has an index in each order, except phone and cancellation: few calls. */
export type Source = 'all' | 'status' | 'agent' | 'phone' | 'cancellation';

export interface ListShape extends Pick<CallQuery, 'sortBy' | 'sortOrder'> {
  readonly source: Source;
  /** The number of ranges, of {@link RANGES}. */
  readonly ranges: number;
  /** Whether a phone number's or a cancellation's calls must have the agent. */
  readonly hasAgent: boolean;
  /** Whether a cancellation's calls must have the phone number. */
  readonly hasPhone: boolean;
}

/** The numbers of ranges in a statement: few, so that there are few statements. A range without a status has no calls. */
export const RANGES = [2, 6, 18] as const;

/** SQL that names its parameters: `@agentId`. */
type NamedSql = string;

const COLUMNS = `calls.id, calls.status, calls.direction, calls.scheduled_at AS "scheduledAt", calls.answered_at AS "answeredAt",
  calls.ended_at AS "endedAt", calls.agent_id AS "agentId", calls.agent_name AS "agentName", calls.contact_phone AS "contactPhone",
  calls.contact_name AS "contactName", calls.contact_email AS "contactEmail", calls.phone_number AS "phoneNumber",
  calls.created_at AS "createdAt"`;

const KEYS = {
  createdAt: ['created_at', 'id'],
  scheduledAt: ['scheduled_order', 'created_at', 'id'],
} as const;

const BETWEEN_DATES = 'created_at >= @from::bigint AND created_at <= @to::bigint';
/** The bounds of a list by creation, both exclusive. */
const BETWEEN = `(created_at, id) > (@lowCreatedAt::bigint, @lowId::text)
  AND (created_at, id) < (@highCreatedAt::bigint, @highId::text)`;
/** The bounds of an interval of a list by scheduled time, both exclusive. */
const IN_INTERVAL = `(scheduled_order, created_at, id) > (low_order, low_created_at, low_id)
  AND (scheduled_order, created_at, id) < (high_order, high_created_at, high_id) AND ${BETWEEN_DATES}`;
const INTERVALS = `unnest(@lowOrders::bigint[], @lowCreatedAts::bigint[], @lowIds::text[],
    @highOrders::bigint[], @highCreatedAts::bigint[], @highIds::text[]) WITH ORDINALITY
  AS intervals (low_order, low_created_at, low_id, high_order, high_created_at, high_id, n)`;

/** Returns a statement that reads `limit` calls after `offset` calls. Its `last` is the sum of both. */
export function pageSql(shape: ListShape): NamedSql {
  const { sortBy } = shape;
  const found = sortBy === 'createdAt' ? merge(shape, BETWEEN) : mergeIntervals(shape);
  const keys = sortBy === 'createdAt' ? KEYS.createdAt : ['n', ...KEYS.scheduledAt];
  // The ranges are read from the index alone. Only the calls of the page are read from the table.
  return `
    SELECT ${COLUMNS} FROM (${found} LIMIT @limit::bigint OFFSET @offset::bigint) AS page
    JOIN calls ON calls.id = page.id ORDER BY ${orderBy(keys, shape, 'page.')}`;
}

/** Returns a statement that counts at most {@link MAX_COUNT} + 1 matching calls. */
export function countSql(shape: ListShape): NamedSql {
  const ranges = conditionsOf(shape).map(
    (where) => `SELECT 1 FROM calls WHERE ${where} AND ${BETWEEN_DATES}`,
  );
  return `SELECT count(*) AS total FROM (${ranges.join(' UNION ALL ')} LIMIT ${MAX_COUNT + 1}) AS matching`;
}

/** Returns a query of the matching calls within bounds, in order. */
function merge(shape: ListShape, bounds: string): NamedSql {
  const keys = KEYS[shape.sortBy];
  const order = orderBy(keys, shape);
  const ranges = conditionsOf(shape).map(
    (where) =>
      `(SELECT ${keys.join(', ')} FROM calls WHERE ${where} AND ${bounds} ORDER BY ${order} LIMIT @last::bigint)`,
  );
  return `SELECT * FROM (${ranges.join(' UNION ALL ')}) AS ranges ORDER BY ${order}`;
}

/** The intervals are in the list's order. Postgres reads the next one only when the page needs more calls. */
function mergeIntervals(shape: ListShape): NamedSql {
  const order = `n, ${orderBy(KEYS.scheduledAt, shape)}`;
  return `SELECT n, found.* FROM ${INTERVALS}
    CROSS JOIN LATERAL (${merge(shape, IN_INTERVAL)} LIMIT @last::bigint) AS found ORDER BY ${order}`;
}

/** Returns the conditions of each range. */
function conditionsOf({ source, ranges, hasAgent, hasPhone }: ListShape): NamedSql[] {
  switch (source) {
    case 'all':
      return [isEqual('organizationId')];
    case 'phone':
      return [
        allOf(
          isEqual('organizationId'),
          isEqual('phoneNumber'),
          ...(hasAgent ? [isSame('agentId')] : []),
          IS_ANY,
        ),
      ];
    case 'cancellation':
      return [
        allOf(
          isEqual('cancellationId'),
          isSame('organizationId'),
          ...(hasPhone ? [isSame('phoneNumber')] : []),
          ...(hasAgent ? [isSame('agentId')] : []),
          IS_ANY,
        ),
      ];
    case 'status':
    case 'agent':
      return Array.from({ length: ranges }, (_, i) =>
        allOf(
          isEqual('organizationId'),
          ...(source === 'agent' ? [isEqual('agentId')] : []),
          `status = (@statuses::text[])[${i + 1}] AND direction = (@directions::text[])[${i + 1}]`,
        ),
      );
  }
}

const FILTERED = {
  organizationId: 'organization_id',
  agentId: 'agent_id',
  phoneNumber: 'phone_number',
  cancellationId: 'cancellation_id',
} as const;

const isEqual = (name: keyof typeof FILTERED) => `${FILTERED[name]} = @${name}::text`;

/*
 * Conditions that no index serves: without statistics, Postgres would choose the index that serves the most conditions,
 * and not the one with few calls.
 */
const isSame = (name: keyof typeof FILTERED) => `${FILTERED[name]} IS NOT DISTINCT FROM @${name}::text`;
const IS_ANY = '@statuses::text[] @> ARRAY[status] AND @directions::text[] @> ARRAY[direction]';

const allOf = (...conditions: readonly NamedSql[]) => conditions.join(' AND ');

function orderBy(keys: readonly string[], { sortOrder }: ListShape, prefix = ''): string {
  return keys.map((key) => `${prefix}${key} ${key === 'n' ? 'asc' : sortOrder}`).join(', ');
}
