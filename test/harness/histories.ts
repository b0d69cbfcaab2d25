import fc from 'fast-check';
import {
  applyRoomEvent,
  carryOut,
  type Decision,
  type EventPolicy,
  type Grace,
  settleGrace,
} from '../../src/domain/apply-room-event.ts';
import { type Call, type EndedStatus, isLive, newCall } from '../../src/domain/call.ts';
import type {
  EventParticipant,
  PhoneAttributes,
  Role,
  RoomEvent,
  RoomSign,
} from '../../src/domain/room-event.ts';

/*
 * A small model of LiveKit: what it can tell of a room, and how a person who was told that would say the call ended.
 * The endings are written down here story by story; nothing of src decides them.
 */

export const POLICY: EventPolicy = {
  agentLeftGraceMs: 30_000,
  connectionLostGraceMs: 25_000,
  guardMs: 86_400_000,
};
/** How long after the last event a room that is gone is found absent: behind every grace. */
const ABSENT_AFTER_MS = 60_000;
const LONGEST_GAP_MS = 70_000;

export interface Ending {
  readonly status: EndedStatus;
  readonly failureReason: string | null;
}

/** When a step was told; null when it never was. */
export type ToldAt = (label: string) => number | null;

export interface Step {
  /** Names it in its story. */
  readonly label: string;
  readonly atMs: number;
  readonly sign: RoomSign;
}

/** One life of a room, in LiveKit's order. */
export interface Story {
  readonly steps: readonly Step[];
  /** How the call ends when of this story so much was told, then, and the room was absent afterwards. */
  readonly endOf: (toldAt: ToldAt) => Ending;
}

/** Of one identity, the second came later. */
const joinedAt = (sid: string): number => (sid.endsWith('_2') ? 2 : 1);

const person = (role: Role, identity: string, sid = `PA_${identity}`): EventParticipant => ({
  sid,
  identity,
  role,
  phone: null,
  joinedAt: joinedAt(sid),
});
export const AGENT = person('agent', 'agent');
export const AGENT_BACK = person('agent', 'agent', 'PA_agent_2');
export const HUMAN = person('human', 'human');
export const HUMAN_BACK = person('human', 'human', 'PA_human_2');

export const phone = (parts: Partial<PhoneAttributes>, sid = 'PA_phone'): EventParticipant => ({
  sid,
  identity: 'sip_+15557770001',
  role: 'phone',
  joinedAt: joinedAt(sid),
  phone: {
    callStatus: 'dialing',
    callTag: null,
    callId: 'SCL_1',
    phoneNumber: '+15557770001',
    trunkPhoneNumber: '+15550002',
    trunkId: 'ST_1',
    ruleId: null,
    ...parts,
  },
});
/** livekit-sip gives an inbound phone its tag at once, answered or not. */
export const inboundPhone = (callStatus: string, sid = 'PA_phone') =>
  phone({ callStatus, callTag: 'tag', ruleId: 'SDR_1' }, sid);

export const started: RoomSign = { kind: 'room_started' };
export const finished: RoomSign = { kind: 'room_finished' };
export const joined = (participant: EventParticipant): RoomSign => ({
  kind: 'participant_joined',
  participant,
});
export const left = (participant: EventParticipant, reason: string): RoomSign => ({
  kind: 'participant_left',
  participant,
  reason,
});
export const audio = ({ sid }: EventParticipant): RoomSign => ({
  kind: 'audio_published',
  participantSid: sid,
});

const HUNG_UP = ['CLIENT_INITIATED', 'ROOM_DELETED', 'PARTICIPANT_REMOVED', 'ROOM_CLOSED'];
const BROKEN = [
  'SERVER_SHUTDOWN',
  'SIGNAL_CLOSE',
  'CONNECTION_TIMEOUT',
  'STATE_MISMATCH',
  'MEDIA_FAILURE',
  'JOIN_FAILURE',
];
const isBroken = (reason: string) => BROKEN.includes(reason);

const COMPLETED: Ending = { status: 'completed', failureReason: null };
const AGENT_LEFT: Ending = { status: 'completed', failureReason: 'AGENT_LEFT' };
/** The row of room_finished, which is also what was last known of a call whose end was lost. */
function finishedWhen(was: 'connecting' | 'ringing' | 'active'): Ending {
  if (was === 'active') return COMPLETED;
  return { status: was === 'ringing' ? 'no_answer' : 'failed', failureReason: 'ROOM_FINISHED' };
}

