import type { CallPolicy } from '../../src/domain/assess-call.ts';
import { type Call, newCall } from '../../src/domain/call.ts';
import { applyRoomEvent, applyTransition } from '../../src/domain/call-transition.ts';
import type { Participant, PhoneAttributes, Role, RoomEventPayload } from '../../src/domain/room-event.ts';
import type { Roster } from '../../src/domain/roster.ts';

/* Builds calls from short scripts: each step has the seconds and the payload of an event. */

export const POLICY: CallPolicy = {
  agentLeftGraceMs: 30_000,
  reconnectGraceMs: 25_000,
  recreatedRoomWindowMs: 86_400_000,
};

/** Returns the time of a script's second, in milliseconds. */
export const at = (seconds: number): number => 1_000_000 + seconds * 1_000;

const buildParticipant = (role: Role, identity: string, sid = `PA_${identity}`): Participant => ({
  sid,
  identity,
  role,
  joinedAt: null,
  phone: null,
});
export const AGENT = buildParticipant('agent', 'agent');
export const PERSON = buildParticipant('person', 'person');
export const OTHER_PERSON = buildParticipant('person', 'other');
export const RECORDER = buildParticipant('recorder', 'recorder');
export const STREAM = buildParticipant('other', 'stream');

/** Returns the participant after a reconnection: the same identity with another sid. */
export const reconnected = <T extends Participant>(participant: T): T => ({
  ...participant,
  sid: `${participant.sid}_again`,
});

const SIP: PhoneAttributes = {
  via: 'sip',
  callStatus: 'dialing',
  callTag: null,
  callId: null,
  phoneNumber: '+15557770001',
  trunkPhoneNumber: '+15550001',
  trunkId: 'ST_1',
  ruleId: null,
};
export const outbound = (parts: Partial<PhoneAttributes> = {}, identity = 'phone'): Participant => ({
  ...buildParticipant('phone', identity),
  phone: { ...SIP, callId: `SCL_${identity}`, ...parts },
});
export const inbound = (parts: Partial<PhoneAttributes> = {}, identity = 'caller'): Participant =>
  outbound({ callStatus: 'ringing', callTag: 'tag', ruleId: 'SDR_1', ...parts }, identity);
export const ANSWERED = { callStatus: 'active', callTag: 'tag' } as const;
export const connector = (): Participant =>
  outbound({ via: 'connector', callStatus: null, callId: null, phoneNumber: null }, 'whatsapp');

export const joined = (participant: Participant): RoomEventPayload => ({
  kind: 'participant_joined',
  participant,
});
export const left = (participant: Participant, reason = 'CLIENT_INITIATED'): RoomEventPayload => ({
  kind: 'participant_left',
  participant,
  reason,
});
export const aborted = (participant: Participant, reason = 'JOIN_FAILURE'): RoomEventPayload => ({
  kind: 'participant_connection_aborted',
  participant,
  reason,
});
export const audio = ({ sid }: Participant): RoomEventPayload => ({
  kind: 'audio_published',
  participantSid: sid,
});
export const STARTED: RoomEventPayload = { kind: 'room_started' };
export const FINISHED: RoomEventPayload = { kind: 'room_finished' };

export type Script = readonly (readonly [seconds: number, payload: RoomEventPayload])[];

/** Returns the call after webhooks that arrive at once. A participant joins at the time of the webhook. */
export function callAfter(script: Script, parts: Partial<Call> = {}): Call & { readonly roster: Roster } {
  let call = newCall({ id: 'c', organizationId: 'o', roomName: 'room', createdAt: at(-10), ...parts });
  for (const [i, [seconds, payload]] of script.entries()) {
    const now = at(seconds);
    const event = {
      id: `EV_${i}`,
      at: now,
      room: { name: 'room', sid: 'RM_1', createdAt: at(0), metadata: '' },
      payload:
        payload.kind === 'participant_joined'
          ? { ...payload, participant: { ...payload.participant, joinedAt: now } }
          : payload,
    };
    const applied = applyRoomEvent(call, event, { policy: POLICY, now, isAdoptable: false });
    call = applyTransition(call, applied, now);
  }
  if (call.roster === null) throw new Error('the script is empty');
  return { ...call, roster: call.roster };
}
