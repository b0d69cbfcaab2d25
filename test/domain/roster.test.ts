import { describe, expect, test } from 'vitest';
import {
  MAX_AUDIO_PUBLISHERS,
  parties,
  phonesAreGuests,
  presentMembers,
  versionOf,
} from '../../src/domain/roster.ts';
import {
  applyParticipantList,
  recordAudio,
  recordLeave,
  rosterOfNewCall,
} from '../../src/domain/roster-changes.ts';
import {
  AGENT,
  ANSWERED,
  at,
  audio,
  callAfter,
  connector,
  inbound,
  joined,
  left,
  OTHER_PERSON,
  outbound,
  PERSON,
  RECORDER,
  reconnected,
  type Script,
  STREAM,
} from '../harness/rosters.ts';

const rosterAfter = (script: Script) => callAfter(script).roster;
const sids = (members: readonly { readonly sid: string }[]) => members.map(({ sid }) => sid);
const phoneOf = (script: Script) => rosterAfter(script).members.find(({ phone }) => phone !== null)?.phone;

test('parties are phones, also ringing ones, and people', () => {
  const roster = rosterAfter([
    [0, joined(AGENT)],
    [1, joined(PERSON)],
    [2, joined(outbound({ callStatus: 'ringing' }))],
    [3, joined(connector())],
    [4, joined(RECORDER)],
    [5, joined(STREAM)],
    [6, joined(OTHER_PERSON)],
    [7, left(OTHER_PERSON)],
  ]);
  expect(sids(parties(roster))).toEqual(['PA_person', 'PA_phone', 'PA_whatsapp']);
  expect(sids(presentMembers(roster, 'agent'))).toEqual(['PA_agent']);
});

describe('a phone is answered', () => {
  test.each<[string, Script, boolean]>([
    ['active', [[0, joined(outbound({ callStatus: 'active' }))]], true],
    ['while DTMF is sent', [[0, joined(outbound({ callStatus: 'automation' }))]], true],
    ['outbound, by its tag', [[0, joined(outbound({ callTag: 'tag' }))]], true],
    ['not by the tag, inbound', [[0, joined(inbound())]], false],
    ['not while it rings', [[0, joined(outbound({ callStatus: 'ringing' }))]], false],
    [
      "by an agent's audio, inbound",
      [
        [0, joined(inbound())],
        [1, joined(AGENT)],
        [2, audio(AGENT)],
      ],
      true,
    ],
    [
      "by a person's audio that was reported before the joins, inbound",
      [
        [0, audio(PERSON)],
        [1, joined(PERSON)],
        [2, joined(inbound())],
      ],
      true,
    ],
    [
      'not by the audio of a participant who left',
      [
        [0, joined(PERSON)],
        [1, audio(PERSON)],
        [2, left(PERSON)],
        [3, joined(inbound())],
      ],
      false,
    ],
    [
      "not by an agent's audio, outbound",
      [
        [0, joined(outbound({ callStatus: 'ringing' }))],
        [1, joined(AGENT)],
        [2, audio(AGENT)],
      ],
      false,
    ],
    [
      "not by a stream's audio",
      [
        [0, joined(inbound())],
        [1, joined(STREAM)],
        [2, audio(STREAM)],
      ],
      false,
    ],
    ['a connector, once it is there', [[0, joined(connector())]], true],
  ])('%s', (_, script, isAnswered) => {
    expect(phoneOf(script)?.answeredAt != null).toBe(isAnswered);
  });

  test('a phone is not answered by the answer of another phone', () => {
    const roster = rosterAfter([
      [0, joined(outbound(ANSWERED, 'a'))],
      [1, joined(outbound({}, 'b'))],
    ]);
    expect(roster.members.map(({ phone }) => phone?.answeredAt)).toEqual([at(0), null]);
    expect(roster.answeredPhones).toBe(1);
  });
});

