import { eq, getTableColumns, type SQL, sql } from 'drizzle-orm';
import type { PgColumn } from 'drizzle-orm/pg-core';
import type { ApiKey } from '../../domain/api-key.ts';
import type { Call } from '../../domain/call.ts';
import type { RoomDeletion } from '../../domain/room-deletion.ts';
import type { CallRecord } from '../../ports/store.ts';
import { API_KEY, type ApiKeyRow, toApiKeyOfRow } from './api-keys.ts';
import { CALL } from './rows.ts';
import { apiKeys, calls, organizations, roomDeletions } from './schema.ts';
import { build, placeholder, prepareRows, type Session } from './session.ts';

/** Returns an expression of one JSON object with these fields. */
function toJsonObject(fields: Record<string, PgColumn>): SQL {
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
type NullableRow<Row> = { readonly [Name in keyof Row]: Row[Name] | null };

const isCall = eq(calls.id, placeholder('id'));

const record = prepareRows<RecordRow>(build.select(RECORD).from(calls).where(isCall));
/** One row, whatever exists: both are from one snapshot of the database. */
const keyAndRecord = prepareRows<NullableRow<ApiKeyRow & RecordRow>>(
  build
    .select({ ...API_KEY, ...RECORD })
    .from(sql`(SELECT 1) AS one`)
    .leftJoin(apiKeys, eq(apiKeys.hash, placeholder('hash')))
    .leftJoin(organizations, eq(organizations.id, apiKeys.organizationId))
    .leftJoin(calls, isCall),
);

export async function findCall(session: Session, id: string): Promise<CallRecord | null> {
  const row = await record.get(session, { id });
  return row === undefined ? null : toRecord(row);
}

export async function findKeyAndCall(
  session: Session,
  { keyHash, callId }: { keyHash: string; callId: string },
): Promise<{ apiKey: ApiKey | null; record: CallRecord | null }> {
  const row = await keyAndRecord.get(session, { hash: keyHash, id: callId });
  if (row === undefined) throw new Error('the query of an API key and a call returned no row');
  return {
    apiKey: isFound(row, 'keyId') ? toApiKeyOfRow(row) : null,
    record: isFound(row, 'id') ? toRecord(row) : null,
  };
}

/** Whether the row has a value of a column that is never null, so that no column of its table is missing. */
function isFound<Row>(row: NullableRow<Row>, name: keyof Row): row is Row {
  return row[name] !== null;
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
