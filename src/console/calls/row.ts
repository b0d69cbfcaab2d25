import { type Call, type CallStatus, isLive } from '../api/call.ts';
import type { LiveEvent } from '../api/trpc.ts';

/** The place of a call in the list. Its object stays the same while the list's order does. */
export interface RowRef {
  readonly id: string;
}

export interface Row {
  readonly call: Call;
  /** The room's deletion, if the event stream reported it. */
  readonly deletion: Extract<LiveEvent, { type: 'call.room_deletion' }> | null;
  /** When the call stopped matching the filter; null: it matches. Such a row stays for some seconds. */
  readonly leftAt: number | null;
  /** True after a change of status: the participants may be others now. */
  readonly isStale: boolean;
  /** The number of the event that changed the row last. A response to an earlier request has an older status. */
  readonly changedBy: number;
}

/** Returns the call with a later status. The room of an ended call has no participants. */
export function withStatus(call: Call, status: CallStatus): Call {
  const { room } = call;
  const isEnded = !isLive(status);
  return {
    ...call,
    status,
    outcome: isEnded ? status : null,
    ...(isEnded && room !== undefined && { room: { ...room, participants: [] } }),
  };
}
