import fc from 'fast-check';
import { expect, test } from 'vitest';
import { applyRoomEvent, carryOut, type Grace, settleGrace } from '../../src/domain/apply-room-event.ts';
import { type Call, isLive, LIVE_STATUSES, newCall } from '../../src/domain/call.ts';
import type { EventParticipant, RoomEvent, RoomSign } from '../../src/domain/room-event.ts';
import { REMEMBERED_PARTICIPANTS } from '../../src/domain/room-life.ts';

/* Properties of whole histories: as LiveKit can tell them, with events doubled, late or lost, and as it cannot. */

const POLICY = { agentLeftGraceMs: 30_000, connectionLostGraceMs: 25_000, guardMs: 86_400_000 };
const STEP_MS = 1_000;

const SIP = {
  callTag: null,
  callId: 'SCL',
  phoneNumber: '+1',
  trunkPhoneNumber: '+2',
  trunkId: 'ST',
  ruleId: null,
};
const agent: EventParticipant = {
  sid: 'PA_agent',
  identity: 'agent',
  role: 'agent',
  phone: null,
  joinedAt: null,
};
const human: EventParticipant = {
  sid: 'PA_human',
  identity: 'human',
  role: 'human',
  phone: null,
  joinedAt: null,
};
const phone = (parts: Partial<NonNullable<EventParticipant['phone']>>): EventParticipant => ({
  sid: 'PA_phone',
  identity: 'phone',
  role: 'phone',
  phone: { ...SIP, callStatus: 'dialing', ...parts },
  joinedAt: null,
});
const joined = (participant: EventParticipant): RoomSign => ({ kind: 'participant_joined', participant });
const left = (participant: EventParticipant, reason: string): RoomSign => ({
  kind: 'participant_left',
  participant,
  reason,
});
const audio = (participantSid: string): RoomSign => ({ kind: 'audio_published', participantSid });
const started: RoomSign = { kind: 'room_started' };
const finished: RoomSign = { kind: 'room_finished' };

const BROKEN = ['SIGNAL_CLOSE', 'CONNECTION_TIMEOUT', 'SERVER_SHUTDOWN'] as const;
const maybeAgent = fc.constantFrom<RoomSign[]>([], [joined(agent)]);

/** What LiveKit can tell of one life of a room, from its beginning to its end. */
const history: fc.Arbitrary<RoomSign[]> = fc.oneof(
  // A phone is dialled, and it ends in one of the ways that it can.
  fc
    .tuple(
      maybeAgent,
      fc.constantFrom('dialing', 'ringing', 'active'),
      fc.constantFrom('CLIENT_INITIATED', 'USER_REJECTED', 'USER_UNAVAILABLE', 'ROOM_DELETED', ...BROKEN),
      fc.boolean(),
    )
    .map(([others, callStatus, reason, wasAnswered]) => [
      started,
      ...others,
      joined(phone({ callStatus: 'dialing' })),
      audio('PA_phone'),
      left(phone({ callStatus, callTag: wasAnswered ? 'tag' : null }), reason),
      finished,
    ]),
  // A phone comes in; an agent answers it or not; either leaves first.
  fc
    .tuple(fc.boolean(), fc.boolean(), fc.constantFrom('CLIENT_INITIATED', 'ROOM_DELETED', ...BROKEN))
    .map(([isAnswered, agentLeavesFirst, reason]) => {
      const inbound = (callStatus: string) => phone({ callStatus, callTag: 'tag', ruleId: 'SDR' });
      return [
        started,
        joined(inbound('ringing')),
        audio('PA_phone'),
        ...(isAnswered ? [joined(agent), audio('PA_agent')] : []),
        ...(isAnswered && agentLeavesFirst ? [left(agent, 'CLIENT_INITIATED')] : []),
        left(inbound(isAnswered ? 'active' : 'ringing'), reason),
        ...(isAnswered && !agentLeavesFirst ? [left(agent, 'ROOM_CLOSED')] : []),
        finished,
      ];
    }),
  // People talk with an agent; some lose the connection and come back with another sid.
  fc
    .tuple(fc.boolean(), fc.boolean(), fc.constantFrom('CLIENT_INITIATED', 'DUPLICATE_IDENTITY', ...BROKEN))
    .map(([hasAgent, comesBack, reason]) => [
      started,
      joined(human),
      ...(hasAgent ? [joined(agent)] : []),
      left(human, reason),
      ...(comesBack ? [joined({ ...human, sid: 'PA_human_2' })] : []),
      finished,
    ]),
);