/** [label, sign, time since the step before]; null leaves it out. */
type Line = readonly [label: string, sign: RoomSign, afterMs: number] | null;

function script(lines: readonly Line[]): Step[] {
  let atMs = 0;
  return lines
    .filter((line) => line !== null)
    .map(([label, sign, afterMs]) => {
      atMs += afterMs;
      return { label, atMs, sign };
    });
}

function aStory(lines: readonly Line[], endOf: (told: Told) => Ending): Story {
  const steps = script(lines);
  const story = { steps, endOf: (toldAt: ToldAt) => endOf(new Told(toldAt)) };
  // What fast-check prints of a counterexample.
  const text = steps.map(({ label, atMs, sign }) => {
    const reason = 'reason' in sign ? ` ${sign.reason}` : '';
    const status = 'participant' in sign ? (sign.participant.phone?.callStatus ?? '') : '';
    return `${atMs} ${label}${reason} ${status}`.trim();
  });
  return Object.assign(story, { [fc.toStringMethod]: () => `[${text.join(' | ')}]` });
}

class Told {
  private readonly at: ToldAt;
  constructor(at: ToldAt) {
    this.at = at;
  }

  has(label: string): boolean {
    return this.at(label) !== null;
  }

  /** Whether one was told before a grace was over that another began. */
  inTime(label: string, since: string, graceMs: number): boolean {
    const at = this.at(label);
    const from = this.at(since);
    return at !== null && from !== null && at < from + graceMs;
  }
}

const gap = fc.integer({ min: 0, max: LONGEST_GAP_MS });
const soon = fc.integer({ min: 0, max: 3_000 });
const maybe = fc.boolean();

/** How an outbound phone leaves, and the row of the table; null: the row of a broken connection. */
const OUTBOUND_ENDS: readonly {
  final: Partial<PhoneAttributes>;
  reason: string;
  end: Ending | null;
}[] = [
  // Answered: the tag is there.
  ...HUNG_UP.flatMap((reason) =>
    ['active', 'hangup'].map((callStatus) => ({
      final: { callStatus, callTag: 'tag' },
      reason,
      end: COMPLETED,
    })),
  ),
  ...[...BROKEN, 'SIP_TRUNK_FAILURE', 'USER_REJECTED', 'UNKNOWN_REASON'].map((reason) => ({
    final: { callStatus: 'active', callTag: 'tag' },
    reason,
    end: { status: 'completed', failureReason: reason } as const,
  })),
  // Not answered.
  ...(
    [
      ['ringing', 'USER_REJECTED', 'busy'],
      ['dialing', 'USER_REJECTED', 'failed'],
      ['ringing', 'USER_UNAVAILABLE', 'no_answer'],
      ['dialing', 'USER_UNAVAILABLE', 'failed'],
      ['ringing', 'CLIENT_INITIATED', 'failed'],
      ['dialing', 'CLIENT_INITIATED', 'failed'],
      ['ringing', 'ROOM_DELETED', 'cancelled'],
      ['dialing', 'ROOM_DELETED', 'cancelled'],
      ['ringing', 'PARTICIPANT_REMOVED', 'cancelled'],
      ['dialing', 'SIP_TRUNK_FAILURE', 'failed'],
      ['ringing', 'UNKNOWN_REASON', 'failed'],
    ] as const
  ).map(([callStatus, reason, status]) => ({
    final: { callStatus },
    reason,
    end: { status, failureReason: reason },
  })),
  ...BROKEN.map((reason) => ({ final: { callStatus: 'ringing' }, reason, end: null })),
];

/** The phone is believed to be on the line; so the agent's leaving leaves it alone, unless the room is gone soon. */
function whenAlone(told: Told, agentLeft: string, was: 'connecting' | 'ringing' | 'active'): Ending {
  const isAlone = told.has(agentLeft) && told.has('phone joined');
  return isAlone && !told.inTime('room finished', agentLeft, POLICY.agentLeftGraceMs)
    ? AGENT_LEFT
    : finishedWhen(was);
}

/** Where there is a phone, how it left is how the call ended, though the room is gone before its grace is over. */
const phoneBroken = (reason: string): Ending => ({ status: 'failed', failureReason: reason });

