import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { assess } from '../../src/domain/assess-call.ts';
import { type Call, durationSeconds } from '../../src/domain/call.ts';
import { isLive, LIVE_STATUSES } from '../../src/domain/call-status.ts';
import { impliedStatus } from '../../src/domain/implied-status.ts';
import type { Participant, RoomEventPayload } from '../../src/domain/room-event.ts';
import {
  MAX_AUDIO_PUBLISHERS,
  MAX_MEMBERS,
  newRoster,
  type Roster,
  versionOf,
} from '../../src/domain/roster.ts';
import { applyParticipantList, recordAudio, recordJoin } from '../../src/domain/roster-changes.ts';
import {
  AFTER_GRACE_PERIODS,
  type Arrival,
  applyAll,
  arrivalsOf,
  FIRST_SESSION,
  LATER_SESSION,
  type Outcome,
} from '../harness/room-events.ts';
import {
  arbitraryRoom,
  type History,
  participantOf,
  playRoom,
  RELIABLE_DELIVERY,
  UNRELIABLE_DELIVERY,
} from '../harness/room-model.ts';
import { playToHangup } from '../harness/room-player.ts';
import {
  AGENT,
  ANSWERED,
  at,
  callAfter,
  inbound,
  joined,
  left,
  OTHER_PERSON,
  outbound,
  PERSON,
  POLICY,
  RECORDER,
  reconnected,
  type Script,
  STREAM,
} from '../harness/rosters.ts';

/*
 * Properties of calls that hold for any order of webhooks: repeated, late, lost, shuffled, or of several sessions.
 * test/domain/rooms.test.ts compares the calls with the reference model.
 */

const RUNS = { numRuns: 1_000 };
const histories = arbitraryRoom(RELIABLE_DELIVERY);

const outcomeOf = ({
  status,
  failureReason,
  startedAt,
  answeredAt,
  endedAt,
  direction,
  phoneNumber,
}: Call) => ({
  status,
  failureReason,
  startedAt,
  answeredAt,
  endedAt,
  direction,
  phoneNumber,
});
/** Returns a call without the time of its last change. */
const withoutUpdatedAt = <T extends Pick<Call, 'updatedAt'>>({ updatedAt: _, ...call }: T) => call;
/** Returns the fields that never change after the end of a call. */
const finalFields = ({ roster: _, ...call }: Call) => call;
const rank = ({ status }: Call) => (isLive(status) ? LIVE_STATUSES.indexOf(status) : LIVE_STATUSES.length);