function toldAs(signs: readonly RoomSign[], sid = 'RM_1', createdAt = STEP_MS): RoomEvent[] {
  return signs.map((sign, i) => ({
    id: `EV_${sid}_${i}`,
    at: createdAt + i * STEP_MS,
    room: { name: 'room', sid, createdAt: sign.kind === 'audio_published' ? null : createdAt, metadata: '' },
    sign,
  }));
}

interface Told {
  readonly call: Call;
  /** Each call that was on record, in order. */
  readonly versions: readonly Call[];
}

/** What the store does with events, in memory: each id once, graces settled when they are due. */
function tell(events: readonly RoomEvent[], { delayMs = 0 } = {}): Told {
  let call = newCall({ id: 'c', organizationId: 'o', roomName: 'room', createdAt: 0 });
  const versions = [call];
  const seen = new Set<string>();
  const graces = new Map<Grace['kind'], Grace>();
  let now = 0;
  const settleUntil = (time: number) => {
    for (const grace of [...graces.values()].filter(({ dueAt }) => dueAt <= time)) {
      graces.delete(grace.kind);
      call = carryOut(
        call,
        { decision: settleGrace(call, grace), life: call.life, at: grace.since },
        grace.dueAt,
      );
      versions.push(call);
    }
  };
  for (const event of events) {
    now = Math.max(now, event.at + delayMs);
    settleUntil(now);
    if (seen.has(event.id)) continue;
    seen.add(event.id);
    const applied = applyRoomEvent(call, event, { policy: POLICY, now });
    call = carryOut(call, applied, now);
    versions.push(call);
    for (const grace of [...graces.values()]) {
      if (applied.cameBack === 'everyone' || grace.role === applied.cameBack) graces.delete(grace.kind);
    }
    if (applied.decision.kind === 'wait') graces.set(applied.decision.grace.kind, applied.decision.grace);
  }
  return { call, versions };
}

const outcomeOf = ({ status, failureReason, startedAt, answeredAt, direction, phoneNumber }: Call) => ({
  status,
  failureReason,
  startedAt,
  answeredAt,
  direction,
  phoneNumber,
});
const rank = ({ status }: Call) => (isLive(status) ? LIVE_STATUSES.indexOf(status) : LIVE_STATUSES.length);

function expectForwardOnly({ versions }: Told): void {
  versions.forEach((version, i) => {
    const before = versions[i - 1] ?? version;
    expect(rank(version)).toBeGreaterThanOrEqual(rank(before));
    expect(version.endedAt !== null).toBe(!isLive(version.status));
    if (!isLive(before.status)) expect(version).toEqual(before);
    for (const time of ['startedAt', 'answeredAt'] as const) {
      if (before[time] !== null) expect(version[time]).toBe(before[time]);
    }
    const times = [version.createdAt, version.startedAt, version.answeredAt, version.endedAt].filter(
      (time) => time !== null,
    );
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });
}

const RUNS = { numRuns: 2_000 };

test('told once and in time, every call ends, once', () => {
  fc.assert(
    fc.property(history, (signs) => {
      const told = tell(toldAs(signs));
      expect(isLive(told.call.status)).toBe(false);
      expectForwardOnly(told);
    }),
    RUNS,
  );
});

test('each event doubled, at once or later: the same call', () => {
  fc.assert(
    fc.property(history, fc.infiniteStream(fc.nat(3)), (signs, gaps) => {
      const events = toldAs(signs);
      const doubled = events.flatMap((event, i) => {
        const again = events[Math.max(0, i - (gaps.next().value ?? 0))];
        return again === undefined ? [event] : [event, again];
      });
      expect(tell(doubled).call).toEqual(tell(events).call);
    }),
    RUNS,
  );
});

test('told late, but in order: the same end', () => {
  fc.assert(
    fc.property(history, fc.integer({ min: 0, max: 600_000 }), (signs, delayMs) => {
      const events = toldAs(signs);
      expect(outcomeOf(tell(events, { delayMs }).call)).toEqual(outcomeOf(tell(events).call));
    }),
    RUNS,
  );
});

