import { getTableColumns } from 'drizzle-orm';
import type { RoomDeletion } from '../../domain/room-deletion.ts';
import { roomDeletions } from './schema.ts';
import { prepareSql, selectListOf } from './session.ts';

/** A deletion, with the organization of its call. */
export type DeletionRow = RoomDeletion & { readonly organizationId: string };

export const DELETION_LIST = selectListOf(getTableColumns(roomDeletions), 'deletions');

/** In the order of their ids: two transactions that lock the same deletions must not wait for each other. */
const LOCKED = 'ORDER BY deletions.call_id FOR UPDATE OF deletions';

/**
 * Returns statements for the deletions that match a condition: `lock` keeps other transactions from changing them until the
 * commit. A transaction that decides on a deletion locks its row first.
 */
export function deletionsWhere(condition: string) {
  const text = `
    SELECT ${DELETION_LIST}, calls.organization_id AS "organizationId"
    FROM room_deletions AS deletions JOIN calls ON calls.id = deletions.call_id WHERE ${condition}`;
  return { read: prepareSql<DeletionRow>(text), lock: prepareSql<DeletionRow>(`${text} ${LOCKED}`) };
}

export const deletionsOfCalls = deletionsWhere('deletions.call_id = ANY($1::text[])');
