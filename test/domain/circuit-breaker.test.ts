import { expect, test } from 'vitest';
import {
  classifyOutcome,
  INITIAL_BREAKER_STATE,
  onRequestFinished,
} from '../../src/domain/circuit-breaker.ts';
import type { LiveKitError } from '../../src/domain/livekit-error.ts';

const TIMED_OUT: LiveKitError = { kind: 'timed_out', detail: 'x' };
const UNREACHABLE: LiveKitError = { kind: 'unavailable', code: null, detail: 'x' };
const NO_NODE: LiveKitError = { kind: 'unavailable', code: 'unavailable', detail: 'x' };
const RATE_LIMITED: LiveKitError = { kind: 'rate_limited', retryAfterMs: null, detail: 'x' };
const REFUSED: LiveKitError = { kind: 'refused', reason: 'credentials', code: 'x', detail: 'x' };

test('five unanswered requests in a row open the breaker since the first request, and a response closes the breaker', () => {
  let state = INITIAL_BREAKER_STATE;
  expect(state.isUp).toBeNull();
  for (const now of [10, 20, 30, 40]) state = onRequestFinished(state, 'unanswered', now);
  expect(state).toMatchObject({ openSince: null, isUp: null });
  const answered = onRequestFinished(state, 'answered', 45);
  expect(answered).toMatchObject({ openSince: null, isUp: true });
  expect(onRequestFinished(answered, 'unanswered', 50)).toMatchObject({ openSince: null, isUp: true });
  state = onRequestFinished(state, 'unanswered', 50);
  expect(state).toMatchObject({ openSince: 10, isUp: false });
  expect(onRequestFinished(state, 'unanswered', 60)).toMatchObject({ openSince: 10, isUp: false });
  expect(onRequestFinished(state, 'answered', 70)).toEqual(answered);
});

test('an inconclusive request changes nothing', () => {
  const state = onRequestFinished(INITIAL_BREAKER_STATE, 'unanswered', 10);
  expect(onRequestFinished(state, 'inconclusive', 20)).toBe(state);
});

test.each([
  ['DeleteRoom', { kind: 'answered' }, 'answered'],
  ['DeleteRoom', { kind: 'not_found' }, 'answered'],
  ['DeleteRoom', REFUSED, 'answered'],
  ['ListRooms', RATE_LIMITED, 'answered'],
  ['DeleteRoom', UNREACHABLE, 'unanswered'],
  ['SendData', UNREACHABLE, 'unanswered'],
  ['DeleteRoom', TIMED_OUT, 'unanswered'],
  ['ListParticipants', TIMED_OUT, 'unanswered'],
  // LiveKit's response, after 3 s, for a dead node, and to SendData for an absent room.
  ['DeleteRoom', NO_NODE, 'inconclusive'],
  ['SendData', NO_NODE, 'inconclusive'],
  ['SendData', TIMED_OUT, 'inconclusive'],
  ['UpdateSubscriptions', TIMED_OUT, 'inconclusive'],
  ['ListRooms', NO_NODE, 'unanswered'],
] as const)('%s with %j is %s', (method, outcome, result) => {
  expect(classifyOutcome(method, outcome)).toBe(result);
});
