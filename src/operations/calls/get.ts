import { isLive } from '../../domain/call.ts';
import type { LiveRoomStatus } from '../../ports/livekit.ts';
import type { CallRecord } from '../../ports/store.ts';
import type { Dependencies } from '../dependencies.ts';

export interface CallDetails extends CallRecord {
  /** What LiveKit says of the room of a live call; null when it did not answer in time, and for ended calls. */
  readonly liveRoomStatus: LiveRoomStatus | null;
}

export async function getCall(
  { rooms, readTimeoutMs }: Pick<Dependencies, 'rooms' | 'readTimeoutMs'>,
  record: CallRecord,
): Promise<CallDetails> {
  const { call } = record;
  if (!isLive(call.status)) return { ...record, liveRoomStatus: null };
  const asking = { timeoutMs: readTimeoutMs, priority: 'read' } as const;
  const answer = await rooms.describeRoom(call.roomName, asking);
  return { ...record, liveRoomStatus: answer.kind === 'described' ? answer.status : null };
}
