import type { CallStatus, Hangup, Subscription } from '@hangup/client';
import type { JobContext } from '@livekit/agents';
import { RoomEvent } from '@livekit/rtc-node';

export interface CallServices {
  readonly hangup: Hangup;
  /** Resolves when the phone is answered. Rejects if the phone is busy, does not answer, or is disconnected. */
  dial(roomName: string, phoneNumber: string): Promise<void>;
  /** Resolves when the agent listens and speaks. */
  startConversation(ctx: JobContext): Promise<void>;
}

/** hangup stores this id with each call: `hangup stop --agent outbound-caller` cancels all calls of this agent. */
export const AGENT_ID = 'outbound-caller';

const ENDED: readonly (CallStatus | null)[] = ['completed', 'failed', 'cancelled', 'no_answer', 'busy'];

/**
 * Registers and places the call of a job. The job ends when the call ends, for example because somebody cancels the call.
 * @throws if hangup does not register the call. The phone is then not dialed.
 */
export async function runCall(ctx: JobContext, services: CallServices): Promise<void> {
  const { hangup, dial, startConversation } = services;
  const roomName = ctx.job.room?.name ?? '';
  const phoneNumber = readPhoneNumber(ctx.job.metadata);
  // From here, hangup can cancel the call. If a hold matches the call, hangup refuses with 409.
  const { id: callId } = await hangup.calls.create(
    { agentId: AGENT_ID, roomName, phoneNumber, jobId: ctx.job.id },
    { idempotencyKey: ctx.job.id },
  );
  const events = hangup.events.subscribe({ callId }, { lastEventId: '0' });
  ctx.addShutdownCallback(async () => events.close());
  const end = Promise.race([readEnd(hangup, callId, events), waitForRoomEnd(ctx)]);

  const place = async (): Promise<string> => {
    await ctx.connect();
    // Somebody may have cancelled the call since its registration.
    const { status, endedAt } = await hangup.calls.get(callId);
    if (endedAt !== null) return `the call is ${status}`;
    try {
      await dial(roomName, phoneNumber);
    } catch (error) {
      return `the phone did not answer: ${error}`;
    }
    await startConversation(ctx);
    return end;
  };
  ctx.shutdown(await Promise.race([end, place()]));
}

/** Returns the end of the call on record. Continues through outages of hangup. */
async function readEnd(hangup: Hangup, callId: string, events: Subscription): Promise<string> {
  for await (const event of events) {
    if (event.type === 'call.status_changed' && ENDED.includes(event.to)) return `the call is ${event.to}`;
    // Earlier events are missing.
    if (event.type === 'reset') {
      const { status, endedAt } = await hangup.calls.get(callId);
      if (endedAt !== null) return `the call is ${status}`;
    }
  }
  return 'the job has ended';
}

/** hangup cancels a call by the deletion of its room, which ends the job even while hangup is unreachable. */
function waitForRoomEnd(ctx: JobContext): Promise<string> {
  return new Promise((resolve) => {
    ctx.room.once(RoomEvent.Disconnected, () => resolve('the room is closed'));
  });
}

/** Returns the number in the metadata of the dispatch: {"phoneNumber": "+15551234567"}. */
function readPhoneNumber(metadata: string): string {
  const { phoneNumber }: { phoneNumber?: unknown } = JSON.parse(metadata || '{}');
  if (typeof phoneNumber !== 'string' || phoneNumber === '') {
    throw new Error('the metadata of the job has no phoneNumber');
  }
  return phoneNumber;
}
