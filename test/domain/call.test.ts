import { expect, test } from 'vitest';
import {
  CALL_STATUSES,
  canTransition,
  durationSeconds,
  ENDED_STATUSES,
  isLive,
  LIVE_STATUSES,
} from '../../src/domain/call.ts';

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
