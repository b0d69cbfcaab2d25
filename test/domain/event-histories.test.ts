import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Call, durationSeconds, isLive, LIVE_STATUSES } from '../../src/domain/call.ts';
import type { RoomSign } from '../../src/domain/room-event.ts';
import { REMEMBERED_AUDIO, REMEMBERED_PARTICIPANTS } from '../../src/domain/room-life.ts';
import {
  AGENT,
  AGENT_BACK,
  absence,
  aHistory,
  aMove,
  audio,
  eventsOf,
  type Fate,
  FIRST_LIFE,
  finished,
  HUMAN,
  HUMAN_BACK,
  inboundPhone,
  inboundTwice,
  inTime,
  joined,
  late,
  left,
  POLICY,
  phone,
  type Step,
  type Story,
  started,
  type Telling,
  tell,
  toldAt,
} from '../harness/histories.ts';

/* Properties of whole histories: as LiveKit can tell them, with events doubled, late or lost, and as it cannot. */

const RUNS = { numRuns: 1_000 };
const LATER_LIFE = { sid: 'RM_2', createdAt: 400_000 };

const script = (signs: readonly RoomSign[], everyMs = 1_000): { steps: Step[] } => ({
  steps: signs.map((sign, i) => ({ label: `step ${i}`, atMs: i * everyMs, sign })),
});
const endOf = ({ status, failureReason }: Call) => ({ status, failureReason });
const outcomeOf = ({ status, failureReason, startedAt, answeredAt, endedAt, direction }: Call) => ({
  status,
  failureReason,
  startedAt,
  answeredAt,
  endedAt,
  direction,
});
/** All but how late it was told. */
const untimed = ({ updatedAt: _, ...call }: Call) => call;
const rank = ({ status }: Call) => (isLive(status) ? LIVE_STATUSES.indexOf(status) : LIVE_STATUSES.length);

function expectForwardOnly({ versions }: Fate): void {
  versions.forEach((version, i) => {
    const before = versions[i - 1] ?? version;
    expect(rank(version)).toBeGreaterThanOrEqual(rank(before));
    expect(version.endedAt !== null).toBe(!isLive(version.status));
    if (!isLive(before.status)) expect(version).toBe(before);
    if (before.status === 'active') expect(['no_answer', 'busy']).not.toContain(version.status);
    for (const time of ['startedAt', 'answeredAt'] as const) {
      if (before[time] !== null) expect(version[time]).toBe(before[time]);
    }
    const times = [version.createdAt, version.startedAt, version.answeredAt, version.endedAt].filter(
      (time) => time !== null,
    );
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(version.updatedAt).toBeGreaterThanOrEqual(before.updatedAt);
    if (version.answeredAt === null) expect(durationSeconds(version)).toBeNull();
  });
}

function expectEnded(fate: Fate): void {
  expectForwardOnly(fate);
  expect(isLive(fate.call.status)).toBe(false);
  expect(fate.decisions.filter(({ kind }) => kind === 'end').length).toBeLessThanOrEqual(1);
  expect(fate.graces).toEqual([]);
}

const delays = (maxMs: number) =>
  fc.array(fc.integer({ min: 0, max: maxMs }), { minLength: 12, maxLength: 12 });
const losses = fc.array(fc.boolean(), { minLength: 12, maxLength: 12 });