function whenBroken(told: Told, who: string, reason: string, was: 'connecting' | 'active'): Ending {
  if (told.inTime('room finished', who, POLICY.connectionLostGraceMs)) return finishedWhen(was);
  return { status: was === 'active' ? 'completed' : 'failed', failureReason: reason };
}

/** A phone is dialled, with an agent in the room or without, and perhaps with somebody who listens. */
const outbound: fc.Arbitrary<Story> = fc
  .record({
    hasAgent: maybe,
    hasListener: maybe,
    how: fc.constantFrom(...OUTBOUND_ENDS),
    talkMs: gap,
    agentStaysMs: soon,
    departureMs: gap,
  })
  .map(({ hasAgent, hasListener, how: { final, reason, end }, talkMs, agentStaysMs, departureMs }) =>
    aStory(
      [
        ['room started', started, 0],
        hasAgent ? ['agent joined', joined(AGENT), 200] : null,
        ['phone joined', joined(phone({ callStatus: 'dialing' })), 200],
        ['phone audio', audio(phone({})), 20],
        hasListener ? ['human joined', joined(HUMAN), 50] : null,
        hasListener ? ['human audio', audio(HUMAN), 50] : null,
        hasAgent ? ['agent audio', audio(AGENT), 100] : null,
        ['phone left', left(phone(final), reason), talkMs],
        hasAgent ? ['agent left', left(AGENT, 'ROOM_CLOSED'), agentStaysMs] : null,
        ['room finished', finished, departureMs],
      ],
      (told) => {
        // As long as no phone is known of, an agent and a human are a talk.
        const isTalk = told.has('agent joined') && told.has('human joined') && !told.has('phone joined');
        if (!told.has('phone left')) return whenAlone(told, 'agent left', isTalk ? 'active' : 'connecting');
        if (isTalk) return HUNG_UP.includes(reason) ? COMPLETED : { ...COMPLETED, failureReason: reason };
        return end ?? phoneBroken(reason);
      },
    ),
  );

/** CreateSIPParticipant twice with one identity: the first phone is put out by the second. */
const outboundTwice: fc.Arbitrary<Story> = fc
  .record({ how: fc.constantFrom(...OUTBOUND_ENDS), talkMs: gap, departureMs: gap })
  .map(({ how: { final, reason, end }, talkMs, departureMs }) => {
    const second = (parts: Partial<PhoneAttributes>) => phone(parts, 'PA_phone_2');
    return aStory(
      [
        ['room started', started, 0],
        ['first joined', joined(phone({})), 100],
        ['first audio', audio(phone({})), 20],
        ['first left', left(phone({ callStatus: 'ringing' }), 'DUPLICATE_IDENTITY'), 900],
        ['phone joined', joined(second({})), 10],
        ['phone audio', audio(second({})), 20],
        ['phone left', left(second(final), reason), talkMs],
        ['room finished', finished, departureMs],
      ],
      (told) => {
        if (!told.has('phone left')) return finishedWhen('connecting');
        return end ?? phoneBroken(reason);
      },
    );
  });

/** It could not even connect. */
const aborted: fc.Arbitrary<Story> = fc
  .record({ reason: fc.constantFrom(...BROKEN), isInbound: maybe })
  .map(({ reason, isInbound }) => {
    const participant = isInbound ? inboundPhone('ringing') : phone({});
    return aStory(
      [
        ['room started', started, 0],
        ['phone aborted', { kind: 'participant_connection_aborted', participant, reason }, 500],
        ['room finished', finished, 20_000],
      ],
      (told) =>
        told.has('phone aborted') ? { status: 'failed', failureReason: reason } : finishedWhen('connecting'),
    );
  });

function inboundEnd(told: Told, reason: string): Ending {
  const isActive = told.has('phone joined') && told.has('agent audio');
  if (isActive) return HUNG_UP.includes(reason) ? COMPLETED : { ...COMPLETED, failureReason: reason };
  if (isBroken(reason)) return phoneBroken(reason);
  const status = {
    CLIENT_INITIATED: 'no_answer',
    ROOM_DELETED: 'cancelled',
    PARTICIPANT_REMOVED: 'cancelled',
  };
  const words: ReadonlyMap<string, string> = new Map(Object.entries(status));
  const word = words.get(reason);
  return {
    status: word === 'no_answer' || word === 'cancelled' ? word : 'failed',
    failureReason: reason,
  };
}

