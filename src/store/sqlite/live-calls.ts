import { and, asc, eq, gt, lte, or, sql } from 'drizzle-orm';
import type { LiveCall } from '../../domain/room-diff.ts';
import { suspects } from '../../domain/roster.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { CallInRoom, Store } from '../../ports/store.ts';
import type { Database } from './database.ts';
import { preparePerConnection } from './prepare-per-connection.ts';
import { calls, IS_LIVE } from './schema.ts';
import { prepareRows } from './statement.ts';

const { placeholder } = sql;

/** The same value as `versionOf` of the roster. */
const VERSION = sql<string>`coalesce(json_extract(${calls.roster}, '$.sid') || ':' || json_extract(${calls.roster}, '$.departures'), '')`;

const CALL_IN_ROOM = {
  callId: sql<string>`${calls.id}`.as('callId'),
  roomName: sql<string>`${calls.roomName}`.as('roomName'),
  version: VERSION.as('version'),
};

/** The values that `liveInRooms` selects. */
type LiveCallRow = readonly [
  indexOfRoom: number,
  id: LiveCall['id'],
  status: LiveCall['status'],
  roomId: LiveCall['roomId'],
  scheduledAt: LiveCall['scheduledAt'],
  createdAt: LiveCall['createdAt'],
  updatedAt: LiveCall['updatedAt'],
];

const statements = preparePerConnection((db) => ({
  /** Reads the index alone, and no call. */
  liveRooms: prepareRows(
    db,
    db
      .select({ name: sql<string>`${calls.roomName}`.as('name') })
      .from(calls)
      .where(and(IS_LIVE, gt(calls.roomName, placeholder('after'))))
      .orderBy(asc(calls.roomName))
      .limit(placeholder('limit')),
  ),
  /** Without drizzle's mapping of rows, which takes longer than the query. */
  liveInRooms: db.$client
    .prepare<[roomNames: string], LiveCallRow>(
      db
        .select({
          indexOfRoom: sql`json_each.key`,
          id: calls.id,
          status: calls.status,
          roomId: calls.roomId,
          scheduledAt: calls.scheduledAt,
          createdAt: calls.createdAt,
          updatedAt: calls.updatedAt,
        })
        .from(sql`json_each(${placeholder('roomNames')})`)
        // SQLite does not reorder a cross join, whatever its statistics are.
        .crossJoin(calls)
        .where(and(IS_LIVE, eq(calls.roomName, sql`json_each.value`)))
        .toSQL().sql,
    )
    .raw(),
  knownRooms: db.$client
    .prepare<[roomNames: string], string>(`
      SELECT value FROM json_each(?)
      WHERE EXISTS (SELECT 1 FROM calls WHERE room_name = json_each.value)
        OR EXISTS (SELECT 1 FROM adoption_prefixes WHERE substr(json_each.value, 1, length(prefix)) = prefix)`)
    .pluck(),
  rosterVersion: db.$client
    .prepare<[id: string], string>(
      db
        .select({ version: VERSION })
        .from(calls)
        .where(eq(calls.id, placeholder('id')))
        .toSQL().sql,
    )
    .pluck(),
  unansweredPhones: prepareRows(
    db,
    db
      .select(CALL_IN_ROOM)
      .from(calls)
      .where(and(sql`${calls.hasUnansweredPhone} = 1`, gt(calls.id, placeholder('after'))))
      .orderBy(asc(calls.id))
      .limit(placeholder('limit')),
  ),
  dueReviews: prepareRows(
    db,
    db
      .select({ ...CALL_IN_ROOM, roster: calls.roster })
      .from(calls)
      .where(
        and(
          sql`${calls.reviewAt} IS NOT NULL`,
          or(lte(calls.reviewAt, placeholder('now')), gt(calls.reviewAt, placeholder('maxReviewAt'))),
        ),
      )
      .orderBy(asc(calls.reviewAt))
      .limit(placeholder('limit')),
    { json: ['roster'] },
  ),
  nextReview: prepareRows(
    db,
    db
      .select({ at: sql<Timestamp>`${calls.reviewAt}`.as('at') })
      .from(calls)
      .where(and(sql`${calls.reviewAt} IS NOT NULL`, gt(calls.reviewAt, placeholder('now'))))
      .orderBy(asc(calls.reviewAt))
      .limit(1),
  ),
}));

export function listLiveRooms(db: Database, { after, limit }: { after: string; limit: number }): string[] {
  return statements(db)
    .liveRooms.all({ after, limit })
    .map(({ name }) => name);
}

export function findLiveCalls(db: Database, roomNames: readonly string[]): (LiveCall | null)[] {
  const found: (LiveCall | null)[] = roomNames.map(() => null);
  for (const [index, id, status, roomId, scheduledAt, createdAt, updatedAt] of statements(db).liveInRooms.all(
    JSON.stringify(roomNames),
  )) {
    const roomName = roomNames[index];
    if (roomName === undefined) continue;
    found[index] = { id, status, roomName, roomId, scheduledAt, createdAt, updatedAt };
  }
  return found;
}

export function findRosterVersion(db: Database, callId: string): string | null {
  return statements(db).rosterVersion.get(callId) ?? null;
}

export function listKnownRooms(db: Database, roomNames: readonly string[]): string[] {
  return statements(db).knownRooms.all(JSON.stringify(roomNames));
}

export function listUnansweredPhones(
  db: Database,
  { after, limit }: { after: string; limit: number },
): CallInRoom[] {
  return statements(db).unansweredPhones.all({ after, limit });
}

export function listReviews(
  db: Database,
  { maxDelayMs, limit }: Parameters<Store['listReviews']>[0],
  now: Timestamp,
): Awaited<ReturnType<Store['listReviews']>> {
  const due = statements(db).dueReviews.all({ now, maxReviewAt: now + maxDelayMs, limit });
  return {
    due: due.map(({ roster, ...review }) => ({
      ...review,
      isUnresponsive: roster !== null && roster.unresponsive !== null,
      suspects: roster === null ? [] : suspects(roster).map(({ sid, identity }) => ({ sid, identity })),
      movedAt: roster?.moved?.noticedAt ?? null,
    })),
    nextAt: statements(db).nextReview.get({ now })?.at ?? null,
  };
}
