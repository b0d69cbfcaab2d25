import { type Call, newCall } from '../../src/domain/call.ts';

/** A call as createCall would make it, with what a test says differently. */
export function buildCall(parts: Partial<Call> & Pick<Call, 'id' | 'organizationId'>): Call {
  return newCall({ roomName: parts.id, createdAt: 1_000, ...parts });
}
