import { callId, eventId, roomSid } from './names.ts';

/*
 * The events of a call: its room starts, its agent and its phone join, its room finishes. The load sends one event of
 * each call of a block, then the next event of each, so that the events of one call are never in flight together.
 */

const EVENTS = ['room_started', 'agent_joined', 'phone_joined', 'room_finished'] as const;
export const EVENTS_PER_CALL = EVENTS.length;
const BLOCK = 256;

/** The call, and its event, that the load sends as number `index`. */
export function placeOf(index: number): { call: number; step: number } {
  const inBlock = index % (BLOCK * EVENTS_PER_CALL);
  const block = Math.floor(index / (BLOCK * EVENTS_PER_CALL));
  return { call: block * BLOCK + (inBlock % BLOCK), step: Math.floor(inBlock / BLOCK) };
}

/** How many calls have received their last event after `count` events. */
export function countFinished(count: number): number {
  const blocks = Math.floor(count / (BLOCK * EVENTS_PER_CALL));
  const inBlock = count % (BLOCK * EVENTS_PER_CALL);
  return blocks * BLOCK + Math.max(0, inBlock - BLOCK * (EVENTS_PER_CALL - 1));
}

/** LiveKit's JSON of the event with this number. */
export function eventOf(prefix: string, index: number, startedAtMs: number): object {
  const { call, step } = placeOf(index);
  return makeEvent(prefix, { call, step, id: eventId(index), startedAtMs });
}

export function makeEvent(
  prefix: string,
  { call, step, id, startedAtMs }: { call: number; step: number; id: string; startedAtMs: number },
): object {
  const name = EVENTS[step];
  const createdAt = String(Math.floor(startedAtMs / 1_000));
  const room = {
    sid: roomSid(call),
    name: callId(prefix, call),
    emptyTimeout: 300,
    departureTimeout: 20,
    creationTime: createdAt,
    creationTimeMs: String(startedAtMs),
    enabledCodecs: ['audio/opus', 'video/vp8', 'video/h264'].map((mime) => ({ mime })),
  };
  const permission = { canSubscribe: true, canPublish: true, canPublishData: true };
  const participant = { state: 'ACTIVE', joinedAt: createdAt, permission };
  switch (name) {
    case 'agent_joined':
      return {
        event: 'participant_joined',
        ...{ room, id, createdAt },
        participant: { ...participant, sid: `PA_agent${call}`, identity: `agent-${call}`, kind: 'AGENT' },
      };
    case 'phone_joined':
      return {
        event: 'participant_joined',
        ...{ room, id, createdAt },
        participant: {
          ...participant,
          sid: `PA_phone${call}`,
          identity: `sip_${call}`,
          kind: 'SIP',
          attributes: {
            'sip.callStatus': 'active',
            'sip.callID': `SCL_${call}`,
            'sip.phoneNumber': '+15550000001',
          },
        },
      };
    default:
      return { event: name, room, id, createdAt };
  }
}
