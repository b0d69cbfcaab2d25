import { and, asc, gt, sql } from 'drizzle-orm';
import { type Call, isLive } from '../../domain/call.ts';
import type { LiveCall } from '../../domain/room-diff.ts';
import { VERSION } from './call-statements.ts';
import type { Database } from './database.ts';
import { prepared } from './prepared.ts';
import { calls, IS_LIVE } from './schema.ts';

const { placeholder } = sql;

const LIVE_CALL = {
  id: calls.id,
  number: sql<number>`${calls}.rowid`,
  status: calls.status,
  roomName: calls.roomName,
  roomId: calls.roomId,
  scheduledAt: calls.scheduledAt,
  createdAt: calls.createdAt,
  updatedAt: calls.updatedAt,
  version: VERSION,
};

const statements = prepared((db) => ({
  page: db
    .select(LIVE_CALL)
    .from(calls)
    .where(and(sql.raw(IS_LIVE), gt(calls.roomName, placeholder('after'))))
    .orderBy(asc(calls.roomName))
    .limit(placeholder('limit'))
    .prepare(),
  inRooms: db
    .select(LIVE_CALL)
    .from(calls)
    .where(
      and(sql.raw(IS_LIVE), sql`${calls.roomName} IN (SELECT value FROM json_each(${placeholder('names')}))`),
    )
    .prepare(),
}));

export function listLiveCalls(db: Database, { after, limit }: { after: string; limit: number }): LiveCall[] {
  return live(statements(db).page.all({ after, limit }));
}

export function findLiveCallsIn(db: Database, roomNames: readonly string[]): LiveCall[] {
  return live(statements(db).inRooms.all({ names: JSON.stringify(roomNames) }));
}

const live = (rows: readonly (Omit<LiveCall, 'status'> & Pick<Call, 'status'>)[]): LiveCall[] =>
  rows.flatMap((call) => (isLive(call.status) ? [{ ...call, status: call.status }] : []));
