import { randomUUID } from 'node:crypto';
import { newId } from './participant.ts';
import { type EmulatedParticipant, NO_WISHES, type RoomState } from './room-state.ts';

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

export interface ReceiveOptions extends PhoneOptions {
  /** The dispatch rule's; LiveKit puts an underscore behind it. */
  readonly prefix: string;
  readonly callerNumber: string;
  readonly calledNumber: string;
  /** From the rule's room configuration. */
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

/** An inbound call: it rings until another participant publishes audio. */
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

  return {
    ...phone(participant, roomName),
    ring() {
      if (isAnswered) throw new Error('the phone has been answered');
      participant.setAttributes({ 'sip.callStatus': 'ringing' });
    },
    answer() {
      isAnswered = true;
      participant.setAttributes({
        'sip.callIDFull': randomUUID(),
        'sip.callStatus': 'active',
        'sip.callTag': randomUUID(),
      });
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

/** As a dispatch rule of kind `individual` does with a call: a room of its own, and the phone ringing in it. */
export function receive(rooms: RoomState, options: ReceiveOptions): ReceivedPhone {
  const { prefix, callerNumber, calledNumber, activeAfterMs = 1_000 } = options;
  const { surroundings } = rooms;
  const roomName = newId(`${prefix}_${callerNumber}_`, surroundings);
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
  const { identity, sid, disconnected, setAttributes, leave } = participant;
  return { roomName, identity, sid, disconnected, setAttributes, leave };
}
