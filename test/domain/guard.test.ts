import { describe, expect, test } from 'vitest';
import type { Call } from '../../src/domain/call.ts';
import {
  checkDeletion,
  guardAgainstEvent,
  guardAgainstList,
  hasNewcomers,
  isDeletedWithoutCheck,
} from '../../src/domain/guard.ts';
import type { Participant, RoomEventPayload } from '../../src/domain/room-event.ts';
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
  STARTED,
  STREAM,
} from '../harness/rosters.ts';

/* Rule 11: the guard is against returning participants, not against new callers. */

const PHONE = inbound({ callStatus: 'active' }, 'caller');
/** livekit-sip gives the same caller the same identity, and each call its own sip.callID. */
const CALLS_AGAIN = { ...reconnected(PHONE), phone: inbound({ callId: 'SCL_next' }).phone };
const NEW_INBOUND = inbound({}, 'new caller');
const NEW_OUTBOUND = outbound(ANSWERED, 'dialled');
const NEW_PERSON = OTHER_PERSON;
const NEW_AGENT = { ...AGENT, sid: 'PA_new_agent', identity: 'new agent' };

const SCRIPT: Script = [
  [0, joined(AGENT)],
  [1, joined(PERSON)],
  [2, joined(PHONE)],
  [10, left(PHONE)],
  [11, left(PERSON)],
  [12, left(AGENT)],
];
const END_S = 20;

const ENDS = {
  cancelled: { status: 'cancelled' },
  'ended by inference': { status: 'completed' },
} as const;
type End = keyof typeof ENDS;

function endedCall(end: End, isAdopted: boolean, script = SCRIPT): Call {
  return {
    ...callAfter(script),
    ...ENDS[end],
    reviewAt: null,
    endedAt: at(END_S),
    adoptedPrefix: isAdopted ? 'room' : null,
  };
}

const SESSIONS = {
  'the same session': { name: 'room', sid: 'RM_1', createdAt: at(0), metadata: '' },
  'a new session': { name: 'room', sid: 'RM_2', createdAt: at(END_S + 5), metadata: '' },
};
type Session = keyof typeof SESSIONS;

const contextOf = (isAdoptable: boolean, now = at(END_S + 10)) => ({ policy: POLICY, now, isAdoptable });

function decideOnEvent(
  call: Call,
  payload: RoomEventPayload,
  { session, isAdoptable, now }: { session: Session; isAdoptable: boolean; now?: number },
) {
  const event = { id: 'EV_1', at: at(END_S + 10), room: SESSIONS[session], payload };
  return guardAgainstEvent(call, event, contextOf(isAdoptable, now));
}

/** Lets the participants join in sequence. Returns the first decision that is not `nothing`. */
function onJoins(
  end: End,
  isAdopted: boolean,
  participants: readonly Participant[],
  session: Session,
): string {
  let call = endedCall(end, isAdopted);
  for (const participant of participants) {
    const { decision, roster } = decideOnEvent(call, joined(participant), {
      session,
      isAdoptable: isAdopted,
    });
    if (decision.kind !== 'nothing') return decision.kind;
    call = { ...call, roster };
  }
  return 'nothing';
}

function onList(
  end: End,
  isAdopted: boolean,
  participants: readonly Participant[],
  session: Session,
): string {
  const requestedAt = at(END_S + 10);
  const list = { participants, requestedAt, version: '', isTrusted: false };
  const call = endedCall(end, isAdopted);
  return guardAgainstList(call, SESSIONS[session], list, contextOf(isAdopted)).decision.kind;
}

type Expected = readonly [
  registeredCancelled: string,
  adoptedCancelled: string,
  registeredEnded: string,
  adoptedEnded: string,
];

