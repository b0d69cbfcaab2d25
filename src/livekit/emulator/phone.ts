import { randomUUID } from 'node:crypto';
import { newId } from './participant.ts';
import { type EmulatedParticipant, NO_WISHES, type RoomState } from './room-state.ts';
import type { Surroundings } from './surroundings.ts';

/** What a phone looks like to LiveKit's clients; what is left out is made up. */
interface PhoneOptions {
  readonly identity?: string;
  readonly name?: string;
  readonly metadata?: string;
  /** More attributes: the trunk's, the rule's or the request's own. */
  readonly attributes?: Readonly<Record<string, string>>;
  /** The address of the peer: the trunk's outbound, the caller's inbound. */
  readonly hostname?: string;
}

export interface DialOptions extends PhoneOptions {
  /** Who is called. */
  readonly phoneNumber: string;
  readonly trunkPhoneNumber?: string;
  /** True unless told: false when the connection to the trunk is refused, and no audio is ever published. */
  readonly isTrunkListening?: boolean;
}

/** Which room an incoming call gets (livekit_sip.proto, SIPDispatchRule); `individual` by default. */
export type DispatchRule =
  /** A room of its own: PREFIX_CALLER_RANDOM. */
  | { readonly rule?: 'individual'; readonly prefix: string }
  /** One room for all calls. */
  | { readonly rule: 'direct'; readonly roomName: string }
  /** One room for each called number: PREFIX_CALLED, or the number alone. */
  | { readonly rule: 'callee'; readonly prefix?: string };

export type ReceiveOptions = IncomingCall & DispatchRule;

interface IncomingCall extends PhoneOptions {
  readonly callerNumber: string;
  readonly calledNumber: string;
  /** From the rule's room configuration; a room that is there keeps its own. */
  readonly roomMetadata?: string;
  /** From somebody's audio in the room until the phone's own attributes say `active`; 1 s unless told. */
  readonly activeAfterMs?: number;
}

interface Phone extends Omit<EmulatedParticipant, 'publishAudio'> {
  readonly roomName: string;
}

/**
 * An outbound call as it unfolds. Only its beginning and its end send webhooks: ringing and the moment of answer
 * are seen by asking. `leave(reason)` is for what befalls livekit-sip itself, such as CONNECTION_TIMEOUT.
 */
export interface DialledPhone extends Phone {
  ring(): void;
  /** The phone is answered, and livekit-sip sends it DTMF: status `automation`, until `answer`. */
  automate(): void;
  answer(): void;
  /** After the answer. */
  hangUp(): void;
  /** 486. Like the ends below, before the answer, ringing or not. */
  busy(): void;
  /** 603. */
  decline(): void;
  /** 480. */
  unavailable(): void;
  /** The ring time-out is over. */
  timeOut(): void;
  /** 503, or a connection refused. */
  unreachable(): void;
}

/** An inbound call: it rings until another participant of the room publishes audio, or has done so. */
export interface ReceivedPhone extends Phone {
  /** The caller gives up while it rings, or hangs up after the answer. */
  hangUp(): void;
}

