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

function parseRow({ metadataJson, rosterJson, deletionJson, keyJson, ...columns }: Row): {
  apiKey: ApiKey | null;
  record: CallRecord;
} {
  // Added to the object, because a copy of so many fields takes as long as reading them.
  const call = Object.assign(columns, {
    metadata: JSON.parse(metadataJson) as Call['metadata'],
    roster: parseOrNull<Roster>(rosterJson),
  });
  const record = { call, deletion: parseOrNull<RoomDeletion>(deletionJson) };
  return { apiKey: keyJson === null ? null : parseApiKey(keyJson), record };
}

function parseOrNull<Value>(json: string | null): Value | null {
  return json === null ? null : (JSON.parse(json) as Value);
}