function expectForwardOnly(versions: readonly Call[]): void {
  versions.forEach((version, i) => {
    const before = versions[i - 1] ?? version;
    expect(rank(version)).toBeGreaterThanOrEqual(rank(before));
    expect(version.endedAt !== null).toBe(!isLive(version.status));
    if (!isLive(version.status)) expect(version.reviewAt).toBeNull();
    if (!isLive(before.status)) expect(finalFields(version)).toEqual(finalFields(before));
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

function expectEnded(outcome: Outcome): void {
  expectForwardOnly(outcome.versions);
  expect(isLive(outcome.call.status)).toBe(false);
  expect(outcome.decisions.filter(({ kind }) => kind === 'end')).toHaveLength(1);
}

const delays = (maxMs: number) =>
  fc.array(fc.integer({ min: 0, max: maxMs }), { minLength: 80, maxLength: 80 });
const byArrival = (arrivals: readonly Arrival[]) => arrivals.toSorted((a, b) => a.arrivesAt - b.arrivesAt);
/** Delays each arrival, but keeps the order of the events. */
function delay(arrivals: readonly Arrival[], delaysMs: readonly number[]): Arrival[] {
  let arrivesAt = 0;
  return arrivals.map((arrival, i) => {
    arrivesAt = Math.max(arrivesAt, arrival.arrivesAt + (delaysMs[i] ?? 0));
    return { ...arrival, arrivesAt };
  });
}

describe('webhooks in the order of LiveKit', () => {
  test('give the same call when repeated, at once or later', () => {
    fc.assert(
      fc.property(histories, delays(200_000), (history, againAfterMs) => {
        const arrivals = arrivalsOf(playRoom(history));
        const repeats = arrivals.map((arrival, i) => ({
          ...arrival,
          arrivesAt: arrival.arrivesAt + (againAfterMs[i] ?? 0),
        }));
        // The sort is stable: a repetition comes after its first delivery.
        const both = byArrival([...arrivals, ...repeats]);
        const once = applyAll(arrivals);
        const twice = applyAll(both);
        expectEnded(twice);
        expect(withoutUpdatedAt(twice.call)).toEqual(withoutUpdatedAt(once.call));
      }),
      RUNS,
    );
  });

  test('move a call only forward and end the call once when repeated after their ids were pruned', () => {
    fc.assert(
      fc.property(histories, delays(200_000), (history, againAfterMs) => {
        const arrivals = arrivalsOf(playRoom(history));
        const repeats = arrivals.map((arrival, i) => ({
          ...arrival,
          arrivesAt: arrival.arrivesAt + (againAfterMs[i] ?? 0),
        }));
        expectEnded(applyAll(byArrival([...arrivals, ...repeats]), { detectsDuplicates: false }));
      }),
      RUNS,
    );
  });

  test('change nothing when all are repeated after their ids were pruned', () => {
    fc.assert(
      fc.property(histories, (history) => {
        const arrivals = arrivalsOf(playRoom(history));
        const repeats = arrivals.map((arrival) => ({ ...arrival, arrivesAt: AFTER_GRACE_PERIODS - 1 }));
        const once = applyAll(arrivals, { isRoomAbsentAtEnd: false, isReviewed: false });
        const twice = applyAll([...arrivals, ...repeats], {
          detectsDuplicates: false,
          isRoomAbsentAtEnd: false,
          isReviewed: false,
        });
        expect(outcomeOf(twice.call)).toEqual(outcomeOf(once.call));
      }),
      RUNS,
    );
  });

  test('move a call only forward when lost, late or repeated, with lists of LiveKit in between', () => {
    fc.assert(
      fc.property(arbitraryRoom(UNRELIABLE_DELIVERY), fc.boolean(), (history, detectsDuplicates) => {
        expectForwardOnly(playToHangup(playRoom(history), { detectsDuplicates }).versions);
      }),
      RUNS,
    );
  });

  test('end a call once when lost or late and the room is absent afterwards', () => {
    fc.assert(
      fc.property(histories, delays(20_000), delays(3), (history, delaysMs, losses) => {
        const arrivals = delay(arrivalsOf(playRoom(history)), delaysMs);
        const rest = arrivals.filter((_, i) => losses[i] !== 0);
        // A call without any event never started.
        fc.pre(rest.length > 0);
        expectEnded(applyAll(rest));
      }),
      RUNS,
    );
  });

  test('give the same end at the same time when all are late by the same time', () => {
    fc.assert(
      fc.property(histories, fc.integer({ min: 0, max: 3_600_000 }), (history, delayMs) => {
        const arrivals = arrivalsOf(playRoom(history));
        const onTime = applyAll(arrivals);
        const delayed = applyAll(
          arrivals.map((arrival) => ({ ...arrival, arrivesAt: arrival.arrivesAt + delayMs })),
        );
        expect(delayed.endedBy).toBe(onTime.endedBy);
        const { endedAt, answeredAt, ...end } = outcomeOf(onTime.call);
        expect(outcomeOf(delayed.call)).toMatchObject(end);
        // The end of a phone left alone and of an absent room is the time at which hangup acts.
        if (end.failureReason === 'AGENT_LEFT' || onTime.endedBy === 'absence') return;
        expect(delayed.call).toMatchObject({ endedAt, answeredAt });
      }),
      RUNS,
    );
  });

  test('give the same call when the room moved to another node', () => {
    fc.assert(
      fc.property(histories, fc.nat(60), (history, place) => {
        const arrivals = arrivalsOf(playRoom(history));
        const [first] = arrivals;
        if (first === undefined) return;
        const movedAt = 1 + (place % arrivals.length);
        const { arrivesAt } = arrivals[movedAt - 1] ?? first;
        const started: Arrival = { event: { ...first.event, id: 'EV moved' }, arrivesAt };
        const moved = applyAll(arrivals.toSpliced(movedAt, 0, started));
        expect(withoutUpdatedAt(moved.call)).toEqual(withoutUpdatedAt(applyAll(arrivals).call));
      }),
      RUNS,
    );
  });

  test('move a call only forward and end the call once when two nodes send in any order', () => {
    fc.assert(
      fc.property(
        histories,
        fc.nat(60),
        delays(100_000),
        delays(100_000),
        (history, place, firstDelaysMs, secondDelaysMs) => {
          const arrivals = arrivalsOf(playRoom(history));
          const movedAt = place % (arrivals.length + 1);
          const mixed = [
            ...delay(arrivals.slice(0, movedAt), firstDelaysMs),
            ...delay(arrivals.slice(movedAt), secondDelaysMs),
          ];
          expectEnded(applyAll(byArrival(mixed)));
        },
      ),
      RUNS,
    );
  });

  test('give the same roster for any order of joins and audio', () => {
    const kinds = fc.constantFrom(
      'person',
      'agent',
      'outbound',
      'inbound',
      'connector',
      'recorder',
      'stream',
    );
    const arrivals = fc
      .uniqueArray(fc.tuple(kinds, fc.boolean(), fc.boolean()), {
        minLength: 1,
        maxLength: 6,
        comparator: () => false,
      })
      // A roster stores at most this many publishers.
      .filter((all) => all.filter(([, , hasAudio]) => hasAudio).length <= MAX_AUDIO_PUBLISHERS)
      .map((all) =>
        all.flatMap(([kind, isAnswered, hasAudio], i) => {
          const connection = {
            ...NEW_CONNECTION,
            kind,
            sid: `PA_${i}`,
            identity: `${kind}-${i}`,
            from: i * 1_000,
          };
          const participant = participantOf(connection, isAnswered ? 'active' : 'ringing', isAnswered);
          return [{ participant }, ...(hasAudio ? [{ audio: participant.sid }] : [])];
        }),
      );
    fc.assert(
      fc.property(
        arrivals.chain((all) =>
          fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })),
        ),
        ([inOrder, shuffled]) => {
          const derived = (all: typeof inOrder) => {
            const roster = all.reduce<Roster>(
              (before, arrival) =>
                'audio' in arrival
                  ? recordAudio(before, arrival.audio ?? '', 5_000)
                  : recordJoin(before, arrival.participant, { noticedAt: 5_000 }),
              newRoster({ sid: 'RM_1', createdAt: 0 }, 0),
            );
            const { members, ...rest } = roster;
            return {
              ...rest,
              audioFrom: roster.audioFrom.toSorted(),
              status: impliedStatus(roster),
              members: members.toSorted((a, b) => a.sid.localeCompare(b.sid)),
            };
          };
          expect(derived(shuffled)).toEqual(derived(inOrder));
        },
      ),
      RUNS,
    );
  });
});