function inboundWas(told: Told): 'connecting' | 'ringing' | 'active' {
  if (!told.has('phone joined')) return 'connecting';
  return told.has('agent audio') ? 'active' : 'ringing';
}

/** A phone comes in; an agent answers it or not; the phone leaves. */
const inbound: fc.Arbitrary<Story> = fc
  .record({
    isAnswered: maybe,
    reason: fc.constantFrom(...HUNG_UP.slice(0, 3), ...BROKEN, 'USER_REJECTED', 'USER_UNAVAILABLE'),
    ringMs: soon,
    talkMs: gap,
    agentStaysMs: soon,
    departureMs: gap,
  })
  .map(({ isAnswered, reason, ringMs, talkMs, agentStaysMs, departureMs }) =>
    aStory(
      [
        ['room started', started, 0],
        ['phone joined', joined(inboundPhone('ringing')), 30],
        ['phone audio', audio(inboundPhone('ringing')), 20],
        isAnswered ? ['agent joined', joined(AGENT), ringMs] : null,
        isAnswered ? ['agent audio', audio(AGENT), 30] : null,
        ['phone left', left(inboundPhone('hangup'), reason), talkMs],
        isAnswered ? ['agent left', left(AGENT, 'ROOM_CLOSED'), agentStaysMs] : null,
        ['room finished', finished, departureMs],
      ],
      (told) =>
        told.has('phone left') ? inboundEnd(told, reason) : whenAlone(told, 'agent left', inboundWas(told)),
    ),
  );

/** The agent leaves an inbound phone alone, and comes back or not, in time or not. */
const agentLeaves: fc.Arbitrary<Story> = fc
  .record({
    reason: fc.constantFrom('CLIENT_INITIATED', 'SIGNAL_CLOSE', 'CONNECTION_TIMEOUT', 'DUPLICATE_IDENTITY'),
    comesBack: maybe,
    talkMs: soon,
    awayMs: gap,
    restMs: gap,
    departureMs: gap,
  })
  .map(({ reason, comesBack, talkMs, awayMs, restMs, departureMs }) =>
    aStory(
      [
        ['room started', started, 0],
        ['phone joined', joined(inboundPhone('ringing')), 30],
        ['phone audio', audio(inboundPhone('ringing')), 20],
        ['agent joined', joined(AGENT), 300],
        ['agent audio', audio(AGENT), 30],
        ['agent left', left(AGENT, reason), talkMs],
        comesBack ? ['agent back', joined(AGENT_BACK), awayMs] : null,
        ['phone left', left(inboundPhone('hangup'), 'CLIENT_INITIATED'), restMs],
        ['room finished', finished, departureMs],
      ],
      (told) => {
        const knowsPhone = told.has('phone joined');
        const graceMs = knowsPhone ? POLICY.agentLeftGraceMs : POLICY.connectionLostGraceMs;
        const isWaiting =
          told.has('agent left') && (knowsPhone ? reason !== 'DUPLICATE_IDENTITY' : isBroken(reason));
        const isInTime = ['agent back', 'phone left', 'room finished'].some((label) =>
          told.inTime(label, 'agent left', graceMs),
        );
        if (isWaiting && !isInTime) {
          return knowsPhone ? AGENT_LEFT : { status: 'failed', failureReason: reason };
        }
        return told.has('phone left') ? inboundEnd(told, 'CLIENT_INITIATED') : finishedWhen(inboundWas(told));
      },
    ),
  );