describe('as LiveKit can tell it', () => {
  test('once and in time: the end that a person reading it would name, at its own time', () => {
    fc.assert(
      fc.property(aHistory, (story) => {
        const events = eventsOf(story);
        const tellings = inTime(events);
        const fate = tell(tellings);
        expectEnded(fate);
        expect(endOf(fate.call)).toEqual(story.endOf(toldAt(tellings)));
        const ending = events.find(({ id }) => id === fate.endedBy);
        if (ending !== undefined) expect(fate.call.endedAt).toBe(ending.at);
        expect(fate.call.startedAt).toBe(FIRST_LIFE.createdAt);
      }),
      RUNS,
    );
  });

  test('each event doubled, at once or much later: the same call', () => {
    fc.assert(
      fc.property(aHistory, delays(200_000), (story, again) => {
        const tellings = inTime(eventsOf(story));
        const doubles = tellings.map(({ event, arrivesAt }, i) => ({
          event,
          arrivesAt: arrivesAt + (again[i] ?? 0),
        }));
        // The sort is stable: what comes again comes behind the first time.
        const both = [...tellings, ...doubles].toSorted((a, b) => a.arrivesAt - b.arrivesAt);
        const once = tell(tellings).call;
        const fate = tell(both);
        expectEnded(fate);
        expect(untimed(fate.call)).toEqual(untimed(once));
        // An id is forgotten after 48 h; what it tells again has happened all the same.
        const forgetful = tell(both, { remembersIds: false });
        expectEnded(forgetful);
        expect(outcomeOf(forgetful.call)).toEqual(outcomeOf(once));
      }),
      RUNS,
    );
  });

  test('late, first in and first out: the same call, but for a grace that was over by then', () => {
    fc.assert(
      fc.property(aHistory, delays(100_000), (story, delaysMs) => {
        const events = eventsOf(story);
        const onTime = tell(inTime(events));
        const tellings = late(events, delaysMs);
        const fate = tell(tellings);
        expectEnded(fate);
        expect(endOf(fate.call)).toEqual(story.endOf(toldAt(tellings)));
        const waited = [onTime, fate].some(({ decisions }) => decisions.some(({ kind }) => kind === 'wait'));
        if (!waited) expect(untimed(fate.call)).toEqual(untimed(onTime.call));
      }),
      RUNS,
    );
  });

  test('all of it late by the same time: the same end, whatever waits', () => {
    fc.assert(
      fc.property(aHistory, fc.integer({ min: 0, max: 3_600_000 }), (story, delayMs) => {
        const events = eventsOf(story);
        const fate = tell(events.map((event) => ({ event, arrivesAt: event.at + delayMs })));
        const onTime = tell(inTime(events));
        expect(fate.endedBy).toBe(onTime.endedBy);
        // A phone left alone was on the line until the grace was over.
        const { endedAt, ...call } = untimed(onTime.call);
        const shift = fate.endedBy === 'agent_left' ? delayMs : 0;
        expect(untimed(fate.call)).toEqual({ ...call, endedAt: (endedAt ?? 0) + shift });
      }),
      RUNS,
    );
  });

  test('any of it lost or late, and the room absent afterwards: what was last known', () => {
    fc.assert(
      fc.property(aHistory, losses, delays(20_000), (story, isLost, delaysMs) => {
        const tellings = late(eventsOf(story), delaysMs).filter((_, i) => isLost[i] !== true);
        const fate = tell(tellings);
        expectEnded(fate);
        expect(endOf(fate.call)).toEqual(story.endOf(toldAt(tellings)));
      }),
      { numRuns: 2_000 },
    );
  });

  test('a room that moves to another node is the same life', () => {
    fc.assert(
      fc.property(
        aHistory.chain((story) => aMove(story)),
        ({ story, movedAt }) => {
          const events = eventsOf(story);
          const moved = tell(inTime(events));
          const stayed = tell(inTime(events.toSpliced(movedAt, 1)));
          expect(untimed(moved.call)).toEqual(untimed(stayed.call));
        },
      ),
      RUNS,
    );
  });

  test('two nodes tell of one room in any order between them: ended once, never back', () => {
    fc.assert(
      fc.property(
        aHistory.chain((story) => aMove(story)),
        delays(100_000),
        delays(100_000),
        ({ story, movedAt }, first, second) => {
          const events = eventsOf(story);
          const tellings = [...late(events.slice(0, movedAt), first), ...late(events.slice(movedAt), second)];
          expectEnded(tell(tellings.toSorted((a, b) => a.arrivesAt - b.arrivesAt)));
        },
      ),
      RUNS,
    );
  });

  test('who comes in and who speaks may be told in any order', () => {
    const isArrival = ({ sign }: Step) => sign.kind !== 'room_finished' && !('reason' in sign);
    // An agent and a human are a talk until a phone is known of: there the order tells something.
    const isOpen = ({ steps }: Story) =>
      ['agent joined', 'human joined', 'phone joined'].every((joins) =>
        steps.some(({ label }) => label === joins),
      );
    fc.assert(
      fc.property(
        aHistory
          .filter((story) => !isOpen(story))
          .chain((story) => {
            const arrivals = story.steps.slice(
              0,
              story.steps.findIndex((step) => !isArrival(step)),
            );
            return fc.tuple(
              fc.constant(arrivals),
              fc.shuffledSubarray(arrivals, { minLength: arrivals.length }),
            );
          }),
        ([arrivals, shuffled]) => {
          const told = (steps: readonly Step[]) =>
            tell(
              eventsOf({ steps }).map((event) => ({ event, arrivesAt: 100_000 })),
              { isFoundAbsent: false },
            ).call;
          expect(told(shuffled).status).toBe(told(arrivals).status);
        },
      ),
      RUNS,
    );
  });

  test('a caller who dials again has not been answered by the phone that was put out', () => {
    fc.assert(
      fc.property(inboundTwice, (story) => {
        const tellings = inTime(eventsOf(story));
        const fate = tell(tellings);
        expectEnded(fate);
        expect(endOf(fate.call)).toEqual(story.endOf(toldAt(tellings)));
      }),
      RUNS,
    );
  });
});