const ROWS: readonly (readonly [string, readonly Participant[], Expected])[] = [
  ['a returning agent', [reconnected(AGENT)], ['delete_room', 'delete_room', 'nothing', 'nothing']],
  ['a returning person', [reconnected(PERSON)], ['delete_room', 'delete_room', 'nothing', 'nothing']],
  ['a returning phone', [reconnected(PHONE)], ['delete_room', 'delete_room', 'delete_room', 'delete_room']],
  ['the same caller in a new call', [CALLS_AGAIN], ['delete_room', 'begin_call', 'nothing', 'begin_call']],
  ['a new inbound phone', [NEW_INBOUND], ['delete_room', 'begin_call', 'nothing', 'begin_call']],
  ['a new outbound phone', [NEW_OUTBOUND], ['delete_room', 'delete_room', 'nothing', 'begin_call']],
  ['a new person', [NEW_PERSON], ['delete_room', 'delete_room', 'nothing', 'begin_call']],
  ['a new agent', [NEW_AGENT], ['delete_room', 'nothing', 'nothing', 'nothing']],
  [
    'a conversation of a returning agent and person',
    [reconnected(AGENT), reconnected(PERSON)],
    ['delete_room', 'delete_room', 'nothing', 'begin_call'],
  ],
  ['a recorder', [RECORDER], ['nothing', 'nothing', 'nothing', 'nothing']],
  ['a hidden participant', [STREAM], ['nothing', 'nothing', 'nothing', 'nothing']],
];

const CALLS: readonly (readonly [string, End, boolean])[] = [
  ['a cancelled registered call', 'cancelled', false],
  ['a cancelled adopted call', 'cancelled', true],
  ['a registered call that ended by inference', 'ended by inference', false],
  ['an adopted call that ended by inference', 'ended by inference', true],
];

describe.each(['the same session', 'a new session'] as const)('in %s', (session) => {
  describe.each(CALLS.map(([name, end, isAdopted], i) => ({ name, end, isAdopted, i })))(
    'the room of $name',
    ({ end, isAdopted, i }) => {
      const cases = ROWS.map(([name, participants, expected]) => ({
        name,
        participants,
        expected: expected[i],
      }));
      test.each(cases)('$name joins: $expected', ({ participants, expected }) => {
        expect(onJoins(end, isAdopted, participants, session)).toBe(expected);
      });
      test.each(cases)('$name is listed: $expected', ({ participants, expected }) => {
        expect(onList(end, isAdopted, participants, session)).toBe(expected);
      });
    },
  );

  test('a returning phone is not disconnected from a conversation', () => {
    expect(onList('ended by inference', false, [reconnected(PHONE), reconnected(PERSON)], session)).toBe(
      'nothing',
    );
    expect(onList('ended by inference', true, [reconnected(PHONE), reconnected(PERSON)], session)).toBe(
      'begin_call',
    );
  });

  test('a new caller beside a returning agent begins a new call, also after a cancel', () => {
    expect(onList('cancelled', true, [reconnected(AGENT), NEW_INBOUND], session)).toBe('begin_call');
  });

  test.each(CALLS)(
    'room_started alone deletes only the room of a cancelled registered call: %s',
    (...row) => {
      const [, end, isAdopted] = row;
      const { decision } = decideOnEvent(endedCall(end, isAdopted), STARTED, {
        session,
        isAdoptable: isAdopted,
      });
      expect(decision.kind).toBe(end === 'cancelled' && !isAdopted ? 'delete_room' : 'nothing');
    },
  );
});

test('a new call begins with the present participants only', () => {
  const call = endedCall('ended by inference', true, SCRIPT.slice(0, 5));
  const { decision } = decideOnEvent(call, joined(NEW_INBOUND), {
    session: 'the same session',
    isAdoptable: true,
  });
  if (decision.kind !== 'begin_call') throw new Error(decision.kind);
  expect(decision.roster.members.map(({ sid }) => sid)).toEqual([AGENT.sid, NEW_INBOUND.sid]);
  expect(decision.roster).toMatchObject({
    sid: 'RM_1',
    departures: 0,
    lastPhoneLeft: null,
    answeredPhones: 0,
    firstPhone: { sid: NEW_INBOUND.sid },
  });
});

