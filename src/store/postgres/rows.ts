import { SCOPES, type Scope } from '../../domain/api-key.ts';
import type { Call } from '../../domain/call.ts';
import type { RoomDeletion } from '../../domain/room-deletion.ts';
import { calls, roomDeletions } from './schema.ts';
import { columnsOf } from './session.ts';

/** The columns of a {@link Call}. The other columns are for indexes. */
export const CALL = columnsOf(calls, ['scheduledOrder', 'hasUnansweredPhone']);
/** The columns of a {@link RoomDeletion}. */
export const DELETION = columnsOf(roomDeletions);

/** Drops unknown scopes, which a newer version may have written. */
export function knownScopes(scopes: readonly string[]): readonly Scope[] {
  return SCOPES.filter((scope) => scopes.includes(scope));
}