describe('a list of LiveKit', () => {
  const TALK: Script = [
    [0, joined(AGENT)],
    [1, joined(PERSON)],
    [10, left(PERSON)],
  ];
  const listed = (
    script: Script,
    participants: Parameters<typeof applyParticipantList>[1]['participants'],
    seconds: number,
  ) => {
    const roster = rosterAfter(script);
    const list = { participants, requestedAt: at(seconds), version: versionOf(roster), isTrusted: true };
    return applyParticipantList(roster, list, at(seconds));
  };

  test('may still show a participant right after a reported leave', () => {
    expect(sids(presentMembers(listed(TALK, [AGENT, PERSON], 14.9), 'person'))).toEqual([]);
    expect(sids(presentMembers(listed(TALK, [AGENT, PERSON], 15), 'person'))).toEqual(['PA_person']);
  });

  test('restores a participant that an earlier list lacked', () => {
    const roster = rosterAfter(TALK.slice(0, 2));
    const lacks = (before: typeof roster, seconds: number) =>
      applyParticipantList(
        before,
        { participants: [AGENT], requestedAt: at(seconds), version: versionOf(before), isTrusted: true },
        at(seconds),
      );
    const gone = lacks(lacks(roster, 20), 30);
    expect(gone.members.find(({ sid }) => sid === 'PA_person')?.departure).toMatchObject({
      at: at(20),
      reason: null,
      isReported: false,
    });
    const seen = {
      participants: [AGENT, PERSON],
      requestedAt: at(31),
      version: versionOf(gone),
      isTrusted: true,
    };
    expect(sids(presentMembers(applyParticipantList(gone, seen, at(31)), 'person'))).toEqual(['PA_person']);
  });

  test('belongs to one version of the roster, and each noticed departure makes a new version', () => {
    expect(versionOf(null)).toBe('');
    expect(versionOf(rosterAfter(TALK.slice(0, 2)))).toBe('RM_1:0');
    expect(versionOf(rosterAfter(TALK))).toBe('RM_1:1');
  });
});

test('a webhook replaces the inferred departure of the same participant', () => {
  const roster = rosterAfter([
    [0, joined(outbound(ANSWERED))],
    [1, joined(AGENT)],
  ]);
  const lacks = (before: typeof roster, seconds: number) =>
    applyParticipantList(
      before,
      { participants: [AGENT], requestedAt: at(seconds), version: versionOf(before), isTrusted: true },
      at(seconds),
    );
  const inferred = lacks(lacks(roster, 20), 30);
  expect(inferred.lastPhoneLeft).toMatchObject({ at: at(20), reason: null });
  const reported = recordLeave(inferred, outbound(ANSWERED), {
    sid: 'PA_phone',
    at: at(19),
    noticedAt: at(31),
    reason: 'CONNECTION_TIMEOUT',
    isReported: true,
    isAborted: false,
  });
  expect(reported.lastPhoneLeft).toMatchObject({ at: at(19), reason: 'CONNECTION_TIMEOUT' });
  expect(reported.lastTalkerLeft).toMatchObject({ at: at(19), reason: 'CONNECTION_TIMEOUT' });
});

test.each<[string, Script, boolean]>([
  [
    'an agent and a person talked before it joined',
    [
      [0, joined(AGENT)],
      [1, joined(PERSON)],
      [2, joined(outbound())],
    ],
    true,
  ],
  [
    'an agent alone was there',
    [
      [0, joined(AGENT)],
      [1, joined(outbound())],
      [2, joined(PERSON)],
    ],
    false,
  ],
  [
    'one person was there, by two connections',
    [
      [0, joined(PERSON)],
      [1, joined(reconnected(PERSON))],
      [2, joined(outbound())],
    ],
    false,
  ],
])('a phone is a guest or not: %s', (_, script, areGuests) => {
  expect(phonesAreGuests(rosterAfter(script))).toBe(areGuests);
});

test('a new call in the same session begins with the participants who are there', () => {
  const roster = rosterOfNewCall(
    rosterAfter([
      [0, joined(AGENT)],
      [1, joined(outbound(ANSWERED, 'earlier'))],
      [2, audio(AGENT)],
      [9, left(outbound(ANSWERED, 'earlier'))],
      [10, joined(inbound({}, 'next'))],
    ]),
  );
  expect(sids(roster.members)).toEqual(['PA_agent', 'PA_next']);
  expect(roster).toMatchObject({
    sid: 'RM_1',
    audioFrom: ['PA_agent'],
    answeredPhones: 1,
    departures: 0,
    lastPhoneLeft: null,
    lastLeaveNoticedAt: null,
    firstPhone: { sid: 'PA_next', direction: 'inbound' },
  });
});

test('a roster keeps a bounded number of audio publishers before their joins', () => {
  const roster = Array.from({ length: 9 }, (_, i) => `PA_${i}`).reduce(
    (before, sid) => recordAudio(before, sid, at(1)),
    rosterAfter([[0, joined(AGENT)]]),
  );
  expect(roster.audioFrom).toHaveLength(MAX_AUDIO_PUBLISHERS);
});
