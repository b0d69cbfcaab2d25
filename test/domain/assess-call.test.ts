import { describe, expect, test } from 'vitest';
import { assess, type CallEnd, endOfNode, endOfSession } from '../../src/domain/assess-call.ts';
import type { Call } from '../../src/domain/call.ts';
import { isLive } from '../../src/domain/call-status.ts';
import { applyTransition } from '../../src/domain/call-transition.ts';
import { impliedStatus } from '../../src/domain/implied-status.ts';
import { applyObservation } from '../../src/domain/observation.ts';
import { type Roster, versionOf } from '../../src/domain/roster.ts';
import { applyParticipantList } from '../../src/domain/roster-changes.ts';
import {
  AGENT,
  ANSWERED,
  aborted,
  at,
  audio,
  callAfter,
  connector,
  FINISHED,
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
  STARTED,
  STREAM,
} from '../harness/rosters.ts';

/* The rules of docs/how-calls-end.md by their numbers, as pure decisions. */

const assessed = (script: Script, seconds: number, policy = POLICY) => {
  const call = callAfter(script);
  return assess(call, call.roster, { policy, now: at(seconds) });
};
/** The assessment of a call that continues, with the second of its next review; null: no review. */
const goesOn = (seconds: number | null) => ({
  kind: 'goes_on',
  reviewAt: seconds === null ? null : at(seconds),
});
const over = (status: CallEnd['status'], failureReason: string | null, seconds: number) => ({
  kind: 'over',
  end: { status, failureReason, at: at(seconds) },
});

const CALLER = outbound(ANSWERED, 'caller');
const COLLEAGUE = outbound(ANSWERED, 'colleague');

describe('rule 3: direction and number come from the first phone', () => {
  test.each<[string, Script, object]>([
    ['inbound', [[0, joined(inbound())]], { direction: 'inbound', phoneNumber: '+15557770001' }],
    [
      'inbound, and a colleague is dialled later',
      [
        [0, joined(inbound())],
        [5, joined(outbound({ phoneNumber: '+15559999999' }, 'colleague'))],
      ],
      { direction: 'inbound', phoneNumber: '+15557770001' },
    ],
    ['a connector', [[0, joined(connector())]], { direction: 'outbound', phoneNumber: null }],
  ])('%s', (_, script, expected) => {
    expect(callAfter(script, { adoptedPrefix: 'room' })).toMatchObject(expected);
  });

  test('the first phone is the phone that joined first, also when its webhook arrives later', () => {
    const call = callAfter([[5, joined(outbound({ phoneNumber: '+15559999999' }, 'colleague'))]], {
      adoptedPrefix: 'room',
    });
    const first = { ...inbound(), joinedAt: at(0) };
    const list = {
      participants: [first],
      requestedAt: at(6),
      version: versionOf(call.roster),
      isTrusted: false,
    };
    expect(applyParticipantList(call.roster, list, at(6)).firstPhone).toMatchObject({
      sid: first.sid,
      direction: 'inbound',
    });
  });
});