test('callers of the next session who were listed before the end of the call begin a new call', () => {
  const callers = [NEW_INBOUND, inbound({ callId: 'SCL_other' }, 'other caller')].map((caller) => ({
    ...caller,
    joinedAt: at(15),
  }));
  const script: Script = [...SCRIPT, ...callers.map((caller) => [15, joined(caller)] as const)];
  const call = endedCall('ended by inference', true, script);
  expect(call.roster?.members.map(({ sid }) => sid)).toEqual(
    expect.arrayContaining(callers.map(({ sid }) => sid)),
  );
  const room = { name: 'room', sid: 'RM_2', createdAt: at(15), metadata: '' };
  for (const caller of callers) {
    const event = { id: 'EV_1', at: at(16), room, payload: joined(caller) };
    expect(guardAgainstEvent(call, event, contextOf(true)).decision.kind).toBe('begin_call');
  }
  const list = { participants: callers, requestedAt: at(END_S + 10), version: '', isTrusted: false };
  expect(guardAgainstList(call, room, list, contextOf(true)).decision.kind).toBe('begin_call');
});

test('a repeated join of an earlier participant begins no call', () => {
  const call = endedCall('ended by inference', true, SCRIPT.slice(0, 3));
  const { decision } = decideOnEvent(call, joined(PERSON), {
    session: 'the same session',
    isAdoptable: true,
  });
  expect(decision.kind).toBe('nothing');
});

test('late events of an earlier or a finished session are ignored', () => {
  const call = endedCall('cancelled', false);
  const early = { name: 'room', sid: 'RM_0', createdAt: at(-100), metadata: '' };
  const event = { id: 'EV_1', at: at(-90), room: early, payload: joined(PHONE) };
  expect(guardAgainstEvent(call, event, contextOf(false)).decision.kind).toBe('nothing');
  const finished = { ...call, roster: call.roster && { ...call.roster, isFinished: true } };
  const late = decideOnEvent(finished, joined(reconnected(PHONE)), {
    session: 'the same session',
    isAdoptable: false,
  });
  expect(late.decision.kind).toBe('nothing');
});

test('no room is guarded after the guard time', () => {
  const call = endedCall('cancelled', false);
  const now = at(END_S) + POLICY.recreatedRoomWindowMs + 1;
  const late = decideOnEvent(call, joined(PHONE), { session: 'a new session', isAdoptable: false, now });
  expect(late.decision.kind).toBe('nothing');
  expect(late.roster).toBe(call.roster);
});

test('a call that ended by absence is reported when its session still has its participants', () => {
  const ended = endedCall('ended by inference', false, SCRIPT.slice(0, 3));
  const call = { ...ended, roster: ended.roster && { ...ended.roster, isFinished: true } };
  const list = {
    participants: [AGENT, PERSON, PHONE],
    requestedAt: at(END_S + 10),
    version: '',
    isTrusted: false,
  };
  const seen = guardAgainstList(call, SESSIONS['the same session'], list, contextOf(false));
  expect(seen.decision).toEqual({
    kind: 'report_survival',
    reason: 'its room RM_1 is still in use: 2 parties',
  });
  const isPhone = ({ identity }: { identity: string }) => identity === PHONE.identity;
  const roster = call.roster && { ...call.roster, members: call.roster.members.filter(isPhone) };
  const alone = { ...list, participants: [AGENT, PHONE] };
  const one = guardAgainstList({ ...call, roster }, SESSIONS['the same session'], alone, contextOf(false));
  expect(one).toMatchObject({
    decision: { reason: 'its room RM_1 is still in use: 1 party' },
  });
  const later = guardAgainstList(
    { ...call, roster: seen.roster },
    SESSIONS['the same session'],
    list,
    contextOf(false),
  );
  expect(later.decision.kind).toBe('nothing');
});

