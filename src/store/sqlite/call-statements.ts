import { and, desc, eq, getTableColumns, type SQL, sql } from 'drizzle-orm';
import { preparePerConnection } from './prepare-per-connection.ts';
import { calls, IS_INCOMPLETE, IS_LIVE, livekitEvents, roomDeletions } from './schema.ts';

const { placeholder } = sql;

/**
 * Returns a placeholder for each column, by the column's name. Each is wrapped in SQL: drizzle would encode the null of a
 * JSON column as the text `null`.
 */
function placeholders<Table extends typeof calls | typeof roomDeletions, Excluded extends string>(
  table: Table,
  excluded: readonly Excluded[],
): Record<Exclude<keyof Table['$inferInsert'] & string, Excluded>, SQL> {
  const names = Object.keys(getTableColumns(table)).filter(
    (name) => !excluded.some((column) => column === name),
  );
  const entries = names.map((name) => [name, sql`${placeholder(name)}`]);
  return Object.fromEntries(entries);
}

/** The statements of a change of a call. */
export const statements = preparePerConnection((db) => ({
  idOfCall: db
    .select({ id: calls.id })
    .from(calls)
    .where(eq(calls.id, placeholder('id')))
    .prepare(),
  callById: db
    .select()
    .from(calls)
    .where(eq(calls.id, placeholder('id')))
    .prepare(),
  newestTwoInRoom: db
    .select()
    .from(calls)
    .where(eq(calls.roomName, placeholder('roomName')))
    .orderBy(desc(calls.createdAt), desc(calls.id))
    .limit(2)
    .prepare(),
  newestIdInRoom: db
    .select({ id: calls.id })
    .from(calls)
    .where(eq(calls.roomName, placeholder('roomName')))
    .orderBy(desc(calls.createdAt), desc(calls.id))
    .limit(1)
    .prepare(),
  liveCallInRoom: db
    .select({ id: calls.id })
    .from(calls)
    .where(and(eq(calls.roomName, placeholder('roomName')), IS_LIVE))
    .prepare(),
  deletionOfCall: db
    .select()
    .from(roomDeletions)
    .where(eq(roomDeletions.callId, placeholder('callId')))
    .prepare(),
  incompleteDeletionInRoom: db
    .select()
    .from(roomDeletions)
    .where(and(eq(roomDeletions.roomName, placeholder('roomName')), IS_INCOMPLETE))
    .prepare(),
  eventById: db
    .select({ id: livekitEvents.id })
    .from(livekitEvents)
    .where(eq(livekitEvents.id, placeholder('id')))
    .prepare(),
  insertEvent: db
    .insert(livekitEvents)
    .values({ id: placeholder('id'), receivedAt: placeholder('receivedAt') })
    .prepare(),
  insertCall: db
    .insert(calls)
    .values(placeholders(calls, ['scheduledOrder']))
    .prepare(),
  updateCall: db
    .update(calls)
    .set(placeholders(calls, ['id', 'scheduledOrder']))
    .where(eq(calls.id, placeholder('id')))
    .prepare(),
  saveDeletion: db
    .insert(roomDeletions)
    .values(placeholders(roomDeletions, []))
    .onConflictDoUpdate({
      target: roomDeletions.callId,
      set: placeholders(roomDeletions, ['callId', 'roomName']),
    })
    .prepare(),
}));
