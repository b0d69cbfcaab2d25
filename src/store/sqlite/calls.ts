import { eq, getTableColumns, type SQL, type SQLWrapper, sql } from 'drizzle-orm';
import type { ApiKey } from '../../domain/api-key.ts';
import type { Call } from '../../domain/call.ts';
import type { RoomDeletion } from '../../domain/room-deletion.ts';
import type { Roster } from '../../domain/roster.ts';
import type { CallRecord } from '../../ports/store.ts';
import { apiKeyQuery, findApiKey, parseApiKey } from './api-keys.ts';
import type { Database } from './database.ts';
import { nameFields, toJsonObject } from './field-names.ts';
import { preparePerConnection } from './prepare-per-connection.ts';
import { calls, roomDeletions } from './schema.ts';

/** A call, its room deletion and an API key as SQLite returns them. */
type Row = Omit<Call, 'metadata' | 'roster'> & {
  readonly metadataJson: string;
  readonly rosterJson: string | null;
  readonly deletionJson: string | null;
  readonly keyJson: string | null;
};

const statements = preparePerConnection((db) => {
  const { isScheduled: _, hasUnansweredPhone: __, metadata, roster, ...columns } = getTableColumns(calls);
  const deletion = db
    .select({ json: toJsonObject(getTableColumns(roomDeletions)) })
    .from(roomDeletions)
    .where(eq(roomDeletions.callId, calls.id));
  const fields = {
    ...nameFields(columns),
    metadataJson: sql`${metadata}`.as('metadataJson'),
    rosterJson: sql`${roster}`.as('rosterJson'),
    deletionJson: sql`${deletion}`.as('deletionJson'),
  };
  const query = (keyJson: SQL | SQLWrapper) =>
    db
      .select({ keyJson: sql`${keyJson}`.as('keyJson'), ...fields })
      .from(calls)
      .where(eq(calls.id, sql.placeholder('id')))
      .toSQL().sql;
  // One statement reads all rows from one snapshot. A join of these tables takes five times as long.
  return {
    call: db.$client.prepare<[id: string], Row>(query(sql`NULL`)),
    keyAndCall: db.$client.prepare<[keyHash: string, id: string], Row>(query(apiKeyQuery(db))),
  };
});

export function findCall(db: Database, id: string): CallRecord | null {
  const row = statements(db).call.get(id);
  return row === undefined ? null : parseRow(row).record;
}

export function findKeyAndCall(
  db: Database,
  { keyHash, callId }: { keyHash: string; callId: string },
): { apiKey: ApiKey | null; record: CallRecord | null } {
  const row = statements(db).keyAndCall.get(keyHash, callId);
  if (row === undefined) return { apiKey: findApiKey(db, keyHash), record: null };
  return parseRow(row);
}

function parseRow(row: Row): { apiKey: ApiKey | null; record: CallRecord } {
  return {
    apiKey: row.keyJson === null ? null : parseApiKey(row.keyJson),
    record: { call: toCall(row), deletion: parseOrNull<RoomDeletion>(row.deletionJson) },
  };
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