describe('the check before a deletion', () => {
  const check = (end: End, isAdopted: boolean, participants: readonly Participant[]) =>
    checkDeletion(endedCall(end, isAdopted, SCRIPT.slice(0, 3)), participants, { isAdoptable: isAdopted });

  test.each<[string, readonly Participant[], readonly [string, string, string, string]]>([
    ['nobody', [], ['delete', 'delete', 'delete', 'delete']],
    ['its own agent', [AGENT], ['delete', 'delete', 'delete', 'delete']],
    ['its own phone', [PHONE], ['delete', 'delete', 'delete', 'delete']],
    ['its own phone and agent', [PHONE, AGENT], ['delete', 'delete', 'delete', 'delete']],
    ['its own phone and person', [PHONE, PERSON], ['delete', 'delete', 'keep', 'look_closer']],
    ['recorders and hidden participants', [RECORDER, STREAM], ['delete', 'delete', 'delete', 'delete']],
    ['a new caller', [NEW_INBOUND], ['delete', 'look_closer', 'keep', 'look_closer']],
    [
      'a new caller and its own agent',
      [NEW_INBOUND, AGENT],
      ['delete', 'look_closer', 'delete', 'look_closer'],
    ],
    ['the same caller in a new call', [CALLS_AGAIN], ['delete', 'look_closer', 'keep', 'look_closer']],
    ['two other people', [NEW_PERSON, reconnected(PERSON)], ['delete', 'delete', 'keep', 'look_closer']],
    [
      'a returning person in a later session',
      [reconnected(PERSON)],
      ['delete', 'delete', 'keep', 'look_closer'],
    ],
    ['a returning phone in a later session', [reconnected(PHONE)], ['delete', 'delete', 'delete', 'delete']],
  ])('of a room with %s', (_, participants, expected) => {
    const found = CALLS.map(([, end, isAdopted]) => check(end, isAdopted, participants));
    expect(found).toEqual(expected);
  });

  test.each<[string, End, boolean, { attempt: number; ageMs: number }, boolean]>([
    ['a cancel', 'cancelled', false, { attempt: 1, ageMs: 0 }, true],
    ['a retry of a registered room', 'cancelled', false, { attempt: 7, ageMs: 60_000 }, true],
    ['a cancel in an adopted room', 'cancelled', true, { attempt: 1, ageMs: 1_000 }, true],
    [
      'a retry in an adopted room, which a newer call may use',
      'cancelled',
      true,
      { attempt: 2, ageMs: 0 },
      false,
    ],
    ['a late first attempt in an adopted room', 'cancelled', true, { attempt: 1, ageMs: 1_001 }, false],
    ['a clock that was set back, in an adopted room', 'cancelled', true, { attempt: 1, ageMs: -1 }, false],
    ['an end by inference', 'ended by inference', false, { attempt: 1, ageMs: 0 }, false],
    ['an end by inference in an adopted room', 'ended by inference', true, { attempt: 1, ageMs: 0 }, false],
  ])('after %s', (_, end, isAdopted, deletion, isUnchecked) => {
    const call = endedCall(end, isAdopted);
    expect(isDeletedWithoutCheck(call, { isAdoptable: isAdopted, ...deletion })).toBe(isUnchecked);
  });

  test.each<[string, readonly Participant[], readonly [boolean, boolean, boolean, boolean]]>([
    ['nobody', [], [false, false, false, false]],
    ['its own phone and agent', [PHONE, AGENT], [false, false, false, false]],
    ['a new caller', [NEW_INBOUND], [false, true, true, true]],
    ['a returning person', [reconnected(PERSON)], [false, false, true, true]],
    ['a returning agent', [reconnected(AGENT)], [false, false, false, false]],
  ])('stops its rescue when newcomers are in the room: %s', (_, participants, expected) => {
    const found = CALLS.map(([, end, isAdopted]) =>
      hasNewcomers(endedCall(end, isAdopted), participants, { isAdoptable: isAdopted }),
    );
    expect(found).toEqual(expected);
  });
});

test('a leave after the end is not dated after its arrival when the clock of LiveKit is ahead', () => {
  const call = endedCall('cancelled', false, SCRIPT.slice(0, 3));
  const room = { name: 'room', sid: 'RM_1', createdAt: at(0), metadata: '' };
  const event = { id: 'EV_late', at: at(END_S + 3_600), room, payload: left(PHONE) };
  const { roster } = guardAgainstEvent(call, event, contextOf(false, at(END_S + 1)));
  expect(roster?.lastPhoneLeft?.at).toBe(at(END_S + 1));
});
