import { type Call, type Direction, type EndedStatus, isLive, type LiveStatus, mayFollow } from './call.ts';
import type { EventParticipant, PhoneAttributes, Role, RoomEvent } from './room-event.ts';
import { beginLife, hasLeft, isAnswering, isPresent, type RoomLife, remember } from './room-life.ts';
import type { Timestamp } from './time.ts';

export interface EventPolicy {
  /** How long a phone may be alone after its agent left; 0: for ever. */
  readonly agentLeftGraceMs: number;
  /** How long somebody whose connection broke may stay away. LiveKit itself notices after about 20 s. */
  readonly connectionLostGraceMs: number;
  /** How long after its end a call's room is deleted when it shows life. */
  readonly guardMs: number;
}

/** What is waited for; of a call, at most one of each kind and role. */
export interface Grace {
  readonly kind: 'agent_left' | 'connection_lost';
  /** Whose coming back ends the waiting. */
  readonly role: Role;
  /** When it began: the time of the end, should it come to that. */
  readonly since: Timestamp;
  readonly dueAt: Timestamp;
  /** LiveKit's word. */
  readonly reason: string;
}

export type Decision =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'advance'; readonly to: LiveStatus }
  | EndDecision
  | { readonly kind: 'delete_room'; readonly why: string }
  | { readonly kind: 'wait'; readonly grace: Grace };

export interface EndDecision {
  readonly kind: 'end';
  readonly status: EndedStatus;
  readonly failureReason: string | null;
}

export interface Applied {
  readonly decision: Decision;
  /** The call's memory of its room after the event; the same object when that is unchanged. */
  readonly life: RoomLife | null;
  /** Whose graces are over: of a role that came back, or all of them, with the life of the room that they were of. */
  readonly cameBack: Role | 'everyone' | null;
  /** The event's time as the call's record may bear it. */
  readonly at: Timestamp;
}

export const NOTHING = { kind: 'nothing' } as const;
const COMPLETED = { kind: 'end', status: 'completed', failureReason: null } as const;

/** The table "from event to status": what a sign of life from LiveKit means for a call. */
export function applyRoomEvent(
  call: Call,
  event: RoomEvent,
  { policy, now }: { policy: EventPolicy; now: Timestamp },
): Applied {
  const at = timeOf(call, event.at, now);
  const unchanged = { life: call.life, cameBack: null, at };
  if (!isLive(call.status)) {
    return { decision: afterItsEnd(call, event, { policy, now }), ...unchanged };
  }
  const before = lifeOf(call, event);
  if (before === null) return { decision: NOTHING, ...unchanged };
  const life = remember(before, event);
  const decision = possible(call, decide(call, before, life, event, { policy, at, now }));
  const isNewLife = call.life !== null && call.life.sid !== life.sid;
  return { decision, life, cameBack: isNewLife ? 'everyone' : whoCameBack(life, event), at };
}

/** The call as it is on record once a decision is carried out. */
export function carryOut(
  call: Call,
  { decision, life, at }: Omit<Applied, 'cameBack'>,
  now: Timestamp,
): Call {
  if (!isLive(call.status)) return call;
  const phone = life?.phone ?? null;
  const told: Call = {
    ...call,
    life,
    roomId: life?.sid ?? call.roomId,
    startedAt:
      call.startedAt ?? (life === null ? null : Math.max(call.createdAt, Math.min(life.createdAt, at))),
    sipParticipantId: call.sipParticipantId ?? phone?.sid ?? null,
    phoneNumber: call.phoneNumber ?? phone?.phoneNumber ?? null,
    // Whoever registered a call knows which way it goes; of an adopted one only its phone can tell.
    direction: call.adoptedPrefix === null || phone === null ? call.direction : directionOf(phone),
    updatedAt: Math.max(call.updatedAt, now),
  };
  switch (decision.kind) {
    case 'advance':
      return {
        ...told,
        status: decision.to,
        answeredAt: decision.to === 'active' ? Math.max(at, told.startedAt ?? 0) : told.answeredAt,
      };
    case 'end':
      return {
        ...told,
        status: decision.status,
        endedAt: Math.max(at, told.startedAt ?? 0, told.answeredAt ?? 0),
        failureReason: decision.failureReason,
      };
    default:
      return told;
  }
}

/** A grace whose time has come: still alone, or still away? */
export function settleGrace(call: Call, grace: Grace): Decision {
  if (!isLive(call.status) || isPresent(call.life, grace.role)) return NOTHING;
  if (grace.kind === 'agent_left') {
    return isPresent(call.life, 'phone')
      ? { kind: 'end', status: 'completed', failureReason: 'AGENT_LEFT' }
      : NOTHING;
  }
  // Where there is a phone, the call is over when the phone's is.
  if (grace.role !== 'phone' && call.life !== null && call.life.phone !== null) return NOTHING;
  return {
    kind: 'end',
    status: call.status === 'active' ? 'completed' : 'failed',
    failureReason: grace.reason,
  };
}