test('events lost, and the room absent afterwards: the call ends, in what was last known', () => {
  fc.assert(
    fc.property(history, fc.infiniteStream(fc.boolean()), (signs, isLost) => {
      const events = toldAs(signs);
      const rest = events.filter(() => isLost.next().value !== true);
      // What comparing rooms with calls says of a room that is gone.
      const gone: RoomEvent = {
        id: 'absent',
        at: 3_600_000,
        room: { name: 'room', sid: rest[0]?.room.sid ?? 'RM_1', createdAt: STEP_MS, metadata: '' },
        sign: finished,
      };
      const told = tell([...rest, gone]);
      expect(isLive(told.call.status)).toBe(false);
      expectForwardOnly(told);
      if (rest.length === events.length) expect(told.call).toEqual(tell(events).call);
    }),
    RUNS,
  );
});

test('an order that LiveKit cannot produce, of two lives mixed: never back, never revived, ended once', () => {
  fc.assert(
    fc.property(
      fc.tuple(history, history).chain(([one, two]) => {
        const events = [...toldAs(one, 'RM_1', 1_000), ...toldAs(two, 'RM_2', 50_000)];
        return fc.shuffledSubarray(events, { minLength: 1 });
      }),
      (events) => {
        const told = tell(events);
        expectForwardOnly(told);
        const { life } = told.call;
        const gone: RoomEvent = {
          id: 'absent',
          at: 7_200_000,
          room: { name: 'room', sid: life?.sid ?? 'RM_1', createdAt: life?.createdAt ?? null, metadata: '' },
          sign: finished,
        };
        const ended = tell([...events, gone]);
        expect(isLive(ended.call.status)).toBe(false);
        expectForwardOnly(ended);
      },
    ),
    RUNS,
  );
});

test('a room that moves to another node is the same life', () => {
  fc.assert(
    fc.property(history, fc.nat(10), (signs, where) => {
      const events = toldAs(signs);
      const at = Math.min(where, events.length - 1);
      const moved = { ...toldAs([started])[0], id: 'EV_moved', at: events[at]?.at ?? 0 } as RoomEvent;
      const told = tell(events.toSpliced(at, 0, moved));
      expect(outcomeOf(told.call)).toEqual(outcomeOf(tell(events).call));
    }),
    RUNS,
  );
});

test('what a call remembers of its room is bounded, whoever comes and goes', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(400), fc.boolean()), { minLength: 300, maxLength: 600 }),
      (moves) => {
        const signs = moves.map(([n, isJoining]) => {
          const person = { ...human, sid: `PA_${n}`, identity: `person ${n}` };
          return isJoining ? joined(person) : left(person, 'CLIENT_INITIATED');
        });
        const { call } = tell(toldAs([started, ...signs, joined(agent)]));
        expect(call.life?.participants.length).toBeLessThanOrEqual(REMEMBERED_PARTICIPANTS);
        expect(call.life?.participants.some(({ sid, isPresent }) => sid === 'PA_agent' && isPresent)).toBe(
          true,
        );
      },
    ),
    { numRuns: 50 },
  );
});

test('who has left is not brought back by a join that is told late, nor by an earlier life', () => {
  const inOrder = [started, joined(human), joined(agent), left(agent, 'CLIENT_INITIATED')];
  const late = [started, joined(human), left(agent, 'CLIENT_INITIATED'), joined(agent)];
  expect(tell(toldAs(inOrder)).call.life?.participants).toContainEqual(
    expect.objectContaining({ identity: 'agent', isPresent: false }),
  );
  expect(tell(toldAs(late)).call).toMatchObject({
    status: 'connecting',
    life: { participants: [{ identity: 'human' }, { identity: 'agent', isPresent: false }] },
  });
  const [begun, ...earlier] = toldAs(inOrder, 'RM_1', 1_000);
  const later = toldAs([started, joined(human)], 'RM_2', 50_000);
  const told = tell([...(begun === undefined ? [] : [begun]), ...later, ...earlier]);
  expect(told.call.life).toMatchObject({ sid: 'RM_2', participants: [{ identity: 'human' }] });
});