describe('rule 4: the status active', () => {
  test.each<[string, Script, string]>([
    ['an answered phone', [[0, joined(outbound(ANSWERED))]], 'active'],
    [
      'an outbound phone that receives DTMF after its answer',
      [[0, joined(outbound({ callStatus: 'automation' }))]],
      'active',
    ],
    ['a connector', [[0, joined(connector())]], 'active'],
    [
      'an inbound phone and audio of an agent',
      [
        [0, joined(inbound())],
        [1, joined(AGENT)],
        [2, audio(AGENT)],
      ],
      'active',
    ],
    [
      'an inbound phone and its own audio',
      [
        [0, joined(inbound())],
        [2, audio(inbound())],
      ],
      'ringing',
    ],
    [
      'an agent and a person',
      [
        [0, joined(AGENT)],
        [1, joined(PERSON)],
      ],
      'active',
    ],
    [
      'two people',
      [
        [0, joined(PERSON)],
        [1, joined(OTHER_PERSON)],
      ],
      'active',
    ],
    [
      'a person and participants without a role',
      [
        [0, joined(PERSON)],
        [1, joined(RECORDER)],
        [2, joined(STREAM)],
      ],
      'connecting',
    ],
    [
      'an agent and a listener who is hidden',
      [
        [0, joined(AGENT)],
        [1, joined(STREAM)],
      ],
      'connecting',
    ],
    [
      'an agent and an operator who listen to a phone that rings',
      [
        [0, joined(outbound({ callStatus: 'ringing' }))],
        [1, joined(AGENT)],
        [2, joined(PERSON)],
      ],
      'ringing',
    ],
    [
      'an agent and a person who is back while a guest rings',
      [
        [0, joined(AGENT)],
        [1, joined(PERSON)],
        [2, left(PERSON)],
        [3, joined(outbound({ callStatus: 'ringing' }))],
        [4, joined(reconnected(PERSON))],
      ],
      'active',
    ],
    [
      'a phone that is dialled, and an agent',
      [
        [0, joined(AGENT)],
        [1, joined(outbound())],
      ],
      'connecting',
    ],
    [
      'an agent and a person after a phone that was not answered',
      [
        [0, joined(outbound())],
        [1, joined(AGENT)],
        [2, joined(PERSON)],
        [3, left(outbound(), 'USER_REJECTED')],
      ],
      'connecting',
    ],
  ])('%s: %s', (_, script, status) => {
    expect(impliedStatus(callAfter(script).roster)).toBe(status);
  });

  test("a member missing from LiveKit's list does not make a call active", () => {
    const { roster } = callAfter([[0, joined(AGENT)]]);
    const lacks = { participants: [], requestedAt: at(5), version: versionOf(roster), isTrusted: true };
    const missing = applyParticipantList(roster, lacks, at(5));
    const back = { ...lacks, participants: [{ ...PERSON, joinedAt: at(6) }], requestedAt: at(6) };
    expect(impliedStatus(applyParticipantList(missing, { ...back, isTrusted: false }, at(6)))).toBe(
      'connecting',
    );
  });
});

describe('rule 5: two parties are a conversation', () => {
  test.each<[string, Script]>([
    [
      'a caller and a colleague after the agent left (warm transfer)',
      [
        [0, joined(AGENT)],
        [1, joined(CALLER)],
        [2, joined(COLLEAGUE)],
        [3, left(AGENT)],
      ],
    ],
    [
      'a caller and a colleague whose phone rings',
      [
        [0, joined(AGENT)],
        [1, joined(CALLER)],
        [2, joined(outbound({ callStatus: 'ringing' }, 'colleague'))],
        [3, left(AGENT)],
      ],
    ],
    [
      'two people after the note taker lost its connection',
      [
        [0, joined(PERSON)],
        [1, joined(OTHER_PERSON)],
        [2, joined(AGENT)],
        [3, left(AGENT, 'CONNECTION_TIMEOUT')],
      ],
    ],
    [
      'a phone and a person after the agent left',
      [
        [0, joined(AGENT)],
        [1, joined(CALLER)],
        [2, joined(PERSON)],
        [3, left(AGENT)],
      ],
    ],
    [
      'two people after the last phone left',
      [
        [0, joined(CALLER)],
        [1, joined(PERSON)],
        [2, joined(OTHER_PERSON)],
        [3, left(CALLER)],
      ],
    ],
    [
      'a connector and a phone',
      [
        [0, joined(connector())],
        [1, joined(CALLER)],
      ],
    ],
  ])('the call continues without limit: %s', (_, script) => {
    expect(assessed(script, 100_000)).toEqual(goesOn(null));
  });

  test.each<[string, Script]>([
    [
      'a phone and a recorder',
      [
        [0, joined(AGENT)],
        [1, joined(CALLER)],
        [2, joined(RECORDER)],
        [3, left(AGENT)],
      ],
    ],
    [
      'a phone and a stream',
      [
        [0, joined(AGENT)],
        [1, joined(CALLER)],
        [2, joined(STREAM)],
        [3, left(AGENT)],
      ],
    ],
  ])('the call is not a conversation: %s', (_, script) => {
    expect(assessed(script, 33)).toMatchObject({ kind: 'over' });
  });
});