/** A human and an agent talk; the human may leave, and come back. */
const web: fc.Arbitrary<Story> = fc
  .record({
    isAgentFirst: maybe,
    hasAgent: fc.integer({ min: 0, max: 4 }).map((n) => n > 0),
    reason: fc.constantFrom('CLIENT_INITIATED', 'DUPLICATE_IDENTITY', ...BROKEN),
    comesBack: maybe,
    leavesAgain: maybe,
    talkMs: gap,
    awayMs: gap,
    againMs: soon,
    restMs: gap,
    departureMs: gap,
  })
  .map(
    ({
      isAgentFirst,
      hasAgent,
      reason,
      comesBack,
      leavesAgain,
      talkMs,
      awayMs,
      againMs,
      restMs,
      departureMs,
    }) => {
      const agentJoins: Line = hasAgent ? ['agent joined', joined(AGENT), 500] : null;
      return aStory(
        [
          ['room started', started, 0],
          isAgentFirst ? agentJoins : null,
          ['human joined', joined(HUMAN), 400],
          isAgentFirst ? null : agentJoins,
          ['human audio', audio(HUMAN), 50],
          ['human left', left(HUMAN, reason), talkMs],
          comesBack ? ['human back', joined(HUMAN_BACK), awayMs] : null,
          comesBack && leavesAgain
            ? ['human left again', left(HUMAN_BACK, 'CLIENT_INITIATED'), againMs]
            : null,
          hasAgent ? ['agent left', left(AGENT, 'CLIENT_INITIATED'), restMs] : null,
          ['room finished', finished, departureMs],
        ],
        (told) => {
          const wasActive = told.has('agent joined') && told.has('human joined');
          const isBackInTime = told.inTime('human back', 'human left', POLICY.connectionLostGraceMs);
          if (told.has('human left') && isBroken(reason) && !isBackInTime) {
            return whenBroken(told, 'human left', reason, wasActive ? 'active' : 'connecting');
          }
          const isActive = wasActive || (told.has('agent joined') && told.has('human back'));
          return finishedWhen(isActive ? 'active' : 'connecting');
        },
      );
    },
  );

/** What LiveKit can tell of one life of a room. */
export const aHistory: fc.Arbitrary<Story> = fc.oneof(
  outbound,
  outboundTwice,
  aborted,
  inbound,
  agentLeaves,
  web,
);

/** One caller dials again while the first phone rings in the same room, and is answered or not. */
export const inboundTwice: fc.Arbitrary<Story> = fc
  .record({ isSecondFirst: maybe, isAnswered: maybe, hasAudio: maybe })
  .map(({ isSecondFirst, isAnswered, hasAudio }) => {
    const second = (callStatus: string) => inboundPhone(callStatus, 'PA_phone_2');
    const isPutOut: Line = ['first left', left(inboundPhone('hangup'), 'DUPLICATE_IDENTITY'), 10];
    return aStory(
      [
        ['room started', started, 0],
        ['first joined', joined(inboundPhone('ringing')), 30],
        hasAudio ? ['first audio', audio(inboundPhone('ringing')), 20] : null,
        isSecondFirst ? null : isPutOut,
        ['phone joined', joined(second('ringing')), 2_000],
        isSecondFirst ? isPutOut : null,
        ['phone audio', audio(second('ringing')), 20],
        isAnswered ? ['agent joined', joined(AGENT), 1_000] : null,
        isAnswered ? ['agent audio', audio(AGENT), 30] : null,
        ['phone left', left(second('hangup'), 'CLIENT_INITIATED'), 5_000],
        ['room finished', finished, 20_000],
      ],
      (told) => inboundEnd(told, 'CLIENT_INITIATED'),
    );
  });

/** The room moves to another node: it starts again there, with the same sid, and what follows is told by that node. */
export const aMove = (story: Story): fc.Arbitrary<{ story: Story; movedAt: number }> =>
  fc.integer({ min: 1, max: story.steps.length }).map((movedAt) => {
    const atMs = story.steps[movedAt - 1]?.atMs ?? 0;
    const steps = story.steps.toSpliced(movedAt, 0, { label: 'room moved', atMs, sign: started });
    return { story: { ...story, steps }, movedAt };
  });

/** One event on its way to us. */
export interface Telling {
  readonly event: RoomEvent;
  readonly arrivesAt: number;
}

/** Names a life of the room, and when it began. */
export interface Life {
  readonly sid: string;
  readonly createdAt: number;
  readonly roomName?: string;
}

export const FIRST_LIFE: Life = { sid: 'RM_1', createdAt: 10_000 };

/** The events of a story, each in time. */
export function eventsOf(
  { steps }: Pick<Story, 'steps'>,
  { sid, createdAt, roomName = 'room' }: Life = FIRST_LIFE,
): RoomEvent[] {
  return steps.map(({ label, atMs, sign }) => ({
    id: `EV ${roomName} ${sid} ${label}`,
    at: createdAt + atMs,
    // Events about tracks do not say when the room was made.
    room: {
      name: roomName,
      sid,
      createdAt: sign.kind === 'audio_published' ? null : createdAt,
      metadata: '',
    },
    sign,
  }));
}