const NEW_CONNECTION = {
  until: Number.POSITIVE_INFINITY,
  reason: null,
  isAborted: false,
  answeredAt: null,
  hasRung: false,
  callStatus: '',
  hasAudio: false,
  noticedAt: 0,
  leaveReceivedAt: Number.POSITIVE_INFINITY,
};

describe('a later session of the room', () => {
  const later = (history: History) => arrivalsOf(playRoom(history), LATER_SESSION);
  /** The session begins `afterMs` after the last arrival, while grace periods of the earlier session run. */
  const soonAfter = (arrivals: readonly Arrival[], afterMs: number, history: History) => {
    const createdAt = (arrivals.at(-1)?.arrivesAt ?? FIRST_SESSION.createdAt) + afterMs;
    return arrivalsOf(playRoom(history), { sid: 'RM_2', createdAt });
  };

  test('is not changed by late events of the earlier session', () => {
    fc.assert(
      fc.property(
        fc.record({ earlier: histories, next: histories, cut: fc.nat(20), afterMs: fc.nat(30_000) }),
        fc.array(fc.nat(20), { minLength: 80, maxLength: 80 }),
        ({ earlier, next, cut, afterMs }, where) => {
          const ofEarlier = arrivalsOf(playRoom(earlier));
          const delivered = ofEarlier.slice(0, cut);
          const rest = ofEarlier.slice(cut);
          // The first event of the later session ends the earlier session.
          const [first, ...ofLater] = soonAfter(delivered, afterMs + 1, next);
          fc.pre(first !== undefined);
          const mixed = ofLater.flatMap((arrival, i) => [
            arrival,
            ...rest
              .filter((_, j) => where[j] === i)
              .map(({ event }): Arrival => ({ event, arrivesAt: arrival.arrivesAt })),
          ]);
          const plain = applyAll([...delivered, first, ...ofLater]);
          const outcome = applyAll([...delivered, first, ...mixed]);
          expectForwardOnly(outcome.versions);
          expect(withoutUpdatedAt(finalFields(outcome.call))).toEqual(
            withoutUpdatedAt(finalFields(plain.call)),
          );
        },
      ),
      RUNS,
    );
  });

  test('is not changed by late events of the earlier session when audio is its first event', () => {
    fc.assert(
      fc.property(histories, (earlier) => {
        const { sid } = LATER_SESSION;
        const event = {
          id: 'EV audio',
          at: LATER_SESSION.createdAt,
          room: { name: 'room', sid, createdAt: null, metadata: '' },
          payload: { kind: 'audio_published', participantSid: 'PA' },
        } as const;
        const audio = [{ event, arrivesAt: LATER_SESSION.createdAt }];
        const rest = arrivalsOf(playRoom(earlier)).map(({ event }) => ({
          event,
          arrivesAt: LATER_SESSION.createdAt + 1_000,
        }));
        const options = { isRoomAbsentAtEnd: false };
        expect(withoutUpdatedAt(applyAll([...audio, ...rest], options).call)).toEqual(
          withoutUpdatedAt(applyAll(audio, options).call),
        );
      }),
      RUNS,
    );
  });

  test('ends the call by its own participants only', () => {
    fc.assert(
      fc.property(histories, fc.nat(20), fc.nat(30_000), histories, (earlier, cut, afterMs, next) => {
        const delivered = arrivalsOf(playRoom(earlier)).slice(0, cut);
        const before = applyAll(delivered, { isRoomAbsentAtEnd: false }).call;
        // A status that the earlier session reached stays, because statuses only move forward.
        fc.pre(before.status === 'initiated' || before.status === 'connecting');
        const ofLater = soonAfter(delivered, afterMs + 1, next);
        const both = applyAll([...delivered, ...ofLater]);
        const alone = applyAll(ofLater);
        const endOf = ({ status, failureReason, answeredAt, endedAt }: Call) => ({
          status,
          failureReason,
          answeredAt,
          endedAt,
        });
        const wasOver = both.versions.some(({ status, roster }) => !isLive(status) && roster?.sid === 'RM_1');
        fc.pre(!wasOver);
        expect(endOf(both.call)).toEqual(endOf(alone.call));
      }),
      RUNS,
    );
  });

  test('deletes the room, begins a new call or changes nothing when the call has ended', () => {
    fc.assert(
      fc.property(histories, histories, fc.boolean(), (earlier, next, isAdoptable) => {
        const { call } = applyAll(arrivalsOf(playRoom(earlier)));
        const after = later(next).map(({ event, arrivesAt }) => ({
          event,
          arrivesAt: arrivesAt + AFTER_GRACE_PERIODS,
        }));
        const outcome = applyAll(after, { parts: call, isAdoptable, isRoomAbsentAtEnd: false });
        expect(finalFields(outcome.call)).toEqual(finalFields(call));
        const kinds = outcome.decisions.map(({ kind }) => kind);
        expect(['nothing', 'delete_room', 'begin_call']).toEqual(expect.arrayContaining(kinds));
        if (!isAdoptable) expect(kinds).not.toContain('begin_call');
      }),
      RUNS,
    );
  });

  test('disconnects only the phones of a registered call that was not cancelled', () => {
    const isPhone = (payload: RoomEventPayload) =>
      payload.kind === 'participant_joined' && payload.participant.role === 'phone';
    fc.assert(
      fc.property(histories, histories, (earlier, next) => {
        const before = applyAll(arrivalsOf(playRoom(earlier))).versions;
        const ended = before.at(-1);
        if (ended === undefined || ended.status === 'cancelled') return;
        const after = later(next);
        const outcome = applyAll(
          after.map(({ event, arrivesAt }) => ({ event, arrivesAt: arrivesAt + AFTER_GRACE_PERIODS })),
          { parts: ended, isRoomAbsentAtEnd: false },
        );
        outcome.decisions.forEach(({ kind }, i) => {
          const payload = after[i]?.event.payload;
          if (kind === 'nothing' || payload === undefined) return;
          expect(kind).toBe('delete_room');
          expect(isPhone(payload)).toBe(true);
        });
      }),
      RUNS,
    );
  });
});

