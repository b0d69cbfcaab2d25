import { type Environment, newId, newUuid } from './environment.ts';
import { DEFAULT_ROOM_OPTIONS } from './room.ts';
import type { EmulatedParticipant, RoomState } from './room-state.ts';

/** A phone as a participant. Omitted values get defaults. */
interface PhoneOptions {
  readonly identity?: string;
  readonly name?: string;
  readonly metadata?: string;
  /** Additional attributes: from the trunk, the dispatch rule or the request. */
  readonly attributes?: Readonly<Record<string, string>>;
  /** The address of the SIP peer: the trunk of an outbound call, the caller of an inbound call. */
  readonly hostname?: string;
}

export interface OutboundCallOptions extends PhoneOptions {
  /** The called number. */
  readonly phoneNumber: string;
  readonly trunkPhoneNumber?: string;
  /** True by default. If false, the trunk refuses the connection, and the phone never publishes audio. */
  readonly isTrunkListening?: boolean;
}

/** Assigns a room to an inbound call (livekit_sip.proto, SIPDispatchRule); `individual` by default. */
export type DispatchRule =
  /** A separate room for each call: PREFIX_CALLER_RANDOM. */
  | { readonly rule?: 'individual'; readonly prefix: string }
  /** One room for all calls. */
  | { readonly rule: 'direct'; readonly roomName: string }
  /** One room for each called number: PREFIX_CALLED, or the number without a prefix. */
  | { readonly rule: 'callee'; readonly prefix?: string };

export type InboundCallOptions = InboundCallParties & DispatchRule;

interface InboundCallParties extends PhoneOptions {
  readonly callerNumber: string;
  readonly calledNumber: string;
  /** From the rule's room configuration. An existing room keeps its metadata. */
  readonly roomMetadata?: string;
  /** The delay between another participant's audio and the phone's status `active`; 1 s by default. */
  readonly activeAfterMs?: number;
}

interface PhoneCall extends Omit<EmulatedParticipant, 'publishAudio'> {
  readonly roomName: string;
}

/**
 * Controls an outbound call. LiveKit sends no webhook when the phone rings or is answered; both appear in the attributes
 * that GetParticipant returns. `leave(reason)` simulates faults of livekit-sip, such as CONNECTION_TIMEOUT.
 */
export interface OutboundCall extends PhoneCall {
  ring(): void;
  /** Answers the phone, and livekit-sip sends DTMF: status `automation` until `answer`. */
  startAutomation(): void;
  answer(): void;
  /** Only after the answer. */
  hangUp(): void;
  /** SIP status 486. This method and the methods below require an unanswered phone, ringing or not. */
  busy(): void;
  /** SIP status 603. */
  decline(): void;
  /** SIP status 480. */
  unavailable(): void;
  /** The ring timeout expires. */
  timeOut(): void;
  /** SIP status 503, or a refused connection. */
  unreachable(): void;
}

/** Controls an inbound call. The phone rings until another participant's audio is published in the room. */
export interface InboundCall extends PhoneCall {
  /** The caller hangs up, before the answer or after the answer. */
  hangUp(): void;
}

