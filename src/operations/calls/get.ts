import { isLive } from '../../domain/call-status.ts';
import type { LiveRoomStatus } from '../../ports/livekit.ts';
import type { CallRecord } from '../../ports/store.ts';
import type { Dependencies } from '../dependencies.ts';

export interface CallDetails extends CallRecord {
  /** The room of a live call in LiveKit; null for ended calls, and when LiveKit did not respond in time. */
  readonly liveRoomStatus: LiveRoomStatus | null;
}

/** Returns a call's record, with LiveKit's state of the room if the call is live. */
export async function getCall(
  { rooms, readTimeoutMs }: Pick<Dependencies, 'rooms' | 'readTimeoutMs'>,
  record: CallRecord,
): Promise<CallDetails> {
  const { call } = record;
  if (!isLive(call.status)) return { ...record, liveRoomStatus: null };
  const options = { timeoutMs: readTimeoutMs, priority: 'read' } as const;
  const described = await rooms.describeRoom(call.roomName, options);
  return { ...record, liveRoomStatus: described.kind === 'described' ? described.status : null };
}