describe('webhooks in impossible orders', () => {
  const shuffledArrivals = fc
    .tuple(histories, histories)
    .chain(([first, second]) => {
      const arrivals = [...arrivalsOf(playRoom(first)), ...arrivalsOf(playRoom(second), LATER_SESSION)];
      return fc.tuple(
        fc.shuffledSubarray([...arrivals, ...arrivals], { minLength: 1 }),
        fc.array(fc.integer({ min: 0, max: 60_000 }), { minLength: 1, maxLength: 40 }),
      );
    })
    .map(([arrivals, gapsMs]) => {
      let arrivesAt = FIRST_SESSION.createdAt;
      return arrivals.map(({ event }, i): Arrival => {
        arrivesAt += gapsMs[i % gapsMs.length] ?? 0;
        return { event, arrivesAt };
      });
    });

  test('move a call only forward and end the call once when two sessions are mixed and repeated', () => {
    fc.assert(
      fc.property(shuffledArrivals, fc.boolean(), (arrivals, detectsDuplicates) => {
        expectEnded(applyAll(arrivals, { detectsDuplicates }));
      }),
      { numRuns: 2_000 },
    );
  });

  test('change nothing after the end of the call', () => {
    fc.assert(
      fc.property(histories, shuffledArrivals, (history, arrivals) => {
        const { call } = applyAll(arrivalsOf(playRoom(history)));
        const after = arrivals.map(({ event, arrivesAt }) => ({
          event: { ...event, id: `repeated ${event.id}` },
          arrivesAt: arrivesAt + AFTER_GRACE_PERIODS,
        }));
        const outcome = applyAll(after, { parts: call, isRoomAbsentAtEnd: false });
        expect(finalFields(outcome.call)).toEqual(finalFields(call));
      }),
      RUNS,
    );
  });
});