describe('a later life of the room', () => {
  test('what is told late of the earlier one changes nothing', () => {
    fc.assert(
      fc.property(
        fc.record({ earlier: aHistory, later: aHistory, cut: fc.nat(8) }),
        fc.array(fc.nat(8), { minLength: 12, maxLength: 12 }),
        ({ earlier, later, cut }, where) => {
          const [ofEarlier, ofLater] = [eventsOf(earlier), inTime(eventsOf(later, LATER_LIFE))];
          const known = inTime(ofEarlier.slice(0, cut));
          const rest = ofEarlier.slice(cut);
          const mixed = ofLater.flatMap((telling, i) => [
            telling,
            ...rest
              .filter((_, j) => where[j] === i)
              .map((event): Telling => ({ event, arrivesAt: telling.arrivesAt })),
          ]);
          const plain = tell([...known, ...ofLater]);
          const fate = tell([...known, ...mixed]);
          expectEnded(fate);
          expect(untimed(fate.call)).toEqual(untimed(plain.call));
        },
      ),
      RUNS,
    );
  });

  test('nor when of the later one no more was told than that somebody speaks there', () => {
    fc.assert(
      fc.property(aHistory, (earlier) => {
        const speaks = inTime(eventsOf(script([audio(HUMAN)]), LATER_LIFE));
        const rest = eventsOf(earlier).map((event) => ({ event, arrivesAt: LATER_LIFE.createdAt + 1_000 }));
        const plain = tell(speaks, { isFoundAbsent: false });
        expect(untimed(tell([...speaks, ...rest], { isFoundAbsent: false }).call)).toEqual(
          untimed(plain.call),
        );
      }),
      RUNS,
    );
  });

  test('its own end is the end, when the earlier one was cut off, whoever was waited for there', () => {
    const cutOff: readonly RoomSign[][] = [
      [started],
      [started, joined(AGENT)],
      [started, joined(phone({})), left(phone({}), 'SIGNAL_CLOSE')],
      [started, joined(AGENT), joined(phone({})), left(AGENT, 'CLIENT_INITIATED')],
      [started, joined(HUMAN), left(HUMAN, 'CONNECTION_TIMEOUT')],
    ];
    fc.assert(
      fc.property(
        fc.constantFrom(...cutOff),
        fc.integer({ min: 5_000, max: POLICY.connectionLostGraceMs }),
        aHistory,
        (signs, afterMs, later) => {
          const earlier = inTime(eventsOf(script(signs)));
          const createdAt = FIRST_LIFE.createdAt + afterMs;
          const tellings = inTime(eventsOf(later, { ...LATER_LIFE, createdAt }));
          const fate = tell([...earlier, ...tellings]);
          expectEnded(fate);
          expect(endOf(fate.call)).toEqual(later.endOf(toldAt(tellings)));
        },
      ),
      RUNS,
    );
  });

  test('behind the end it revives nothing: its room is deleted, at every sign that it is there', () => {
    fc.assert(
      fc.property(aHistory, aHistory, (earlier, later) => {
        const ended = tell(inTime(eventsOf(earlier)));
        const again = inTime(eventsOf(later, { ...LATER_LIFE, createdAt: 10_000_000 }));
        const before = [...inTime(eventsOf(earlier)), absence(ended.call, 5_000_000)];
        const fate = tell([...before, ...again], { isFoundAbsent: false });
        expectForwardOnly(fate);
        expect(fate.call.endedAt).toBe(ended.call.endedAt);
        const decisions = fate.decisions.slice(before.length);
        again.forEach(({ event }, i) => {
          const showsLife = ['room_started', 'participant_joined'].includes(event.sign.kind);
          expect(decisions[i]?.kind).toBe(showsLife ? 'delete_room' : 'nothing');
        });
      }),
      RUNS,
    );
  });
});

