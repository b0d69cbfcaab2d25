import { DisconnectReason } from '@livekit/protocol';
import { expect, test } from 'vitest';
import { explainFailure, explainReason } from '../../src/console/calls/explain.ts';
import { explainDeletionError } from '../../src/console/room-deletions/explain-error.ts';
import { formatLiveKitError } from '../../src/domain/livekit-error.ts';

test('every disconnect reason of LiveKit has an explanation', () => {
  const reasons = Object.keys(DisconnectReason).filter((name) => Number.isNaN(Number(name)));
  expect(reasons.length).toBeGreaterThan(10);
  expect(reasons.filter((reason) => explainFailure(reason) === null)).toEqual([]);
});

test.each([
  ['participant_left: USER_REJECTED', 'The phone rejected the call, for example because it was busy.'],
  ['participant_left: A_NEW_REASON', 'A participant left the room.'],
  ['room_finished', 'LiveKit closed the room.'],
  ['LiveKit listed the room', 'hangup found the change in LiveKit’s list of rooms, not by a webhook.'],
  ['wrong number', null],
  ['room_finished by me', null],
  ['constructor', null],
])('the reason %j is explained as %j', (reason, explanation) => {
  expect(explainReason(reason)).toBe(explanation);
});

test.each([
  [{ kind: 'timed_out', detail: 'no response within 10000 ms' }, 'LiveKit did not respond in time.', null],
  [
    { kind: 'unavailable', code: null, detail: 'connect ECONNREFUSED' },
    'LiveKit did not respond, or was not able to do the request.',
    null,
  ],
  [
    { kind: 'unavailable', code: 'internal', detail: 'internal: a fault' },
    'LiveKit failed internally.',
    'Check the logs of LiveKit.',
  ],
  [
    { kind: 'unavailable', code: 'unavailable', detail: 'unavailable: no response from servers (HTTP 503)' },
    'The LiveKit server with the room does not respond.',
    null,
  ],
  [
    { kind: 'unavailable', code: null, detail: 'no Twirp code: Bad gateway (HTTP 502)' },
    'LiveKit did not respond, or was not able to do the request.',
    null,
  ],
  [
    { kind: 'refused', reason: 'credentials', code: 'no Twirp code', detail: 'invalid token (HTTP 401)' },
    'LiveKit refused the request.',
    'Check LIVEKIT_API_KEY and LIVEKIT_API_SECRET. If they are right, compare the clocks.',
  ],
  [
    { kind: 'refused', reason: 'credentials', code: 'permission_denied', detail: 'no' },
    'The key may not do this.',
    'Check LIVEKIT_API_KEY and LIVEKIT_API_SECRET.',
  ],
] as const)('the error of a deletion %j is explained', (failure, cause, remedy) => {
  expect(explainDeletionError(formatLiveKitError(failure))).toEqual({ cause, remedy });
});

test('an error of another form has no explanation', () => {
  expect(explainDeletionError('an unknown fault')).toBeNull();
});
