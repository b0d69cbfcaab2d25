import { and, asc, desc, eq, getTableColumns, gt, lte, or, sql } from 'drizzle-orm';
import type { Call } from '../../domain/call.ts';
import type { Database } from './database.ts';
import { prepared } from './prepared.ts';
import { toCall } from './rows.ts';
import { auditLog, calls, livekitEvents, roomDeletions } from './schema.ts';

const { placeholder } = sql;

/** As the partial index has it: a bound value does not show SQLite that it may use that. */
export const IS_INCOMPLETE = sql`${roomDeletions.state} <> 'completed'`;

export const VERSION = sql<string>`coalesce(json_extract(${calls.roster}, '$.sid') || ':' || json_extract(${calls.roster}, '$.departures'), '')`;

export const IN_ROOM = { callId: calls.id, roomName: calls.roomName, version: VERSION };

/** What a webhook or a pass runs again and again. */
export const statements = prepared((db) => ({
  insertEvent: db
    .insert(livekitEvents)
    .values({ id: placeholder('id'), receivedAt: placeholder('receivedAt') })
    .onConflictDoNothing()
    .prepare(),
  lastTwoIn: db
    .select()
    .from(calls)
    .where(eq(calls.roomName, placeholder('roomName')))
    .orderBy(desc(calls.createdAt), desc(calls.id))
    .limit(2)
    .prepare(),
  callById: db
    .select()
    .from(calls)
    .where(eq(calls.id, placeholder('id')))
    .prepare(),
  deletionOf: db
    .select()
    .from(roomDeletions)
    .where(eq(roomDeletions.callId, placeholder('callId')))
    .prepare(),
  updateCall: db
    .update(calls)
    .set(
      Object.fromEntries(
        Object.keys(getTableColumns(calls))
          .filter((column) => !['id', 'metadata', 'scheduledOrder'].includes(column))
          // As SQL, for a placeholder alone would write a null of JSON as the word.
          .map((column) => [column, sql`${placeholder(column)}`]),
      ),
    )
    .where(eq(calls.id, placeholder('id')))
    .prepare(),
  insertAudit: db
    .insert(auditLog)
    .values({
      at: placeholder('at'),
      organizationId: placeholder('organizationId'),
      action: placeholder('action'),
      actor: placeholder('actor'),
      actorId: placeholder('actorId'),
      subjectId: placeholder('subjectId'),
      fromStatus: placeholder('fromStatus'),
      toStatus: placeholder('toStatus'),
      reason: placeholder('reason'),
    })
    .prepare(),
  openDeletion: db
    .insert(roomDeletions)
    .values({
      callId: placeholder('callId'),
      roomName: placeholder('roomName'),
      attempt: 0,
      state: 'available',
      scheduledAt: placeholder('now'),
      createdAt: placeholder('now'),
    })
    .onConflictDoUpdate({
      target: roomDeletions.callId,
      set: {
        state: 'available',
        scheduledAt: sql`excluded.scheduled_at`,
        finalizedAt: null,
        lastError: null,
        createdAt: sql`excluded.created_at`,
      },
    })
    .prepare(),
  leaseDeletion: db
    .insert(roomDeletions)
    .values({
      callId: placeholder('callId'),
      roomName: placeholder('roomName'),
      attempt: 1,
      state: 'running',
      scheduledAt: placeholder('leaseUntil'),
      attemptedAt: placeholder('now'),
      createdAt: placeholder('now'),
    })
    .onConflictDoUpdate({
      target: roomDeletions.callId,
      set: {
        state: 'running',
        attempt: sql`${roomDeletions.attempt} + 1`,
        scheduledAt: sql`excluded.scheduled_at`,
        attemptedAt: sql`excluded.attempted_at`,
        finalizedAt: null,
        lastError: null,
        createdAt: sql`excluded.created_at`,
      },
    })
    .prepare(),
  completeDeletions: db
    .update(roomDeletions)
    .set({
      state: 'completed',
      // A completed deletion has an attempt, by the table's constraint.
      attempt: sql`max(${roomDeletions.attempt}, 1)`,
      attemptedAt: sql`coalesce(${roomDeletions.attemptedAt}, ${placeholder('now')})`,
      finalizedAt: sql`${placeholder('now')}`,
    })
    .where(and(eq(roomDeletions.roomName, placeholder('roomName')), IS_INCOMPLETE))
    .prepare(),
  unansweredPhones: db
    .select(IN_ROOM)
    .from(calls)
    .where(and(sql`${calls.hasUnansweredPhone} = 1`, gt(calls.id, placeholder('after'))))
    .orderBy(asc(calls.id))
    .limit(placeholder('limit'))
    .prepare(),
  dueReviews: db
    .select({
      ...IN_ROOM,
      roster: calls.roster,
    })
    .from(calls)
    .where(
      and(
        sql`${calls.reviewAt} IS NOT NULL`,
        or(lte(calls.reviewAt, placeholder('now')), gt(calls.reviewAt, placeholder('farthest'))),
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

export function callById(db: Database, id: string): Call | null {
  const row = statements(db).callById.get({ id });
  return row === undefined ? null : toCall(row);
}