describe('as LiveKit cannot tell it', () => {
  const scrambled = fc
    .tuple(aHistory, aHistory)
    .chain(([one, two]) => {
      const events = [...eventsOf(one), ...eventsOf(two, LATER_LIFE)];
      return fc.tuple(
        fc.shuffledSubarray([...events, ...events], { minLength: 1 }),
        fc.array(fc.integer({ min: 0, max: 60_000 }), { minLength: 1, maxLength: 40 }),
      );
    })
    .map(([events, gapsMs]) => {
      let arrivesAt = 0;
      return events.map((event, i): Telling => {
        arrivesAt += gapsMs[i % gapsMs.length] ?? 0;
        return { event, arrivesAt };
      });
    });

  test('two lives mixed and doubled in any order: never back, never revived, ended once, not live without a room', () => {
    fc.assert(
      fc.property(scrambled, fc.boolean(), (tellings, remembersIds) => {
        expectEnded(tell(tellings, { remembersIds }));
      }),
      { numRuns: 2_000 },
    );
  });

  test('behind the end nothing changes it, whatever is told', () => {
    fc.assert(
      fc.property(aHistory, scrambled, (story, tellings) => {
        const ended = tell(inTime(eventsOf(story)));
        const told = [...inTime(eventsOf(story)), absence(ended.call, 5_000_000)];
        const behind = tellings.map(({ event, arrivesAt }) => ({
          event: { ...event, id: `again ${event.id}` },
          arrivesAt: arrivesAt + 6_000_000,
        }));
        expect(tell([...told, ...behind]).call).toEqual(tell(told).call);
      }),
      RUNS,
    );
  });
});

describe('graces', () => {
  const broken = fc.constantFrom('SIGNAL_CLOSE', 'CONNECTION_TIMEOUT', 'SERVER_SHUTDOWN');
  const isOver = (signs: readonly RoomSign[]) => {
    const tellings = inTime(eventsOf(script(signs)));
    const much = { ...tellings.at(-1)?.event, id: 'EV much later' };
    const { sign, room } = much;
    if (sign === undefined || room === undefined) throw new Error('no signs');
    // Somebody speaks again long after every grace: what is over is settled by then.
    const event = { id: much.id, at: 200_000, room, sign: audio(AGENT) };
    return tell([...tellings, { event, arrivesAt: 200_000 }], { isFoundAbsent: false }).call;
  };

  test('whose connection broke before the phone came in does not end the talk on the phone', () => {
    fc.assert(
      fc.property(
        fc.record({ reason: broken, who: fc.constantFrom(HUMAN, AGENT), isInbound: fc.boolean() }),
        ({ reason, who, isInbound }) => {
          const caller = isInbound ? inboundPhone('active') : phone({ callStatus: 'active' });
          const other = who === HUMAN ? AGENT : HUMAN;
          const call = isOver([started, joined(who), left(who, reason), joined(other), joined(caller)]);
          expect(endOf(call)).toEqual({ status: 'active', failureReason: null });
        },
      ),
    );
  });

  test('two whose connections broke are two who are away: one that comes back is not the other', () => {
    fc.assert(
      fc.property(broken, broken, fc.boolean(), (one, two, isAgentBack) => {
        const back = isAgentBack ? AGENT_BACK : HUMAN_BACK;
        const call = isOver([
          started,
          joined(AGENT),
          joined(HUMAN),
          left(HUMAN, one),
          left(AGENT, two),
          joined(back),
        ]);
        expect(call.status).toBe('completed');
      }),
    );
  });

  test('an agent that comes back in time, however often it leaves, keeps the call', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: POLICY.agentLeftGraceMs - 1 }), broken), {
          minLength: 1,
          maxLength: 20,
        }),
        (absences) => {
          let atMs = 0;
          const steps: Step[] = [started, joined(inboundPhone('active')), joined(AGENT)].map((sign, i) => ({
            label: `begin ${i}`,
            atMs: 0,
            sign,
          }));
          let agent = AGENT;
          absences.forEach(([awayMs, reason], i) => {
            steps.push({ label: `leaves ${i}`, atMs, sign: left(agent, reason) });
            atMs += awayMs;
            agent = { ...AGENT, sid: `PA_agent_again_${i}` };
            steps.push({ label: `back ${i}`, atMs, sign: joined(agent) });
          });
          const fate = tell(inTime(eventsOf({ steps })), { isFoundAbsent: false });
          expect(fate.call.status).toBe('active');
          expect(fate.graces).toEqual([]);
          const awayMs = POLICY.agentLeftGraceMs;
          const gone = eventsOf({
            steps: [
              ...steps,
              { label: 'leaves at last', atMs, sign: left(agent, 'CLIENT_INITIATED') },
              { label: 'back too late', atMs: atMs + awayMs, sign: joined(AGENT_BACK) },
            ],
          });
          expect(endOf(tell(inTime(gone), { isFoundAbsent: false }).call)).toEqual({
            status: 'completed',
            failureReason: 'AGENT_LEFT',
          });
        },
      ),
      { numRuns: 300 },
    );
  });
});

