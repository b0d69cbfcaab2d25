import type SqliteDatabase from 'better-sqlite3';
import { isLive } from '../../domain/call-status.ts';
import { type CallListItem, type CallPage, type CallQuery, MAX_COUNT } from '../../ports/store.ts';
import { countSql, DAY_MS, type PageShape, pageSql, statusParameter } from './call-list-sql.ts';
import type { Database } from './database.ts';
import { createListConnection, type Prepare } from './list-connection.ts';

const MAX_TOTALS = 1_000;

/** In the order of the columns of {@link pageSql}. */
type Row = readonly [
  id: CallListItem['id'],
  status: CallListItem['status'],
  direction: CallListItem['direction'],
  scheduledAt: CallListItem['scheduledAt'],
  answeredAt: CallListItem['answeredAt'],
  endedAt: CallListItem['endedAt'],
  agentId: CallListItem['agentId'],
  agentName: CallListItem['agentName'],
  contactPhone: CallListItem['contactPhone'],
  contactName: CallListItem['contactName'],
  contactEmail: CallListItem['contactEmail'],
  phoneNumber: CallListItem['phoneNumber'],
  createdAt: CallListItem['createdAt'],
];

/** The named parameters of a statement. A statement ignores those that it does not name. */
type Values = Readonly<Record<string, string | number | undefined>>;

interface Statements {
  readonly page: SqliteDatabase.Statement<[Values], Row>;
  readonly count: SqliteDatabase.Statement<[Values], number>;
}

export interface CallLists {
  /** Returns a page of calls, and their number up to {@link MAX_COUNT}. */
  list(query: CallQuery): CallPage;
  /** Opens the connection before the first list. */
  open(): void;
  close(): void;
}

/** Returns the lists of a database. They have a connection of their own. */
export function createCallLists(db: Database): CallLists {
  const connection = createListConnection(db, listsOn);
  return {
    list: (query) => connection.work()(query),
    open: () => void connection.work(),
    close: connection.close,
  };
}

function listsOn(client: SqliteDatabase.Database, prepare: Prepare) {
  const statementsByShape = new Map<string, Statements>();
  const totals = new Map<string, number>();
  /** Changes when another connection commits. This connection only reads. */
  const dataVersion = prepare<[], number>('PRAGMA data_version').pluck();
  let totalsVersion: number | undefined;

  function statementsOf(shape: PageShape): Statements {
    const key = Object.values(shape).join();
    const known = statementsByShape.get(key);
    if (known !== undefined) return known;
    const statements = {
      page: prepare<[Values], Row>(pageSql(shape)).raw(),
      count: prepare<[Values], number>(countSql(shape)).pluck(),
    };
    statementsByShape.set(key, statements);
    return statements;
  }

  function countCalls(count: Statements['count'], filters: Values): number {
    const version = dataVersion.get();
    if (version !== totalsVersion || totals.size >= MAX_TOTALS) totals.clear();
    totalsVersion = version;
    const key = JSON.stringify(filters);
    const total = totals.get(key) ?? count.get({ ...filters, maxCount: MAX_COUNT + 1 }) ?? 0;
    totals.set(key, total);
    return total;
  }

  // One transaction: all reads see the same state of the database.
  return client.transaction((query: CallQuery): CallPage => {
    const { page, count } = statementsOf(shapeOf(query));
    const filters = filterValues(query);
    const counted = countCalls(count, filters);

    // One more row shows whether a next page exists.
    const { limit, offset, after } = query;
    const rows = page.all({
      ...filters,
      sort: after?.sort,
      day: after && Math.floor(after.sort / DAY_MS),
      createdAt: after?.createdAt,
      id: after?.id,
      limit: limit + 1,
      offset,
    });
    const hasNext = rows.length > limit;
    if (hasNext) rows.pop();
    const calls = rows.map(toListItem);
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
  });
}

/** A call without `scheduledAt` sorts as 0. */
const sortOf = ({ createdAt, scheduledAt }: CallListItem, { sortBy }: CallQuery) =>
  sortBy === 'createdAt' ? createdAt : (scheduledAt ?? 0);

function shapeOf(query: CallQuery): PageShape {
  const { sortBy, sortOrder, cancellationId, agentId, phoneNumber, direction, from, to, after } = query;
  const { live, ended } = statusesOf(query);
  const limit = sortOrder === 'asc' ? from : to;
  const distance = after === undefined || limit === undefined ? 0 : after.createdAt - limit;
  return {
    sortBy,
    sortOrder,
    hasCancellation: cancellationId !== undefined,
    hasAgent: agentId !== undefined,
    hasPhone: phoneNumber !== undefined,
    hasDirection: direction !== undefined,
    liveStatuses: live.length,
    endedStatuses: ended.length,
    hasFrom: from !== undefined,
    hasTo: to !== undefined,
    cursorSign: after === undefined ? null : sortBy === 'createdAt' ? 1 : signOf(after.sort),
    isCursorNarrower: after !== undefined && (sortOrder === 'asc' ? distance >= 0 : distance <= 0),
  };
}

const signOf = (value: number) => (value > 0 ? 1 : value < 0 ? -1 : 0);

/** Returns each status once: a repeated range would repeat its calls. */
function statusesOf({ statuses = [] }: CallQuery) {
  const unique = [...new Set(statuses)].sort();
  return { live: unique.filter(isLive), ended: unique.filter((status) => !isLive(status)) };
}

function filterValues(query: CallQuery): Values {
  const { organizationId, cancellationId, agentId, phoneNumber, direction, from, to } = query;
  const { live, ended } = statusesOf(query);
  const statuses = [
    ...live.map((status, i) => [statusParameter('live', i), status]),
    ...ended.map((status, i) => [statusParameter('ended', i), status]),
  ];
  const filters = { organizationId, cancellationId, agentId, phoneNumber, direction, from, to };
  return { ...filters, ...Object.fromEntries(statuses) };
}

function toListItem([
  id,
  status,
  direction,
  scheduledAt,
  answeredAt,
  endedAt,
  agentId,
  agentName,
  contactPhone,
  contactName,
  contactEmail,
  phoneNumber,
  createdAt,
]: Row): CallListItem {
  return {
    id,
    status,
    direction,
    scheduledAt,
    answeredAt,
    endedAt,
    agentId,
    agentName,
    contactPhone,
    contactName,
    contactEmail,
    phoneNumber,
    createdAt,
  };
}
