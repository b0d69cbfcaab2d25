import { isLive } from '../../domain/call.ts';
import type { LiveRoomStatus } from '../../ports/livekit.ts';
import type { CallRecord } from '../../ports/store.ts';
import type { Dependencies } from '../dependencies.ts';

export interface CallDetails extends CallRecord {
  /** The room of a live call in LiveKit; null for ended calls, and when LiveKit did not respond in time. */
  readonly liveRoomStatus: LiveRoomStatus | null;
}

export async function getCall(
  { rooms, readTimeoutMs }: Pick<Dependencies, 'rooms' | 'readTimeoutMs'>,
  record: CallRecord,
): Promise<CallDetails> {
  const { call } = record;
  if (!isLive(call.status)) return { ...record, liveRoomStatus: null };
  const options = { timeoutMs: readTimeoutMs, priority: 'read' } as const;
  const answer = await rooms.describeRoom(call.roomName, options);
  return { ...record, liveRoomStatus: answer.kind === 'described' ? answer.status : null };
}