describe('rule 6a: a call with phones ends with its last phone', () => {
  test.each<[string, Script, ReturnType<typeof over>]>([
    [
      'answered, and an agent stays',
      [
        [0, joined(AGENT)],
        [1, joined(CALLER)],
        [9, left(CALLER)],
      ],
      over('completed', null, 9),
    ],
    [
      'answered, and its connection broke',
      [
        [0, joined(CALLER)],
        [9, left(CALLER, 'CONNECTION_TIMEOUT')],
      ],
      over('completed', 'CONNECTION_TIMEOUT', 9),
    ],
    [
      'the leave is the first report of the answer',
      [
        [0, joined(outbound({}, 'caller'))],
        [9, left(outbound({ callTag: 'tag' }, 'caller'))],
      ],
      over('completed', null, 9),
    ],
    [
      'a single person stays',
      [
        [0, joined(CALLER)],
        [1, joined(PERSON)],
        [9, left(CALLER)],
      ],
      over('completed', null, 9),
    ],
    [
      'the last answered phone decides, not the unanswered one that left after it',
      [
        [0, joined(CALLER)],
        [1, joined(outbound({ callStatus: 'ringing' }, 'colleague'))],
        [9, left(CALLER)],
        [12, left(outbound({ callStatus: 'ringing' }, 'colleague'), 'USER_UNAVAILABLE')],
      ],
      over('completed', null, 9),
    ],
    [
      'none answered: the last phone decides (hunt group)',
      [
        [0, joined(outbound({ callStatus: 'ringing' }, 'a'))],
        [1, joined(outbound({ callStatus: 'ringing' }, 'b'))],
        [5, left(outbound({ callStatus: 'ringing' }, 'a'), 'USER_REJECTED')],
        [9, left(outbound({ callStatus: 'ringing' }, 'b'), 'USER_UNAVAILABLE')],
      ],
      over('no_answer', 'USER_UNAVAILABLE', 9),
    ],
  ])('%s', (_, script, expected) => {
    expect(assessed(script, 30)).toEqual(expected);
  });

  test('a person who left within the grace period counts as present', () => {
    const script: Script = [
      [0, joined(CALLER)],
      [1, joined(PERSON)],
      [2, joined(OTHER_PERSON)],
      [8, left(OTHER_PERSON)],
      [9, left(CALLER)],
    ];
    expect(assessed(script, 9)).toEqual(goesOn(33));
    expect(assessed(script, 32.9)).toEqual(goesOn(33));
    expect(assessed(script, 33)).toEqual(over('completed', null, 9));
    expect(assessed([...script, [10, joined(reconnected(OTHER_PERSON))]], 100)).toEqual(goesOn(null));
  });

  test('phones are guests of people who were active before the first phone joined', () => {
    const script: Script = [
      [0, joined(AGENT)],
      [1, joined(PERSON)],
      [5, joined(outbound({ callStatus: 'ringing' }, 'colleague'))],
      [9, left(outbound({ callStatus: 'ringing' }, 'colleague'), 'USER_REJECTED')],
    ];
    expect(assessed(script, 1_000)).toEqual(goesOn(null));
    expect(callAfter(script).status).toBe('active');
  });
});

describe('rule 6b: a call without phones ends when LiveKit finishes its room', () => {
  test.each(['CLIENT_INITIATED', 'CONNECTION_TIMEOUT', 'PARTICIPANT_REMOVED'])(
    'the call continues until then when the last person leaves with %s',
    (reason) => {
      const script: Script = [
        [0, joined(AGENT)],
        [1, joined(PERSON)],
        [9, left(PERSON, reason)],
      ];
      expect(assessed(script, 1_000)).toEqual(goesOn(null));
      const isUsual = reason !== 'CONNECTION_TIMEOUT';
      const call = callAfter([...script, [29, FINISHED]]);
      // The conversation ended when the person left, 20 s before the room.
      expect(call).toMatchObject({
        status: 'completed',
        endedAt: at(9),
        failureReason: isUsual ? null : reason,
      });
    },
  );

  test('a participant of another kind keeps the call open for the grace period at most', () => {
    const script: Script = [
      [0, joined(AGENT)],
      [1, joined(PERSON)],
      [2, joined(STREAM)],
      [9, left(PERSON)],
    ];
    expect(assessed(script, 33.9)).toEqual(goesOn(34));
    expect(assessed(script, 34)).toEqual(over('completed', null, 9));
    expect(assessed([...script, [10, joined(reconnected(PERSON))]], 100)).toEqual(goesOn(null));
  });

  test('a recorder does not keep the call open', () => {
    const script: Script = [
      [0, joined(AGENT)],
      [1, joined(PERSON)],
      [2, joined(RECORDER)],
      [9, left(PERSON)],
    ];
    expect(assessed(script, 1_000)).toEqual(goesOn(null));
  });
});

