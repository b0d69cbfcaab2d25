import { type Column, eq, getTableColumns, type SQL, sql } from 'drizzle-orm';
import type { Call } from '../../domain/call.ts';
import type { RoomDeletion } from '../../domain/room-deletion.ts';
import type { CallRecord } from '../../ports/store.ts';
import { CALL } from './rows.ts';
import { calls, roomDeletions } from './schema.ts';
import { build, isAnyOf, prepareRows, type Session } from './session.ts';

/** Returns an expression of one JSON object with these fields. */
function toJsonObject(fields: Record<string, Column>): SQL {
  const pairs = Object.entries(fields).map(([name, column]) => sql`${sql.raw(`'${name}'`)}, ${column}`);
  return sql`json_build_object(${sql.join(pairs, sql`, `)})`;
}

const deletion = build
  .select({ json: toJsonObject(getTableColumns(roomDeletions)) })
  .from(roomDeletions)
  .where(eq(roomDeletions.callId, calls.id));

/** A call and its room deletion. */
const RECORD = { ...CALL, deletion: sql<RoomDeletion | null>`${deletion}`.as('deletion') };
type RecordRow = Call & { readonly deletion: RoomDeletion | null };

const byIds = prepareRows<RecordRow>(build.select(RECORD).from(calls).where(isAnyOf(calls.id, 'ids')));

/** Returns the calls with these ids and their deletions, by the id of the call. */
export async function findCalls(
  session: Session,
  ids: readonly string[],
): Promise<ReadonlyMap<string, CallRecord>> {
  const rows = await byIds.all(session, { ids });
  return new Map(rows.map((row) => [row.id, toRecord(row)]));
}

function toRecord(row: RecordRow): CallRecord {
  return { call: toCall(row), deletion: row.deletion };
}

/** Names each field, because a copy of an object with so many fields takes as long as reading them. */
function toCall(row: Call): Call {
  return {
    id: row.id,
    organizationId: row.organizationId,
    status: row.status,
    direction: row.direction,
    phoneNumber: row.phoneNumber,
    agentId: row.agentId,
    agentName: row.agentName,
    contactName: row.contactName,
    contactPhone: row.contactPhone,
    contactEmail: row.contactEmail,
    roomName: row.roomName,
    roomId: row.roomId,
    roster: row.roster,
    reviewAt: row.reviewAt,
    adoptedPrefix: row.adoptedPrefix,
    jobId: row.jobId,
    sipParticipantId: row.sipParticipantId,
    metadata: row.metadata,
    failureReason: row.failureReason,
    cancelledBy: row.cancelledBy,
    cancelReason: row.cancelReason,
    cancellationId: row.cancellationId,
    scheduledAt: row.scheduledAt,
    startedAt: row.startedAt,
    answeredAt: row.answeredAt,
    endedAt: row.endedAt,
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
  };
}