export const inTime = (events: readonly RoomEvent[]): Telling[] =>
  events.map((event) => ({ event, arrivesAt: event.at }));

/** First in, first out: nothing arrives before what was sent earlier. */
export function late(events: readonly RoomEvent[], delaysMs: readonly number[]): Telling[] {
  let arrivesAt = 0;
  return events.map((event, i) => {
    arrivesAt = Math.max(arrivesAt, event.at + (delaysMs[i] ?? 0));
    return { event, arrivesAt };
  });
}

/** When each step of a story was told, first time. */
export function toldAt(tellings: readonly Telling[]): ToldAt {
  return (label) => tellings.find(({ event }) => event.id.endsWith(` ${label}`))?.arrivesAt ?? null;
}

/** What comparing rooms with calls will say of a room that is gone. */
export function absence(call: Pick<Call, 'roomName' | 'life'>, now: number): Telling {
  const room = {
    name: call.roomName,
    sid: call.life?.sid ?? 'RM_never_seen',
    createdAt: call.life?.createdAt ?? null,
    metadata: '',
  };
  return { event: { id: `absent ${call.roomName}`, at: now, room, sign: finished }, arrivesAt: now };
}

export const afterwards = (tellings: readonly Telling[]) =>
  Math.max(0, ...tellings.map(({ arrivesAt }) => arrivesAt)) + ABSENT_AFTER_MS;

/** What tells a call's graces apart: the key of the store's table. */
const keyOf = ({ kind, role }: Grace): string => `${kind} ${role}`;

/** What became of a call. */
export interface Fate {
  readonly call: Call;
  /** Each call that was on record, in order. */
  readonly versions: readonly Call[];
  readonly decisions: readonly Decision[];
  /** What ended it: an event's id, or the grace that was over. */
  readonly endedBy: string | null;
  readonly graces: readonly Grace[];
}

/** What the store does, in memory: each id once, graces settled when due, at last the room found absent. */
export function tell(tellings: readonly Telling[], { remembersIds = true, isFoundAbsent = true } = {}): Fate {
  let call = newCall({ id: 'c', organizationId: 'o', roomName: 'room', createdAt: 0 });
  let endedBy: string | null = null;
  const versions = [call];
  const decisions: Decision[] = [];
  const seen = new Set<string>();
  const graces = new Map<string, Grace>();

  const change = (next: Call, by: string) => {
    if (isLive(call.status) && !isLive(next.status)) endedBy = by;
    call = next;
    versions.push(call);
  };
  const settleUntil = (time: number) => {
    const due = [...graces.values()].filter(({ dueAt }) => dueAt <= time);
    for (const grace of due.toSorted((a, b) => a.dueAt - b.dueAt)) {
      graces.delete(keyOf(grace));
      const decision = settleGrace(call, grace);
      const at = grace.kind === 'agent_left' ? grace.dueAt : grace.since;
      if (decision.kind === 'end')
        change(carryOut(call, { decision, life: call.life, at }, grace.dueAt), grace.kind);
    }
  };
  const hear = ({ event, arrivesAt: now }: Telling) => {
    settleUntil(now);
    if (remembersIds && seen.has(event.id)) return;
    seen.add(event.id);
    const { cameBack, ...applied } = applyRoomEvent(call, event, { policy: POLICY, now });
    decisions.push(applied.decision);
    const wasLive = isLive(call.status);
    change(carryOut(call, applied, now), event.id);
    if (!wasLive) return;
    for (const grace of [...graces.values()]) {
      if (cameBack === 'everyone' || grace.role === cameBack) graces.delete(keyOf(grace));
    }
    if (applied.decision.kind === 'wait') graces.set(keyOf(applied.decision.grace), applied.decision.grace);
    if (applied.decision.kind === 'end') graces.clear();
  };

  for (const telling of tellings) hear(telling);
  if (isFoundAbsent) {
    const now = afterwards(tellings);
    settleUntil(now);
    hear(absence(call, now));
  }
  return { call, versions, decisions, endedBy, graces: [...graces.values()] };
}