test('who is known to have left does not join by being told of late', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('ringing', 'active', 'dialing'),
      fc.constantFrom('DUPLICATE_IDENTITY', 'MIGRATION'),
      fc.boolean(),
      (callStatus, reason, isInbound) => {
        const gone = isInbound ? inboundPhone(callStatus) : phone({ callStatus });
        const steps = script([started, joined(HUMAN), left(AGENT, reason), left(gone, reason)]);
        const behind = script([
          started,
          joined(HUMAN),
          left(AGENT, reason),
          left(gone, reason),
          joined(gone),
          joined(AGENT),
        ]);
        const told = (story: { steps: Step[] }) =>
          tell(inTime(eventsOf(story)), { isFoundAbsent: false }).call;
        expect(told(steps).status).toBe('connecting');
        expect(outcomeOf(told(behind))).toEqual(outcomeOf(told(steps)));
      },
    ),
  );
});

describe('memory', () => {
  test('what a call remembers of its room is bounded, whoever comes, speaks and goes', () => {
    const kinds = fc.constantFrom('joins', 'leaves', 'speaks');
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(400), kinds, fc.constantFrom('human', 'agent', 'phone')), {
          minLength: 300,
          maxLength: 600,
        }),
        (moves) => {
          const signs = moves.map(([n, kind, role]): RoomSign => {
            const sid = `PA_${role}_${n}`;
            // Left with a reason that ends nothing, so that all of it is taken in.
            const person = role === 'phone' ? phone({}, sid) : { ...HUMAN, role, sid, identity: sid };
            if (kind === 'speaks') return audio(person);
            return kind === 'joins' ? joined(person) : left(person, 'MIGRATION');
          });
          const steps = script([started, ...signs, joined(AGENT)], 1);
          const { call, versions, graces } = tell(inTime(eventsOf(steps)), { isFoundAbsent: false });
          expect(isLive(call.status)).toBe(true);
          for (const { life } of versions) {
            expect(life?.participants.length ?? 0).toBeLessThanOrEqual(REMEMBERED_PARTICIPANTS);
            expect(life?.audioFrom.length ?? 0).toBeLessThanOrEqual(REMEMBERED_AUDIO);
          }
          // One for each kind and role.
          expect(graces.length).toBeLessThanOrEqual(8);
          expect(call.life?.participants).toContainEqual(
            expect.objectContaining({ sid: AGENT.sid, isPresent: true }),
          );
        },
      ),
      { numRuns: 40 },
    );
  });

  test('nor do lives add up', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 60 }), (count) => {
        const lives = Array.from({ length: count }, (_, i) =>
          eventsOf(script([started, joined(HUMAN)]), { sid: `RM_${i}`, createdAt: 10_000 + i * 5_000 }),
        );
        const { call } = tell(inTime(lives.flat()), { isFoundAbsent: false });
        expect(call.life?.sid).toBe(`RM_${count - 1}`);
        expect(call.life?.participants).toHaveLength(1);
        expect(endOf(tell(inTime(lives.flat())).call).status).toBe('failed');
      }),
      { numRuns: 50 },
    );
  });
});

test('who has left is not brought back by a join that is told late, nor by an earlier life', () => {
  const inOrder = [started, joined(HUMAN), joined(AGENT), left(AGENT, 'CLIENT_INITIATED')];
  const swapped = [started, joined(HUMAN), left(AGENT, 'CLIENT_INITIATED'), joined(AGENT)];
  const told = (signs: readonly RoomSign[]) =>
    tell(inTime(eventsOf(script(signs))), { isFoundAbsent: false }).call;
  expect(told(inOrder).life?.participants).toContainEqual(
    expect.objectContaining({ identity: 'agent', isPresent: false }),
  );
  expect(told(swapped)).toMatchObject({
    status: 'connecting',
    life: { participants: [{ identity: 'human' }, { identity: 'agent', isPresent: false }] },
  });
  const [begun, ...rest] = inTime(eventsOf(script(inOrder)));
  const later = inTime(eventsOf(script([started, joined(HUMAN)]), LATER_LIFE));
  const mixed = [...(begun === undefined ? [] : [begun]), ...later, ...rest];
  const { call } = tell(mixed, { isFoundAbsent: false });
  expect(call.life).toMatchObject({ sid: 'RM_2', participants: [{ identity: 'human' }] });
  expect(tell([...mixed, ...inTime(eventsOf(script([finished]), LATER_LIFE))]).call.status).toBe('failed');
});
