import { expect, test } from 'vitest';
import {
  CALL_STATUSES,
  canTransition,
  clampTime,
  durationSeconds,
  ENDED_STATUSES,
  hasUnansweredPhone,
  isLive,
  LIVE_STATUSES,
} from '../../src/domain/call.ts';
import { ANSWERED, callAfter, inbound, joined, outbound, PERSON } from '../harness/rosters.ts';

test('no status follows an end status', () => {
  for (const from of ENDED_STATUSES) {
    for (const to of CALL_STATUSES) expect(canTransition(from, to), `${from} to ${to}`).toBe(false);
  }
});

test('live statuses only move forward, and may skip steps', () => {
  LIVE_STATUSES.forEach((from, i) => {
    LIVE_STATUSES.forEach((to, j) => {
      expect(canTransition(from, to), `${from} to ${to}`).toBe(j > i);
    });
  });
});

test('every live status may become cancelled, completed or failed', () => {
  for (const from of LIVE_STATUSES) {
    for (const to of ['cancelled', 'completed', 'failed'] as const)
      expect(canTransition(from, to)).toBe(true);
  }
});

test('no_answer and busy end an unanswered call and never an active one', () => {
  for (const to of ['no_answer', 'busy'] as const) {
    expect(canTransition('ringing', to)).toBe(true);
    expect(canTransition('active', to)).toBe(false);
  }
});

test('every status is either live or an end status', () => {
  expect(CALL_STATUSES.filter(isLive)).toEqual([...LIVE_STATUSES]);
  expect(CALL_STATUSES).toHaveLength(9);
});

test('the duration counts from answer to end, and is null when either is unknown', () => {
  expect(durationSeconds({ answeredAt: 1_000, endedAt: 43_400 })).toBe(42);
  expect(durationSeconds({ answeredAt: null, endedAt: 43_000 })).toBeNull();
  expect(durationSeconds({ answeredAt: 1_000, endedAt: null })).toBeNull();
});

test('a time on the record is neither before the times on record nor in the future', () => {
  const call = { createdAt: 1_000, startedAt: 2_000, answeredAt: null };
  expect(clampTime(call, 3_000, 5_000)).toBe(3_000);
  expect(clampTime(call, 1_500, 5_000)).toBe(2_000);
  expect(clampTime(call, 9_000, 5_000)).toBe(5_000);
  expect(clampTime({ ...call, answeredAt: 6_000 }, 3_000, 5_000)).toBe(6_000);
  expect(clampTime({ ...call, startedAt: null }, 0, 0)).toBe(1_000);
});

test('a live call has an unanswered phone until each present phone is answered or the call ends', () => {
  const ringing = callAfter([[1, joined(inbound())]]);
  expect(hasUnansweredPhone(ringing)).toBe(true);
  expect(hasUnansweredPhone({ ...ringing, status: 'cancelled' })).toBe(false);
  expect(hasUnansweredPhone({ ...ringing, roster: null })).toBe(false);
  expect(hasUnansweredPhone(callAfter([[1, joined(outbound(ANSWERED))]]))).toBe(false);
  const left = { kind: 'participant_left', participant: inbound(), reason: 'CLIENT_INITIATED' } as const;
  expect(
    hasUnansweredPhone(
      callAfter([
        [1, joined(inbound())],
        [2, joined(PERSON)],
        [3, left],
      ]),
    ),
  ).toBe(false);
});