function afterItsEnd(
  call: Call,
  { id, sign }: RoomEvent,
  { policy, now }: { policy: EventPolicy; now: Timestamp },
): Decision {
  const showsLife = sign.kind === 'room_started' || sign.kind === 'participant_joined';
  if (!showsLife || call.endedAt === null || now - call.endedAt > policy.guardMs) return NOTHING;
  return { kind: 'delete_room', why: `the room of an ended call shows life: ${sign.kind} ${id}` };
}

/** The life that the event is of; null when that is an earlier one. */
function lifeOf({ life }: Call, event: RoomEvent): RoomLife | null {
  const { room, sign } = event;
  if (life === null) return beginLife(event);
  if (life.sid === room.sid) return life;
  // A later life can only have begun when the earlier is over, whether or not that was told.
  const begins = sign.kind === 'room_started' || sign.kind === 'participant_joined';
  return begins && (room.createdAt ?? 0) > life.createdAt ? beginLife(event) : null;
}

/** LiveKit's clock is not ours, and its events have whole seconds: never before what is on record, never ahead. */
function timeOf(call: Call, at: Timestamp, now: Timestamp): Timestamp {
  return Math.max(Math.min(at, now), call.createdAt, call.startedAt ?? 0, call.answeredAt ?? 0);
}

/** Forward only. */
function possible(call: Call, decision: Decision): Decision {
  switch (decision.kind) {
    case 'advance':
      return mayFollow(call.status, decision.to) ? decision : NOTHING;
    case 'end':
      return mayFollow(call.status, decision.status) ? decision : NOTHING;
    default:
      return decision;
  }
}

function whoCameBack(life: RoomLife, { sign }: RoomEvent): Role | null {
  if (sign.kind !== 'participant_joined' && sign.kind !== 'participant_seen') return null;
  return isPresent(life, sign.participant.role) ? sign.participant.role : null;
}

interface Circumstances {
  readonly policy: EventPolicy;
  readonly at: Timestamp;
  readonly now: Timestamp;
}

function decide(
  call: Call,
  before: RoomLife,
  life: RoomLife,
  { sign }: RoomEvent,
  circumstances: Circumstances,
): Decision {
  switch (sign.kind) {
    case 'room_started':
      return { kind: 'advance', to: 'connecting' };
    case 'participant_joined':
    case 'participant_seen':
      return atLeastConnecting(call, joined(life, sign.participant));
    case 'audio_published':
      return atLeastConnecting(call, answered(life));
    case 'participant_left':
      return hasLeft(before, sign.participant.sid)
        ? NOTHING
        : left(call, life, sign.participant, sign.reason, circumstances);
    case 'participant_connection_aborted':
      return sign.participant.role === 'phone' &&
        !isPresent(life, 'phone') &&
        !hasLeft(before, sign.participant.sid)
        ? { kind: 'end', status: 'failed', failureReason: sign.reason }
        : NOTHING;
    case 'room_finished':
      return finished(call, life);
  }
}

/** Any sign of the room shows that it is there, also when its room_started was lost. */
function atLeastConnecting(call: Call, decision: Decision): Decision {
  return decision.kind === 'nothing' && call.status === 'initiated'
    ? { kind: 'advance', to: 'connecting' }
    : decision;
}

const isInbound = ({ phone }: RoomLife) => phone !== null && directionOf(phone) === 'inbound';

function directionOf({ ruleId }: PhoneAttributes): Direction {
  return ruleId === null ? 'outbound' : 'inbound';
}

function joined(life: RoomLife, { sid, role, phone }: EventParticipant): Decision {
  const isHere = life.participants.some((one) => one.sid === sid && one.isPresent);
  if (!isHere) return NOTHING;
  if (role === 'phone' && phone !== null) {
    switch (phone.callStatus) {
      case 'active':
        return { kind: 'advance', to: 'active' };
      case 'ringing':
        return isInbound(life) && isAnswering(life)
          ? { kind: 'advance', to: 'active' }
          : { kind: 'advance', to: 'ringing' };
      case 'dialing':
        return isInbound(life) ? NOTHING : { kind: 'advance', to: 'connecting' };
      default:
        return NOTHING;
    }
  }
  const isTalk = life.phone === null && isPresent(life, 'agent') && isPresent(life, 'human');
  return isTalk ? { kind: 'advance', to: 'active' } : NOTHING;
}

