import { and, asc, desc, eq, gte, inArray, lte, type SQL, sql } from 'drizzle-orm';
import { unionAll } from 'drizzle-orm/sqlite-core';
import type { CallStatus } from '../../domain/call-status.ts';
import { type CallListItem, type CallPage, type CallQuery, MAX_COUNT } from '../../ports/store.ts';
import type { Database } from './database.ts';
import { calls } from './schema.ts';

const LIST_COLUMNS = {
  id: calls.id,
  status: calls.status,
  direction: calls.direction,
  scheduledAt: calls.scheduledAt,
  answeredAt: calls.answeredAt,
  endedAt: calls.endedAt,
  agentId: calls.agentId,
  agentName: calls.agentName,
  contactPhone: calls.contactPhone,
  contactName: calls.contactName,
  contactEmail: calls.contactEmail,
  phoneNumber: calls.phoneNumber,
  createdAt: calls.createdAt,
  scheduledOrder: calls.scheduledOrder,
};

/** Returns a page of calls, and their number up to {@link MAX_COUNT}. */
export function listCalls(db: Database, query: CallQuery): CallPage {
  // One transaction: both reads see the same state of the database.
  return db.transaction((tx) => {
    const rows = selectPage(tx, query);
    const page = rows.slice(0, query.limit);
    const last = page.at(-1);
    const counted = countCapped(tx, query);
    return {
      calls: page.map(({ scheduledOrder: _, ...item }): CallListItem => item),
      total: Math.min(counted, MAX_COUNT),
      totalCapped: counted > MAX_COUNT,
      next:
        rows.length > query.limit && last !== undefined
          ? { value: query.sortBy === 'createdAt' ? last.createdAt : last.scheduledOrder, id: last.id }
          : null,
    };
  });
}

/** Returns the rows of the page and one more, which shows whether a next page exists. */
function selectPage(db: Pick<Database, 'select'>, query: CallQuery) {
  const sortColumn = query.sortBy === 'createdAt' ? calls.createdAt : calls.scheduledOrder;
  const direction = query.sortOrder === 'asc' ? asc : desc;
  const count = query.offset + query.limit + 1;
  const sorted = (status: CallStatus | undefined) =>
    db
      .select(LIST_COLUMNS)
      .from(calls)
      .where(and(...filters(query), status && eq(calls.status, status), afterCursor(query)))
      .orderBy(direction(sortColumn), direction(calls.id));

  const [first, second, ...rest] = query.statuses ?? [];
  if (second === undefined || first === undefined)
    return sorted(first)
      .limit(query.limit + 1)
      .offset(query.offset)
      .all();
  // With IN (...), SQLite would sort every call of these statuses, because no index has them in order of time. Instead,
  // the first rows of each status are read in order, then merged.
  const firstRows = (status: CallStatus) => {
    const rows = sorted(status).limit(count).as('top');
    return db.select().from(rows);
  };
  const sortName = sql.identifier(query.sortBy === 'createdAt' ? 'created_at' : 'scheduled_order');
  return unionAll(firstRows(first), firstRows(second), ...rest.map(firstRows))
    .orderBy(direction(sql`${sortName}`), direction(sql`${sql.identifier('id')}`))
    .limit(query.limit + 1)
    .offset(query.offset)
    .all();
}

/** Returns the number of matching calls, at most MAX_COUNT + 1. */
function countCapped(db: Pick<Database, 'select'>, query: CallQuery): number {
  const { statuses } = query;
  const capped = db
    .select({ one: sql`1`.as('one') })
    .from(calls)
    .where(and(...filters(query), statuses?.length ? inArray(calls.status, [...statuses]) : undefined))
    .limit(MAX_COUNT + 1)
    .as('capped');
  return db.select({ count: sql<number>`count(*)` }).from(capped).get()?.count ?? 0;
}

function filters(query: CallQuery): (SQL | undefined)[] {
  return [
    eq(calls.organizationId, query.organizationId),
    query.agentId === undefined ? undefined : eq(calls.agentId, query.agentId),
    query.direction && eq(calls.direction, query.direction),
    query.phoneNumber === undefined ? undefined : eq(calls.phoneNumber, query.phoneNumber),
    query.from === undefined ? undefined : gte(calls.createdAt, query.from),
    query.to === undefined ? undefined : lte(calls.createdAt, query.to),
  ];
}

function afterCursor({ after, sortBy, sortOrder }: CallQuery): SQL | undefined {
  if (after === undefined) return undefined;
  const column = sortBy === 'createdAt' ? calls.createdAt : calls.scheduledOrder;
  const operator = sql.raw(sortOrder === 'asc' ? '>' : '<');
  return sql`(${column}, ${calls.id}) ${operator} (${after.value}, ${after.id})`;
}
