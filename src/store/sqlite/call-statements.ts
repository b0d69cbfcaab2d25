import { and, desc, eq, getTableColumns, sql } from 'drizzle-orm';
import type { Database } from './database.ts';
import { preparePerConnection } from './prepare-per-connection.ts';
import { CALL, CALL_JSON, DELETION } from './rows.ts';
import { calls, IS_INCOMPLETE, IS_LIVE, livekitEvents, roomDeletions } from './schema.ts';
import { placeholdersFor, prepareRows, prepareRun, text } from './statement.ts';

const { placeholder } = sql;

/** The columns that an update of a call may change. */
export type CallColumn = Exclude<keyof typeof calls.$inferInsert, 'id' | 'isScheduled'>;

const { isScheduled: _, ...callColumns } = getTableColumns(calls);
const { callId: __, roomName: ___, ...changingDeletionColumns } = getTableColumns(roomDeletions);

/** The statements of a change of a call. */
export const statements = preparePerConnection((db) => ({
  idOfCall: prepareRows(
    db,
    db
      .select({ id: calls.id })
      .from(calls)
      .where(eq(calls.id, placeholder('id'))),
  ),
  callById: prepareRows(
    db,
    db
      .select(CALL)
      .from(calls)
      .where(eq(calls.id, placeholder('id'))),
    CALL_JSON,
  ),
  newestTwoInRoom: prepareRows(
    db,
    db
      .select(CALL)
      .from(calls)
      .where(eq(calls.roomName, text('roomName')))
      .orderBy(desc(calls.createdAt), desc(calls.id))
      .limit(2),
    CALL_JSON,
  ),
  newestIdInRoom: prepareRows(
    db,
    db
      .select({ id: calls.id })
      .from(calls)
      .where(eq(calls.roomName, text('roomName')))
      .orderBy(desc(calls.createdAt), desc(calls.id))
      .limit(1),
  ),
  liveCallInRoom: prepareRows(
    db,
    db
      .select({ id: calls.id })
      .from(calls)
      .where(and(eq(calls.roomName, placeholder('roomName')), IS_LIVE)),
  ),
  deletionOfCall: prepareRows(
    db,
    db
      .select(DELETION)
      .from(roomDeletions)
      .where(eq(roomDeletions.callId, placeholder('callId'))),
  ),
  incompleteDeletionInRoom: prepareRows(
    db,
    db
      .select(DELETION)
      .from(roomDeletions)
      .where(and(eq(roomDeletions.roomName, placeholder('roomName')), IS_INCOMPLETE)),
  ),
  eventById: prepareRows(
    db,
    db
      .select({ id: livekitEvents.id })
      .from(livekitEvents)
      .where(eq(livekitEvents.id, placeholder('id'))),
  ),
  insertEvent: prepareRun(
    db,
    db.insert(livekitEvents).values({ id: placeholder('id'), receivedAt: placeholder('receivedAt') }),
  ),
  insertCall: prepareRun(db, db.insert(calls).values(placeholdersFor(callColumns))),
  saveDeletion: prepareRun(
    db,
    db
      .insert(roomDeletions)
      .values(placeholdersFor(getTableColumns(roomDeletions)))
      .onConflictDoUpdate({
        target: roomDeletions.callId,
        set: placeholdersFor(changingDeletionColumns),
      }),
  ),
}));

const updates = preparePerConnection(() => new Map<string, ReturnType<typeof prepareRun>>());

/**
 * Returns the statement that sets these columns of a call. SQLite writes an index again for each column in the statement, also
 * if its value stays. The domain's decisions change few combinations of columns.
 */
export function updateCall(db: Database, columns: readonly CallColumn[]): ReturnType<typeof prepareRun> {
  const key = columns.join();
  const prepared =
    updates(db).get(key) ??
    prepareRun(
      db,
      db
        .update(calls)
        .set(placeholdersFor(Object.fromEntries(columns.map((name) => [name, true]))))
        .where(eq(calls.id, placeholder('id'))),
    );
  updates(db).set(key, prepared);
  return prepared;
}
