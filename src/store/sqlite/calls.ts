import { eq, getTableColumns, type SQL, sql } from 'drizzle-orm';
import type { SQLiteColumn } from 'drizzle-orm/sqlite-core';
import type { ApiKey } from '../../domain/api-key.ts';
import type { Call } from '../../domain/call.ts';
import type { RoomDeletion } from '../../domain/room-deletion.ts';
import type { Roster } from '../../domain/roster.ts';
import type { CallRecord } from '../../ports/store.ts';
import { API_KEY, type ApiKeyRow, findApiKey, toApiKeyOfRow } from './api-keys.ts';
import type { Database } from './database.ts';
import { preparePerConnection } from './prepare-per-connection.ts';
import { apiKeys, calls, organizations, roomDeletions } from './schema.ts';
import { columnsOf, text } from './statement.ts';

/** A call and its room deletion as SQLite returns them. */
type Row = Omit<Call, 'metadata' | 'roster'> & {
  readonly metadataJson: string;
  readonly rosterJson: string | null;
  readonly deletionJson: string | null;
};

const statements = preparePerConnection((db) => {
  const deletion = db
    .select({ json: toJsonObject(getTableColumns(roomDeletions)) })
    .from(roomDeletions)
    .where(eq(roomDeletions.callId, calls.id));
  const fields = {
    ...columnsOf(calls, ['isScheduled', 'hasUnansweredPhone', 'metadata', 'roster']),
    metadataJson: sql`${calls.metadata}`.as('metadataJson'),
    rosterJson: sql`${calls.roster}`.as('rosterJson'),
    deletionJson: sql`${deletion}`.as('deletionJson'),
  };
  const call = db
    .select(fields)
    .from(calls)
    .where(eq(calls.id, text('id')));
  const keyAndCall = db
    .select({ ...API_KEY, ...fields })
    .from(apiKeys)
    .innerJoin(organizations, eq(organizations.id, apiKeys.organizationId))
    .innerJoin(calls, eq(calls.id, text('id')))
    .where(eq(apiKeys.hash, text('hash')));
  return {
    call: db.$client.prepare<[id: string], Row>(call.toSQL().sql),
    keyAndCall: db.$client.prepare<[id: string, keyHash: string], ApiKeyRow & Row>(keyAndCall.toSQL().sql),
  };
});

/** Returns an expression of one JSON object with these fields. */
function toJsonObject(fields: Record<string, SQLiteColumn>): SQL {
  const pairs = Object.entries(fields).map(([name, column]) => sql`${sql.raw(`'${name}'`)}, ${column}`);
  return sql`json_object(${sql.join(pairs, sql`, `)})`;
}

export function findCall(db: Database, id: string): CallRecord | null {
  const row = statements(db).call.get(id);
  return row === undefined ? null : toRecord(row);
}

export function findKeyAndCall(
  db: Database,
  { keyHash, callId }: { keyHash: string; callId: string },
): { apiKey: ApiKey | null; record: CallRecord | null } {
  // One statement, because each statement opens a read transaction of its own.
  const row = statements(db).keyAndCall.get(callId, keyHash);
  if (row === undefined) return { apiKey: findApiKey(db, keyHash), record: findCall(db, callId) };
  return { apiKey: toApiKeyOfRow(row), record: toRecord(row) };
}

function toRecord(row: Row): CallRecord {
  return { call: toCall(row), deletion: parseOrNull<RoomDeletion>(row.deletionJson) };
}

/** Names each field, because a copy of an object with so many fields takes as long as reading them. */
function toCall(row: Row): Call {
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
    roster: parseOrNull<Roster>(row.rosterJson),
    reviewAt: row.reviewAt,
    adoptedPrefix: row.adoptedPrefix,
    jobId: row.jobId,
    sipParticipantId: row.sipParticipantId,
    metadata: JSON.parse(row.metadataJson) as Call['metadata'],
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

function parseOrNull<Value>(json: string | null): Value | null {
  return json === null ? null : (JSON.parse(json) as Value);
}
