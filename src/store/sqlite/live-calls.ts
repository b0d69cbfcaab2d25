import { and, asc, gt, lte, or, sql } from 'drizzle-orm';
import type { Call } from '../../domain/call.ts';
import { isLive } from '../../domain/call-status.ts';
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
  version: VERSION,
};

const statements = preparePerConnection((db) => ({
  page: db
    .select(LIVE_CALL_COLUMNS)
    .from(calls)
    .where(and(IS_LIVE, gt(calls.roomName, placeholder('after'))))
    .orderBy(asc(calls.roomName))
    .limit(placeholder('limit'))
    .prepare(),
  inRooms: db
    .select(LIVE_CALL_COLUMNS)
    .from(calls)
    .where(and(IS_LIVE, sql`${calls.roomName} IN (SELECT value FROM json_each(${placeholder('names')}))`))
    .prepare(),
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

export function listLiveCalls(db: Database, { after, limit }: { after: string; limit: number }): LiveCall[] {
  return onlyLive(statements(db).page.all({ after, limit }));
}

export function listLiveCallsByRoom(db: Database, roomNames: readonly string[]): LiveCall[] {
  return onlyLive(statements(db).inRooms.all({ names: JSON.stringify(roomNames) }));
}

/** Narrows the type. The statements return live calls only. */
const onlyLive = (rows: readonly (Omit<LiveCall, 'status'> & Pick<Call, 'status'>)[]): LiveCall[] =>
  rows.flatMap((call) => (isLive(call.status) ? [{ ...call, status: call.status }] : []));

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