describe('rule 6c: a phone that was left alone', () => {
  test.each<[string, Script, number]>([
    [
      'by an agent',
      [
        [0, joined(CALLER)],
        [1, joined(AGENT)],
        [9, left(AGENT)],
      ],
      39,
    ],
    [
      'by a person',
      [
        [0, joined(CALLER)],
        [1, joined(PERSON)],
        [9, left(PERSON)],
      ],
      39,
    ],
    [
      'by another answered phone',
      [
        [0, joined(CALLER)],
        [1, joined(COLLEAGUE)],
        [9, left(COLLEAGUE)],
      ],
      39,
    ],
    [
      'by an agent that had left before the phone joined',
      [
        [0, joined(AGENT)],
        [5, left(AGENT)],
        [9, joined(CALLER)],
      ],
      39,
    ],
  ])('is hung up after the grace period: %s', (_, script, seconds) => {
    expect(assessed(script, seconds - 0.1)).toEqual(goesOn(seconds));
    expect(assessed(script, seconds)).toEqual(over('completed', 'AGENT_LEFT', seconds));
    expect(assessed(script, 100, { ...POLICY, agentLeftGraceMs: 0 })).toEqual(goesOn(null));
  });

  test('does not complete the call when the phone was never answered', () => {
    const ringing = outbound({ callStatus: 'ringing' });
    const script: Script = [
      [0, joined(AGENT)],
      [1, joined(ringing)],
      [9, left(AGENT)],
    ];
    expect(assessed(script, 39)).toEqual(over('no_answer', 'AGENT_LEFT', 39));
  });

  test('keeps its call when somebody joins, and starts a new grace period with the next leave', () => {
    const script: Script = [
      [0, joined(CALLER)],
      [1, joined(AGENT)],
      [9, left(AGENT)],
      [30, joined(reconnected(AGENT))],
    ];
    expect(assessed(script, 1_000)).toEqual(goesOn(null));
    expect(assessed([...script, [50, left(reconnected(AGENT))]], 50)).toEqual(goesOn(80));
  });

  test('waits for a first company: inbound without limit, answered outbound for ten grace periods', () => {
    expect(assessed([[0, joined(inbound({ callStatus: 'active' }))]], 100_000)).toEqual(goesOn(null));
    expect(assessed([[0, joined(outbound({ callStatus: 'ringing' }))]], 100_000)).toEqual(goesOn(null));
    expect(assessed([[0, joined(CALLER)]], 299.9)).toEqual(goesOn(300));
    expect(assessed([[0, joined(CALLER)]], 300)).toEqual(over('completed', 'AGENT_LEFT', 300));
  });

  test('is alone with a recorder and a stream', () => {
    const script: Script = [
      [0, joined(inbound({ callStatus: 'active' }))],
      [1, joined(RECORDER)],
      [2, joined(STREAM)],
      [3, left(STREAM)],
    ];
    expect(assessed(script, 100_000)).toEqual(goesOn(null));
  });
});

describe('rule 6d: a single person whose only agent lost its connection', () => {
  const script: Script = [
    [0, joined(AGENT)],
    [1, joined(PERSON)],
    [9, left(AGENT, 'CONNECTION_TIMEOUT')],
  ];

  test('ends the call after the grace period', () => {
    expect(assessed(script, 33.9)).toEqual(goesOn(34));
    expect(assessed(script, 34)).toEqual(over('completed', 'CONNECTION_TIMEOUT', 9));
  });

  test.each<[string, Script]>([
    ['the agent comes back', [...script, [20, joined(reconnected(AGENT))]]],
    ['another person joins', [...script, [20, joined(OTHER_PERSON)]]],
    ['the agent left normally', [...script.slice(0, 2), [9, left(AGENT)]]],
  ])('keeps the call: %s', (_, other) => {
    expect(assessed(other, 1_000)).toEqual(goesOn(null));
  });
});