/** Calls a phone, as CreateSIPParticipant does: the phone joins and publishes audio before it rings. */
export function dialOut(rooms: RoomState, roomName: string, options: OutboundCallOptions): OutboundCall {
  const { environment } = rooms;
  const participant = rooms.join(roomName, {
    ...withDefaults(options, { identity: 'phone' }),
    kind: 'SIP',
    attributes: {
      ...options.attributes,
      'sip.callID': newId('SCL_', environment),
      'sip.callStatus': 'dialing',
      'sip.hostname': options.hostname ?? 'sip.example.com',
      'sip.phoneNumber': options.phoneNumber,
      'sip.trunkID': newId('ST_', environment),
      'sip.trunkPhoneNumber': options.trunkPhoneNumber ?? '+15550001',
    },
  });
  if (options.isTrunkListening !== false) participant.publishAudio();
  let isAnswered = false;

  function endBeforeAnswer(reason: string): void {
    if (isAnswered) throw new Error('the phone is already answered');
    participant.leave(reason);
  }

  function pickUp(callStatus: 'automation' | 'active'): void {
    isAnswered = true;
    participant.setAttributes({
      'sip.callIDFull': newUuid(environment),
      'sip.callStatus': callStatus,
      'sip.callTag': newUuid(environment),
    });
  }

  return {
    ...withoutAudio(participant, roomName),
    ring() {
      if (isAnswered) throw new Error('the phone is already answered');
      participant.setAttributes({ 'sip.callStatus': 'ringing' });
    },
    startAutomation() {
      if (isAnswered) throw new Error('the phone is already answered');
      pickUp('automation');
    },
    answer() {
      if (isAnswered) participant.setAttributes({ 'sip.callStatus': 'active' });
      else pickUp('active');
    },
    hangUp() {
      if (!isAnswered) throw new Error('the phone is not answered yet');
      hangUp(participant);
    },
    busy: () => endBeforeAnswer('USER_REJECTED'),
    decline: () => endBeforeAnswer('USER_REJECTED'),
    unavailable: () => endBeforeAnswer('USER_UNAVAILABLE'),
    timeOut: () => endBeforeAnswer('USER_UNAVAILABLE'),
    unreachable: () => endBeforeAnswer('CLIENT_INITIATED'),
  };
}

/** Returns the name of the room that a dispatch rule assigns to a call; for an individual rule, a new name each time. */
export function dispatchedRoomName(
  options: InboundCallOptions,
  environment: Pick<Environment, 'randomBytes'>,
): string {
  switch (options.rule) {
    case 'direct':
      return options.roomName;
    case 'callee':
      return options.prefix ? `${options.prefix}_${options.calledNumber}` : options.calledNumber;
    default:
      return newId(`${options.prefix}_${options.callerNumber}_`, environment);
  }
}

/** Receives a call, as livekit-sip does: the phone rings in the room that the dispatch rule assigns. */
export function receiveCall(
  rooms: RoomState,
  options: InboundCallOptions,
  roomName = dispatchedRoomName(options, rooms.environment),
): InboundCall {
  const { callerNumber, calledNumber, activeAfterMs = 1_000 } = options;
  const { environment } = rooms;
  const participantOptions = {
    ...withDefaults(options, { identity: `sip_${callerNumber}`, name: `Phone ${callerNumber}` }),
    kind: 'SIP' as const,
    attributes: {
      ...options.attributes,
      'sip.callID': newId('SCL_', environment),
      'sip.callIDFull': newUuid(environment),
      'sip.callStatus': 'ringing',
      'sip.callTag': newUuid(environment),
      'sip.hostname': options.hostname ?? 'sip.example.com',
      'sip.phoneNumber': callerNumber,
      'sip.ruleID': newId('SDR_', environment),
      'sip.trunkID': newId('ST_', environment),
      'sip.trunkPhoneNumber': calledNumber,
    },
  };
  rooms.createRoom({ ...DEFAULT_ROOM_OPTIONS, name: roomName, metadata: options.roomMetadata ?? '' });
  let isAnswered = false;
  const participant = rooms.join(roomName, participantOptions, () => {
    if (isAnswered) return;
    isAnswered = true;
    environment.setTimer(activeAfterMs, () => participant.setAttributes({ 'sip.callStatus': 'active' }));
  });
  participant.publishAudio();
  return { ...withoutAudio(participant, roomName), hangUp: () => hangUp(participant) };
}

function hangUp(participant: EmulatedParticipant): void {
  participant.setAttributes({ 'sip.callStatus': 'hangup' });
  participant.leave('CLIENT_INITIATED');
}

function withDefaults(
  { identity, name, metadata }: PhoneOptions,
  defaults: { identity: string; name?: string },
) {
  return { ...defaults, ...(identity && { identity }), ...(name && { name }), ...(metadata && { metadata }) };
}

function withoutAudio(participant: EmulatedParticipant, roomName: string): PhoneCall {
  const { publishAudio: _, ...phone } = participant;
  return { roomName, ...phone };
}