describe('grace periods', () => {
  test('keep the call when an agent returns in time, however often the agent leaves', () => {
    const reasons = fc.constantFrom(
      'CLIENT_INITIATED',
      'SIGNAL_CLOSE',
      'CONNECTION_TIMEOUT',
      'SERVER_SHUTDOWN',
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 29 }), reasons), { minLength: 1, maxLength: 20 }),
        (absences) => {
          let seconds = 2;
          let agent: Participant = AGENT;
          const script: (readonly [number, RoomEventPayload])[] = [
            [0, joined(inbound(ANSWERED))],
            [1, joined(agent)],
          ];
          const stateAt = (now: number) => {
            const call = callAfter(script);
            return assess(call, call.roster, { policy: POLICY, now: at(now) });
          };
          absences.forEach(([awayS, reason], i) => {
            script.push([seconds, left(agent, reason)]);
            expect(stateAt(seconds + awayS)).toEqual({ kind: 'goes_on', reviewAt: at(seconds + 30) });
            seconds += awayS;
            agent = { ...AGENT, sid: `PA_agent_${i}` };
            script.push([seconds, joined(agent)]);
            expect(stateAt(seconds + 1_000)).toEqual({ kind: 'goes_on', reviewAt: null });
            seconds += 1;
          });
          script.push([seconds, left(agent)]);
          expect(stateAt(seconds + 30)).toMatchObject({
            kind: 'over',
            end: { status: 'completed', failureReason: 'AGENT_LEFT' },
          });
        },
      ),
      { numRuns: 200 },
    );
  });

  test.each(['SIGNAL_CLOSE', 'CONNECTION_TIMEOUT', 'SERVER_SHUTDOWN'])(
    'of a connection that was lost (%s) before a phone joined do not end the phone call',
    (reason) => {
      for (const [first, second] of [
        [AGENT, PERSON],
        [PERSON, AGENT],
      ] as const) {
        for (const phone of [inbound(ANSWERED), outbound(ANSWERED)]) {
          const script: Script = [
            [0, joined(first)],
            [1, left(first, reason)],
            [2, joined(second)],
            [3, joined(phone)],
          ];
          const call = callAfter(script);
          expect(call.status).toBe('active');
          expect(assess(call, call.roster, { policy: POLICY, now: at(1_000) })).toEqual({
            kind: 'goes_on',
            reviewAt: null,
          });
        }
      }
    },
  );

  test('of an agent and a person are independent', () => {
    const script: Script = [
      [0, joined(AGENT)],
      [1, joined(PERSON)],
      [5, left(PERSON, 'SIGNAL_CLOSE')],
      [6, left(AGENT, 'SIGNAL_CLOSE')],
      [10, joined(reconnected(PERSON))],
    ];
    const call = callAfter(script);
    const assessed = assess(call, call.roster, { policy: POLICY, now: at(35) });
    expect(assessed).toMatchObject({ kind: 'over', end: { status: 'completed' } });
  });
});