test('rule 7: the aborted connection of an answered phone counts as its leave', () => {
  expect(
    assessed(
      [
        [0, joined(CALLER)],
        [9, aborted(CALLER, 'CONNECTION_TIMEOUT')],
      ],
      9,
    ),
  ).toEqual(over('completed', 'CONNECTION_TIMEOUT', 9));
  const ringing = outbound({ callStatus: 'ringing' });
  expect(
    assessed(
      [
        [0, joined(ringing)],
        [9, aborted(ringing)],
      ],
      9,
    ),
  ).toEqual(over('failed', 'JOIN_FAILURE', 9));
});

describe('rule 8: a participant who moved or was replaced', () => {
  test('is still present after MIGRATION, and no join follows', () => {
    const script: Script = [
      [0, joined(CALLER)],
      [1, joined(AGENT)],
      [9, left(CALLER, 'MIGRATION')],
      [10, left(AGENT, 'MIGRATION')],
    ];
    expect(assessed(script, 1_000)).toEqual(goesOn(null));
  });

  test('does not end the call by DUPLICATE_IDENTITY within the grace period of the new connection', () => {
    const script: Script = [
      [0, joined(AGENT)],
      [1, joined(CALLER)],
      [9, left(CALLER, 'DUPLICATE_IDENTITY')],
    ];
    expect(assessed(script, 33.9)).toEqual(goesOn(34));
    expect(assessed([...script, [10, joined(reconnected(CALLER))]], 1_000)).toEqual(goesOn(null));
  });

  test('has left when a later connection of the same identity joins, without a reported leave', () => {
    const script: Script = [
      [0, joined(PERSON)],
      [9, joined(reconnected(PERSON))],
    ];
    expect(impliedStatus(callAfter(script).roster)).toBe('connecting');
  });
});

describe('rule 9: a participant missing from two lists 10 s apart', () => {
  const script: Script = [
    [0, joined(AGENT)],
    [1, joined(CALLER)],
  ];
  const lacking = (seconds: readonly number[], isTrusted = true) => {
    const call = callAfter(script);
    const roster = seconds.reduce((before, requestedAt) => {
      const list = {
        participants: [AGENT],
        requestedAt: at(requestedAt),
        version: versionOf(before),
        isTrusted,
      };
      return applyParticipantList(before, list, at(requestedAt));
    }, call.roster);
    return assess(call, roster, { policy: POLICY, now: at(seconds.at(-1) ?? 0) });
  };

  test('is present after one list, and the next review is due in 10 s', () => {
    expect(lacking([20])).toEqual(goesOn(30));
    expect(lacking([20, 29.9])).toEqual(goesOn(30));
  });

  test('has left after two lists, at the time of the first', () => {
    expect(lacking([20, 30])).toEqual(over('completed', null, 20));
  });

  test('is present after a list that follows an outage of LiveKit', () => {
    expect(lacking([20, 40], false)).toEqual(goesOn(null));
  });

  test('is present after a list that was requested before the participant was noticed', () => {
    expect(lacking([0.5, 0.9])).toEqual(goesOn(null));
  });

  test('is present when a webhook of the participant arrives in between', () => {
    const { roster, ...call } = callAfter(script);
    const list = { participants: [AGENT], version: versionOf(roster), isTrusted: true };
    const first = applyParticipantList(roster, { ...list, requestedAt: at(20) }, at(20));
    const seen = applyParticipantList(
      first,
      { ...list, participants: [AGENT, CALLER], requestedAt: at(25) },
      at(25),
    );
    const second = applyParticipantList(seen, { ...list, requestedAt: at(35) }, at(35));
    expect(assess({ ...call, roster }, second, { policy: POLICY, now: at(35) })).toEqual(goesOn(45));
  });
});