function answered(life: RoomLife): Decision {
  return isInbound(life) && isPresent(life, 'phone') && isAnswering(life)
    ? { kind: 'advance', to: 'active' }
    : NOTHING;
}

function left(
  call: Call,
  life: RoomLife,
  participant: EventParticipant,
  reason: string,
  circumstances: Circumstances,
): Decision {
  if (HERE_AGAIN.has(reason)) return NOTHING;
  if (participant.role === 'phone') {
    // Another phone is still on the line.
    if (isPresent(life, 'phone')) return NOTHING;
    return CONNECTION_LOST.has(reason) && !wasAnswered(call, life)
      ? waitForConnection('phone', reason, circumstances)
      : phoneEnd(call, life, reason);
  }
  if (participant.role === 'other' || isPresent(life, participant.role)) return NOTHING;
  if (life.phone !== null) {
    const isAlone = participant.role === 'agent' && isPresent(life, 'phone');
    return isAlone ? waitForAgent(reason, circumstances) : NOTHING;
  }
  return CONNECTION_LOST.has(reason) ? waitForConnection(participant.role, reason, circumstances) : NOTHING;
}

/** The same person is here again, or on the way to another node. */
const HERE_AGAIN: ReadonlySet<string> = new Set(['DUPLICATE_IDENTITY', 'MIGRATION']);

/** The connection broke; nobody decided anything. */
const CONNECTION_LOST: ReadonlySet<string> = new Set([
  'SERVER_SHUTDOWN',
  'SIGNAL_CLOSE',
  'CONNECTION_TIMEOUT',
  'STATE_MISMATCH',
  'MEDIA_FAILURE',
  'JOIN_FAILURE',
]);

/** How an answered call ends when all went well. */
const HUNG_UP: ReadonlySet<string> = new Set([
  'CLIENT_INITIATED',
  'ROOM_DELETED',
  'PARTICIPANT_REMOVED',
  'ROOM_CLOSED',
]);

function wasAnswered(call: Call, life: RoomLife): boolean {
  // Outbound, livekit-sip writes the tag when the phone is answered; inbound it is there from the first moment.
  return call.status === 'active' || (!isInbound(life) && life.phone?.callTag != null);
}

function phoneEnd(call: Call, life: RoomLife, reason: string): EndDecision {
  if (wasAnswered(call, life))
    return HUNG_UP.has(reason) ? COMPLETED : { ...COMPLETED, failureReason: reason };
  const hasRung = call.status === 'ringing' || life.phone?.callStatus === 'ringing';
  const status = unansweredEnd(reason, { inbound: isInbound(life), hasRung });
  return { kind: 'end', status, failureReason: reason };
}

function unansweredEnd(
  reason: string,
  { inbound, hasRung }: { inbound: boolean; hasRung: boolean },
): EndedStatus {
  switch (reason) {
    case 'ROOM_DELETED':
    case 'PARTICIPANT_REMOVED':
      return 'cancelled';
    case 'USER_REJECTED':
      return !inbound && hasRung ? 'busy' : 'failed';
    case 'USER_UNAVAILABLE':
      return !inbound && hasRung ? 'no_answer' : 'failed';
    case 'CLIENT_INITIATED':
      return inbound ? 'no_answer' : 'failed';
    default:
      return 'failed';
  }
}

/**
 * How a call ends of which no more will be told. The room is gone 20 s after the last one left it: how a phone left
 * says more than that, and its grace may still run.
 */
export function finished(call: Call, life: RoomLife | null): EndDecision {
  const reason = life?.phone?.disconnectReason ?? null;
  if (life !== null && reason !== null && !HERE_AGAIN.has(reason)) return phoneEnd(call, life, reason);
  if (call.status === 'active') return COMPLETED;
  const end = call.status === 'ringing' ? 'no_answer' : 'failed';
  return { kind: 'end', status: end, failureReason: 'ROOM_FINISHED' };
}

// A grace counts from now: what is told late is followed late by what would end it.
function waitForAgent(reason: string, { policy, at, now }: Circumstances): Decision {
  if (policy.agentLeftGraceMs === 0) return NOTHING;
  const dueAt = now + policy.agentLeftGraceMs;
  return { kind: 'wait', grace: { kind: 'agent_left', role: 'agent', since: at, dueAt, reason } };
}

function waitForConnection(role: Role, reason: string, { policy, at, now }: Circumstances): Decision {
  const dueAt = now + policy.connectionLostGraceMs;
  return { kind: 'wait', grace: { kind: 'connection_lost', role, since: at, dueAt, reason } };
}
