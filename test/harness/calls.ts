import { type Call, newCall } from '../../src/domain/call.ts';

/** Returns a new call with the given fields replaced. */
export function buildCall(parts: Partial<Call> & Pick<Call, 'id' | 'organizationId'>): Call {
  return newCall({ roomName: parts.id, createdAt: 1_000, ...parts });
}