/** As CreateSIPParticipant: the phone is in the room, and heard there, before it rings. */
export function dial(rooms: RoomState, roomName: string, options: DialOptions): DialledPhone {
  const { surroundings } = rooms;
  const participant = rooms.join(roomName, {
    ...named(options, { identity: 'phone' }),
    kind: 'SIP',
    attributes: {
      ...options.attributes,
      'sip.callID': newId('SCL_', surroundings),
      'sip.callStatus': 'dialing',
      'sip.hostname': options.hostname ?? 'sip.example.com',
      'sip.phoneNumber': options.phoneNumber,
      'sip.trunkID': newId('ST_', surroundings),
      'sip.trunkPhoneNumber': options.trunkPhoneNumber ?? '+15550001',
    },
  });
  if (options.isTrunkListening !== false) participant.publishAudio();
  let isAnswered = false;

  function endBeforeAnswer(reason: string): void {
    if (isAnswered) throw new Error('the phone has been answered');
    participant.leave(reason);
  }

  function beAnswered(callStatus: 'automation' | 'active'): void {
    isAnswered = true;
    participant.setAttributes({
      'sip.callIDFull': randomUUID(),
      'sip.callStatus': callStatus,
      'sip.callTag': randomUUID(),
    });
  }

  return {
    ...phone(participant, roomName),
    ring() {
      if (isAnswered) throw new Error('the phone has been answered');
      participant.setAttributes({ 'sip.callStatus': 'ringing' });
    },
    automate() {
      if (isAnswered) throw new Error('the phone has been answered');
      beAnswered('automation');
    },
    answer() {
      if (isAnswered) participant.setAttributes({ 'sip.callStatus': 'active' });
      else beAnswered('active');
    },
    hangUp() {
      if (!isAnswered) throw new Error('the phone has not been answered');
      hangUp(participant);
    },
    busy: () => endBeforeAnswer('USER_REJECTED'),
    decline: () => endBeforeAnswer('USER_REJECTED'),
    unavailable: () => endBeforeAnswer('USER_UNAVAILABLE'),
    timeOut: () => endBeforeAnswer('USER_UNAVAILABLE'),
    unreachable: () => endBeforeAnswer('CLIENT_INITIATED'),
  };
}

/** The room that a dispatch rule gives to a call: for an individual rule another one each time. */
export function dispatchedRoomName(
  options: ReceiveOptions,
  surroundings: Pick<Surroundings, 'randomBytes'>,
): string {
  switch (options.rule) {
    case 'direct':
      return options.roomName;
    case 'callee':
      return options.prefix ? `${options.prefix}_${options.calledNumber}` : options.calledNumber;
    default:
      return newId(`${options.prefix}_${options.callerNumber}_`, surroundings);
  }
}

/** As livekit-sip receives a call: the phone rings in the room that its dispatch rule names. */
export function receive(
  rooms: RoomState,
  options: ReceiveOptions,
  roomName = dispatchedRoomName(options, rooms.surroundings),
): ReceivedPhone {
  const { callerNumber, calledNumber, activeAfterMs = 1_000 } = options;
  const { surroundings } = rooms;
  const joining = {
    ...named(options, { identity: `sip_${callerNumber}`, name: `Phone ${callerNumber}` }),
    kind: 'SIP' as const,
    attributes: {
      ...options.attributes,
      'sip.callID': newId('SCL_', surroundings),
      'sip.callIDFull': randomUUID(),
      'sip.callStatus': 'ringing',
      'sip.callTag': randomUUID(),
      'sip.hostname': options.hostname ?? 'sip.example.com',
      'sip.phoneNumber': callerNumber,
      'sip.ruleID': newId('SDR_', surroundings),
      'sip.trunkID': newId('ST_', surroundings),
      'sip.trunkPhoneNumber': calledNumber,
    },
  };
  rooms.create({ ...NO_WISHES, name: roomName, metadata: options.roomMetadata ?? '' });
  let isAnswered = false;
  const participant = rooms.join(roomName, joining, () => {
    if (isAnswered) return;
    isAnswered = true;
    surroundings.after(activeAfterMs, () => participant.setAttributes({ 'sip.callStatus': 'active' }));
  });
  participant.publishAudio();
  return { ...phone(participant, roomName), hangUp: () => hangUp(participant) };
}

function hangUp(participant: EmulatedParticipant): void {
  participant.setAttributes({ 'sip.callStatus': 'hangup' });
  participant.leave('CLIENT_INITIATED');
}

function named({ identity, name, metadata }: PhoneOptions, ours: { identity: string; name?: string }) {
  return { ...ours, ...(identity && { identity }), ...(name && { name }), ...(metadata && { metadata }) };
}

function phone(participant: EmulatedParticipant, roomName: string): Phone {
  const { publishAudio: _, ...hand } = participant;
  return { roomName, ...hand };
}
