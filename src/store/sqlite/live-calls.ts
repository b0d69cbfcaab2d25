import { and, asc, gt, lte, or, sql } from 'drizzle-orm';
import type { LiveCall } from '../../domain/room-diff.ts';
import { suspects } from '../../domain/roster.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { CallInRoom, Store } from '../../ports/store.ts';
import type { Database } from './database.ts';
import { preparePerConnection } from './prepare-per-connection.ts';
import { calls, IS_LIVE } from './schema.ts';

const { placeholder } = sql;

/** The same value as `versionOf` of the roster. */
const VERSION = sql<string>`coalesce(json_extract(${calls.roster}, '$.sid') || ':' || json_extract(${calls.roster}, '$.departures'), '')`;

const CALL_IN_ROOM_COLUMNS = { callId: calls.id, roomName: calls.roomName, version: VERSION };

const LIVE_CALL_COLUMNS = {
  id: calls.id,
  status: calls.status,
  roomName: calls.roomName,
  roomId: calls.roomId,
  scheduledAt: calls.scheduledAt,
  createdAt: calls.createdAt,
  updatedAt: calls.updatedAt,
};

/** The values of {@link LIVE_CALL_COLUMNS}. */
type LiveCallRow = readonly [
  id: LiveCall['id'],
  status: LiveCall['status'],
  roomName: LiveCall['roomName'],
  roomId: LiveCall['roomId'],
  scheduledAt: LiveCall['scheduledAt'],
  createdAt: LiveCall['createdAt'],
  updatedAt: LiveCall['updatedAt'],
];

const statements = preparePerConnection((db) => ({
  /** Reads the index alone, and no call. */
  liveRooms: db.$client
    .prepare<[after: string, limit: number], string>(
      db
        .select({ roomName: calls.roomName })
        .from(calls)
        .where(and(IS_LIVE, gt(calls.roomName, placeholder('after'))))
        .orderBy(asc(calls.roomName))
        .limit(placeholder('limit'))
        .toSQL().sql,
    )
    .pluck(),
  /** Without drizzle's mapping of rows, which takes longer than the query. */
  inRooms: db.$client
    .prepare<[names: string], LiveCallRow>(
      db
        .select(LIVE_CALL_COLUMNS)
        .from(calls)
        .where(and(IS_LIVE, sql`${calls.roomName} IN (SELECT value FROM json_each(${placeholder('names')}))`))
        .toSQL().sql,
    )
    .raw(),
  knownRooms: db.$client
    .prepare<[names: string], string>(`
      SELECT value FROM json_each(?)
      WHERE EXISTS (SELECT 1 FROM calls WHERE room_name = json_each.value)
        OR EXISTS (SELECT 1 FROM adoption_prefixes WHERE substr(json_each.value, 1, length(prefix)) = prefix)`)
    .pluck(),
  unansweredPhones: db
    .select(CALL_IN_ROOM_COLUMNS)
    .from(calls)
    .where(and(sql`${calls.hasUnansweredPhone} = 1`, gt(calls.id, placeholder('after'))))
    .orderBy(asc(calls.id))
    .limit(placeholder('limit'))
    .prepare(),
  dueReviews: db
    .select({ ...CALL_IN_ROOM_COLUMNS, roster: calls.roster })
    .from(calls)
    .where(
      and(
        sql`${calls.reviewAt} IS NOT NULL`,
        or(lte(calls.reviewAt, placeholder('now')), gt(calls.reviewAt, placeholder('maxReviewAt'))),
      ),
    )
    .orderBy(asc(calls.reviewAt))
    .limit(placeholder('limit'))
    .prepare(),
  nextReview: db
    .select({ at: calls.reviewAt })
    .from(calls)
    .where(and(sql`${calls.reviewAt} IS NOT NULL`, gt(calls.reviewAt, placeholder('now'))))
    .orderBy(asc(calls.reviewAt))
    .limit(1)
    .prepare(),
}));

export function listLiveRooms(db: Database, { after, limit }: { after: string; limit: number }): string[] {
  return statements(db).liveRooms.all(after, limit);
}

export function listLiveCallsByRoom(db: Database, roomNames: readonly string[]): LiveCall[] {
  return statements(db)
    .inRooms.all(JSON.stringify(roomNames))
    .map(([id, status, roomName, roomId, scheduledAt, createdAt, updatedAt]) => ({
      id,
      status,
      roomName,
      roomId,
      scheduledAt,
      createdAt,
      updatedAt,
    }));
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
