import { CALL_STATUSES, DIRECTIONS } from '../../domain/call-status.ts';
import { type CallListItem, type CallPage, type CallQuery, MAX_COUNT } from '../../ports/store.ts';
import { boundsOf, datesOf, intervalsOf } from './call-list-bounds.ts';
import { countSql, type ListShape, pageSql, RANGES, type Source } from './call-list-sql.ts';
import { countOnce } from './call-totals.ts';
import type { Database } from './database.ts';
import { prepareNamed } from './named-sql.ts';
import { readTransaction } from './read-transaction.ts';
import { type PreparedRows, prepareSql, type Session, type Values } from './session.ts';

/**
 * One plan for all values: planning takes longer than most lists. Only index scans, because a plan for unknown values can
 * assume few calls, and sort them. Compiling such a plan would take longer than running it.
 */
export const LIST_SETTINGS = [
  'plan_cache_mode = force_generic_plan',
  'enable_seqscan = off',
  'enable_bitmapscan = off',
  'jit = off',
];

const scheduledDays = prepareSql<{ day: number }>(`
  SELECT day FROM scheduled_days
  WHERE organization_id = $1 AND last_created_at >= $2 AND first_created_at <= $3 ORDER BY day`);

/** A page of calls, and their number up to {@link MAX_COUNT}. */
export function listCalls(db: Database, query: CallQuery): Promise<CallPage> {
  const page = statementOf(pages, pageSql, query);
  // A count has no order. The ranges of a list by creation are the simplest ones.
  const count = statementOf(counts, countSql, { ...query, sortBy: 'createdAt', sortOrder: 'asc' });
  const { limit, offset } = query;
  return readTransaction(
    db,
    async (session) => {
      // One more row shows whether a next page exists.
      const filters = valuesOf(query);
      const range = {
        ...(await rangeOf(session, query)),
        limit: limit + 1,
        offset,
        last: limit + 1 + offset,
      };
      const [calls, total] = await Promise.all([
        page.all(session, { ...filters, ...range }),
        countOnce(
          db,
          session,
          JSON.stringify(filters),
          async () => (await count.get(session, filters))?.total ?? 0,
        ),
      ]);
      return toPage(query, calls, total);
    },
    { settings: LIST_SETTINGS },
  );
}

function toPage(query: CallQuery, found: CallListItem[], counted: number): CallPage {
  const hasNext = found.length > query.limit;
  const calls = hasNext ? found.slice(0, -1) : found;
  const last = calls.at(-1);
  return {
    calls,
    total: Math.min(counted, MAX_COUNT),
    totalCapped: counted > MAX_COUNT,
    next:
      hasNext && last !== undefined
        ? { sort: sortOf(last, query), createdAt: last.createdAt, id: last.id }
        : null,
  };
}

/** A call without `scheduledAt` sorts as 0. */
const sortOf = ({ createdAt, scheduledAt }: CallListItem, { sortBy }: CallQuery) =>
  sortBy === 'createdAt' ? createdAt : (scheduledAt ?? 0);

const pages = new Map<string, PreparedRows<CallListItem, Values>>();
const counts = new Map<string, PreparedRows<{ readonly total: number }, Values>>();

/** Returns the statement of a shape, which all lists of that shape have. */
function statementOf<Row>(
  known: Map<string, PreparedRows<Row, Values>>,
  toSql: (shape: ListShape) => string,
  query: CallQuery,
): PreparedRows<Row, Values> {
  const shape = shapeOf(query);
  const key = Object.values(shape).join();
  const statement = known.get(key) ?? prepareNamed<Row>(toSql(shape));
  known.set(key, statement);
  return statement;
}

function sourceOf(query: CallQuery): Source {
  if (query.cancellationId !== undefined) return 'cancellation';
  if (query.phoneNumber !== undefined) return 'phone';
  if (query.agentId !== undefined) return 'agent';
  const { statuses = [], direction, sortBy } = query;
  return statuses.length === 0 && direction === undefined && sortBy === 'createdAt' ? 'all' : 'status';
}

const isSmall = (source: Source) => source === 'phone' || source === 'cancellation';

function shapeOf(query: CallQuery): ListShape {
  const { sortBy, sortOrder, agentId, phoneNumber } = query;
  const source = sourceOf(query);
  const needed =
    isSmall(source) || source === 'all' ? 1 : statusesOf(query).length * directionsOf(query).length;
  return {
    sortBy,
    sortOrder,
    source,
    ranges: RANGES.find((ranges) => ranges >= needed) ?? needed,
    hasAgent: agentId !== undefined,
    hasPhone: phoneNumber !== undefined,
  };
}

/** Returns each status once: a repeated range would repeat its calls. */
const statusesOf = ({ statuses = [] }: CallQuery) =>
  statuses.length === 0 ? CALL_STATUSES : [...new Set(statuses)];
const directionsOf = ({ direction }: CallQuery) => (direction === undefined ? DIRECTIONS : [direction]);

function valuesOf(query: CallQuery): Values {
  const { organizationId, cancellationId = null, agentId = null, phoneNumber = null } = query;
  const [statuses, directions] = [statusesOf(query), directionsOf(query)];
  const filters = { organizationId, cancellationId, agentId, phoneNumber, ...datesOf(query) };
  if (isSmall(sourceOf(query))) return { ...filters, statuses, directions };
  return {
    ...filters,
    statuses: statuses.flatMap((status) => directions.map(() => status)),
    directions: statuses.flatMap(() => directions),
  };
}

/** Returns the values of the bounds of a page. */
async function rangeOf(session: Session, query: CallQuery): Promise<Values> {
  if (query.sortBy === 'createdAt') {
    const { low, high } = boundsOf(query);
    return { lowCreatedAt: low.createdAt, lowId: low.id, highCreatedAt: high.createdAt, highId: high.id };
  }
  const intervals = intervalsOf(query, await daysOf(session, query));
  return {
    lowOrders: intervals.map(({ low }) => low.order),
    lowCreatedAts: intervals.map(({ low }) => low.createdAt),
    lowIds: intervals.map(({ low }) => low.id),
    highOrders: intervals.map(({ high }) => high.order),
    highCreatedAts: intervals.map(({ high }) => high.createdAt),
    highIds: intervals.map(({ high }) => high.id),
  };
}

/** An agent, a phone number and a cancellation have too few calls to skip days. */
async function daysOf(session: Session, query: CallQuery): Promise<number[] | null> {
  const { organizationId, from, to } = query;
  if (sourceOf(query) !== 'status' || (from === undefined && to === undefined)) return null;
  const dates = datesOf(query);
  return (await scheduledDays.all(session, [organizationId, dates.from, dates.to])).map(({ day }) => day);
}
