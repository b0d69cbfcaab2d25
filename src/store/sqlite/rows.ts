import { type ApiKey, SCOPES } from '../../domain/api-key.ts';
import type { Call } from '../../domain/call.ts';
import type { RoomDeletion } from '../../domain/room-deletion.ts';
import type { apiKeys, calls, roomDeletions } from './schema.ts';

export function toCall({
  scheduledOrder: _,
  hasUnansweredPhone: __,
  ...row
}: typeof calls.$inferSelect): Call {
  return row;
}

export function toDeletion(row: typeof roomDeletions.$inferSelect): RoomDeletion {
  return row;
}

export function toApiKey(
  { hash: _, scopes, ...row }: typeof apiKeys.$inferSelect,
  organizationName: string,
): ApiKey {
  // Drops unknown scopes, which a newer version may have written.
  return { ...row, organizationName, scopes: SCOPES.filter((scope) => scopes.includes(scope)) };
}
