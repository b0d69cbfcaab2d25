import { eq } from 'drizzle-orm';
import type { CallRecord } from '../../ports/store.ts';
import type { Database } from './database.ts';
import { toCall, toDeletion } from './rows.ts';
import { calls, roomDeletions } from './schema.ts';

export function findCall(db: Database, id: string): CallRecord | null {
  const row = db
    .select()
    .from(calls)
    .leftJoin(roomDeletions, eq(roomDeletions.callId, calls.id))
    .where(eq(calls.id, id))
    .get();
  if (row === undefined) return null;
  return {
    call: toCall(row.calls),
    deletion: row.room_deletions === null ? null : toDeletion(row.room_deletions),
  };
}