test.each(['DUPLICATE_IDENTITY', 'CLIENT_INITIATED', 'CONNECTION_TIMEOUT'])(
  'a late join of a participant who left with %s is ignored',
  (reason) => {
    fc.assert(
      fc.property(
        fc.constantFrom(AGENT, OTHER_PERSON, inbound(ANSWERED), outbound(ANSWERED)),
        fc.boolean(),
        (participant, hasPerson) => {
          const before: Script = hasPerson ? [[0, joined(PERSON)]] : [[0, joined(RECORDER)]];
          const inOrder = callAfter([...before, [1, left(participant, reason)]]);
          const swapped = callAfter([...before, [1, left(participant, reason)], [2, joined(participant)]]);
          expect(swapped.roster).toEqual(inOrder.roster);
          expect(impliedStatus(swapped.roster)).toBe('connecting');
        },
      ),
    );
  },
);

test("a phone's own audio never answers another phone, in any order", () => {
  const second = { ...inbound({}, 'caller'), sid: 'PA_second' };
  const first = inbound({}, 'caller');
  const ownAudio = { kind: 'audio_published', participantSid: first.sid } as const;
  const orders: Script[] = [
    [
      [0, ownAudio],
      [1, joined(first)],
      [2, left(first, 'DUPLICATE_IDENTITY')],
      [3, joined(second)],
    ],
    [
      [0, joined(second)],
      [1, ownAudio],
      [2, joined(first)],
    ],
    [
      [0, joined(first)],
      [1, joined(second)],
      [2, left(first, 'DUPLICATE_IDENTITY')],
      [3, ownAudio],
    ],
  ];
  for (const script of orders) expect(callAfter(script).status).toBe('ringing');
});