describe('an unresponsive node', () => {
  const node = (script: Script) => {
    const call = callAfter(script);
    return endOfNode(call, call.roster, at(50));
  };

  test('makes a review due when the grace period of its clients is over', () => {
    const call = callAfter([
      [0, joined(AGENT)],
      [1, joined(PERSON)],
    ]);
    const roster: Roster = { ...call.roster, unresponsive: { since: at(50), lastAt: at(50) } };
    expect(assess(call, roster, { policy: POLICY, now: at(50) })).toEqual(goesOn(75));
  });

  test.each<
    [string, readonly (readonly [seconds: number, isResponding: boolean, isTrusted?: boolean])[], boolean]
  >([
    [
      'ends its call after a grace period without a response',
      [
        [50, false],
        [75, false],
      ],
      true,
    ],
    [
      'keeps its call when silent for less than a grace period',
      [
        [50, false],
        [74.9, false],
      ],
      false,
    ],
    [
      'keeps its call when it responds in between',
      [
        [50, false],
        [60, true],
        [75, false],
      ],
      false,
    ],
    [
      'keeps its call when the requests are more than two grace periods apart',
      [
        [50, false],
        [110, false],
      ],
      false,
    ],
    [
      'keeps its call after an outage of LiveKit',
      [
        [50, false],
        [75, false, false],
      ],
      false,
    ],
  ])('%s', (_, requests, hasEnded) => {
    let call: Call = callAfter([
      [0, joined(AGENT)],
      [1, joined(PERSON)],
    ]);
    for (const [seconds, isResponding, isTrusted = true] of requests) {
      const now = at(seconds);
      const observation = { kind: 'node', callId: 'c', isResponding, isTrusted, requestedAt: now } as const;
      const applied = applyObservation(call, observation, { policy: POLICY, now, isAdoptable: false });
      call = applyTransition(call, applied, now);
    }
    expect(isLive(call.status)).toBe(!hasEnded);
  });

  test('ends the call with NODE_LOST: completed when people talked, else failed', () => {
    expect(
      node([
        [0, joined(AGENT)],
        [1, joined(PERSON)],
      ]),
    ).toEqual({
      status: 'completed',
      failureReason: 'NODE_LOST',
      at: at(50),
    });
    expect(node([[0, joined(inbound())]])).toMatchObject({ status: 'failed', failureReason: 'NODE_LOST' });
  });
});

describe('room_finished', () => {
  const finished = (script: Script) => {
    const call = callAfter(script);
    return endOfSession(call, call.roster, at(99));
  };

  test.each<[string, Script, object]>([
    [
      'ends the conversation now when an answered phone is present',
      [
        [0, joined(AGENT)],
        [1, joined(CALLER)],
      ],
      { status: 'completed', failureReason: null, at: at(99) },
    ],
    [
      'ends the conversation at the departure of the last person',
      [
        [0, joined(AGENT)],
        [1, joined(PERSON)],
        [9, left(PERSON)],
      ],
      { status: 'completed', failureReason: null, at: at(9) },
    ],
    [
      'makes the call no_answer when a phone rang',
      [[0, joined(outbound({ callStatus: 'ringing' }))]],
      { status: 'no_answer', failureReason: 'ROOM_FINISHED', at: at(99) },
    ],
    [
      'makes the call failed when a phone was dialled',
      [[0, joined(outbound())]],
      { status: 'failed', failureReason: 'ROOM_FINISHED', at: at(99) },
    ],
    [
      'makes the call busy when a phone was busy',
      [
        [0, joined(outbound({ callStatus: 'ringing' }))],
        [9, left(outbound({ callStatus: 'ringing' }), 'USER_REJECTED')],
      ],
      { status: 'busy', failureReason: 'USER_REJECTED', at: at(9) },
    ],
    [
      'makes the call failed when nobody joined',
      [[0, STARTED]],
      { status: 'failed', failureReason: 'ROOM_FINISHED', at: at(99) },
    ],
  ])('%s', (_, script, expected) => {
    expect(finished(script)).toEqual(expected);
  });
});

test('a call ends with a talker who is missing from the list when no webhook reported the leave', () => {
  const again = reconnected(outbound({}, 'caller'));
  const call = callAfter([
    [0, joined(CALLER)],
    [1, joined(PERSON)],
    [2, left(CALLER, 'DUPLICATE_IDENTITY')],
    [3, joined(again)],
    [41, left(again)],
  ]);
  const list = {
    participants: [AGENT],
    requestedAt: at(42),
    version: versionOf(call.roster),
    isTrusted: true,
  };
  const roster = applyParticipantList(call.roster, list, at(42));
  expect(assess(call, roster, { policy: POLICY, now: at(42) })).toEqual(over('completed', null, 42));
});
