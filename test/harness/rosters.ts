import type { EventPolicy } from '../../src/domain/assess-call.ts';
import { type Call, newCall } from '../../src/domain/call.ts';
import { applyRoomEvent, carryOut } from '../../src/domain/call-transition.ts';
import type { EventParticipant, PhoneAttributes, Role, RoomSign } from '../../src/domain/room-event.ts';
import type { Roster } from '../../src/domain/roster.ts';

/* Calls by short scripts: seconds, and the sign that arrives then. */

export const POLICY: EventPolicy = {
  agentLeftGraceMs: 30_000,
  connectionLostGraceMs: 25_000,
  guardMs: 86_400_000,
};

/** Milliseconds of a second of a script. */
export const at = (seconds: number): number => 1_000_000 + seconds * 1_000;

const participant = (role: Role, identity: string, sid = `PA_${identity}`): EventParticipant => ({
  sid,
  identity,
  role,
  joinedAt: null,
  phone: null,
});
export const AGENT = participant('agent', 'agent');
export const PERSON = participant('person', 'person');
export const OTHER_PERSON = participant('person', 'other');
export const RECORDER = participant('recorder', 'recorder');
export const STREAM = participant('other', 'stream');

/** The same identity, by another connection. */
export const again = <T extends EventParticipant>(one: T): T => ({ ...one, sid: `${one.sid}_again` });

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
export const outbound = (parts: Partial<PhoneAttributes> = {}, identity = 'phone'): EventParticipant => ({
  ...participant('phone', identity),
  phone: { ...SIP, callId: `SCL_${identity}`, ...parts },
});
export const inbound = (parts: Partial<PhoneAttributes> = {}, identity = 'caller'): EventParticipant =>
  outbound({ callStatus: 'ringing', callTag: 'tag', ruleId: 'SDR_1', ...parts }, identity);
export const ANSWERED = { callStatus: 'active', callTag: 'tag' } as const;
export const connector = (): EventParticipant =>
  outbound({ via: 'connector', callStatus: null, callId: null, phoneNumber: null }, 'whatsapp');

export const joined = (one: EventParticipant): RoomSign => ({ kind: 'participant_joined', participant: one });
export const left = (one: EventParticipant, reason = 'CLIENT_INITIATED'): RoomSign => ({
  kind: 'participant_left',
  participant: one,
  reason,
});
export const aborted = (one: EventParticipant, reason = 'JOIN_FAILURE'): RoomSign => ({
  kind: 'participant_connection_aborted',
  participant: one,
  reason,
});
export const audio = ({ sid }: EventParticipant): RoomSign => ({
  kind: 'audio_published',
  participantSid: sid,
});
export const STARTED: RoomSign = { kind: 'room_started' };
export const FINISHED: RoomSign = { kind: 'room_finished' };

export type Script = readonly (readonly [seconds: number, sign: RoomSign])[];

/** The call after webhooks that arrive in time. Participants joined when their join arrives. */
export function callAfter(script: Script, parts: Partial<Call> = {}): Call & { readonly roster: Roster } {
  let call = newCall({ id: 'c', organizationId: 'o', roomName: 'room', createdAt: at(-10), ...parts });
  for (const [i, [seconds, sign]] of script.entries()) {
    const now = at(seconds);
    const event = {
      id: `EV_${i}`,
      at: now,
      room: { name: 'room', sid: 'RM_1', createdAt: at(0), metadata: '' },
      sign:
        sign.kind === 'participant_joined'
          ? { ...sign, participant: { ...sign.participant, joinedAt: now } }
          : sign,
    };
    const applied = applyRoomEvent(call, event, { policy: POLICY, now, isAdoptable: false });
    call = carryOut(call, applied, now);
  }
  if (call.roster === null) throw new Error('the script is empty');
  return { ...call, roster: call.roster };
}