describe('the size of a call', () => {
  const size = (roster: Roster) => JSON.stringify(roster).length;

  test('is bounded for any joins, audio and leaves', () => {
    const actions = fc.constantFrom('join', 'leave', 'audio');
    const participants = fc.constantFrom(PERSON, AGENT, outbound(), RECORDER, STREAM);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(400), actions, participants), { minLength: 300, maxLength: 600 }),
        (moves) => {
          const script = moves.map(([n, action, original], i): readonly [number, RoomEventPayload] => {
            const participant = {
              ...original,
              sid: `${original.sid}_${n}`,
              identity: `${original.identity}_${n}`,
            };
            if (action === 'audio') return [i, { kind: 'audio_published', participantSid: participant.sid }];
            return [i, action === 'join' ? joined(participant) : left(participant)];
          });
          const { roster } = callAfter([...script, [moves.length, joined(AGENT)]]);
          expect(roster.members.length).toBeLessThanOrEqual(MAX_MEMBERS);
          expect(roster.audioFrom.length).toBeLessThanOrEqual(MAX_AUDIO_PUBLISHERS);
          expect(size(roster)).toBeLessThan(60_000);
          expect(roster.members).toContainEqual(expect.objectContaining({ sid: AGENT.sid, departure: null }));
        },
      ),
      { numRuns: 40 },
    );
  });

  test('keeps the agent, the phones and the newest people in a room of 3,000', () => {
    const people = Array.from({ length: 3_000 }, (_, i) => ({
      ...PERSON,
      sid: `PA_${i}`,
      identity: `person ${i}`,
    }));
    const script: Script = [
      [0, joined(AGENT)],
      [1, joined(outbound(ANSWERED))],
      ...people.map((person, i): readonly [number, RoomEventPayload] => [2 + i, joined(person)]),
    ];
    const { roster } = callAfter(script);
    expect(roster.members).toHaveLength(MAX_MEMBERS);
    expect(roster.members.map(({ sid }) => sid)).toEqual(
      expect.arrayContaining([AGENT.sid, 'PA_phone', 'PA_2999']),
    );
    expect(roster).toMatchObject({ isCropped: true, hadCompany: true, answeredPhones: 1 });
  });

  test('keeps the call live in a room of 3,000 until all have left', () => {
    const people = Array.from({ length: 3_000 }, (_, i) => ({
      ...PERSON,
      sid: `PA_${i}`,
      identity: `person ${i}`,
      joinedAt: at(i),
    }));
    const call = callAfter([
      [0, joined(outbound(ANSWERED))],
      ...people.map((person, i): readonly [number, RoomEventPayload] => [1 + i, joined(person)]),
      ...people
        .slice(0, 2_998)
        .map((person, i): readonly [number, RoomEventPayload] => [4_000 + i, left(person)]),
      [8_000, left(outbound(ANSWERED))],
    ]);
    const now = at(8_001);
    const assessed = assess(call, call.roster, { policy: POLICY, now });
    expect(assessed).toEqual({ kind: 'goes_on', reviewAt: null });
    // A roster from LiveKit's list of all participants is bounded too.
    const list = { participants: people, requestedAt: now, version: versionOf(call.roster), isTrusted: true };
    expect(applyParticipantList(call.roster, list, now).members).toHaveLength(MAX_MEMBERS);
  });

  test('does not grow with the number of sessions', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 60 }), (count) => {
        const sessions = Array.from({ length: count }, (_, i): Arrival[] => {
          const createdAt = 10_000 + i * 5_000;
          const room = { name: 'room', sid: `RM_${i}`, createdAt, metadata: '' };
          const participant = { ...PERSON, sid: `PA_${i}`, joinedAt: createdAt };
          const event = { id: `EV_${i}`, at: createdAt, room, payload: joined(participant) };
          return [{ event, arrivesAt: createdAt }];
        });
        const { call } = applyAll(sessions.flat(), { isRoomAbsentAtEnd: false });
        expect(call.roster?.sid).toBe(`RM_${count - 1}`);
        expect(call.roster?.members).toHaveLength(1);
        expect(applyAll(sessions.flat()).call.status).toBe('failed');
      }),
      { numRuns: 50 },
    );
  });
});
