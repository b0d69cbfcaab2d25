import { expect, test } from 'vitest';
import { assessLiveKitAddress } from '../../../src/doctor/checks/livekit-address.ts';

const ACCEPTED = { kind: 'answered', verdict: { kind: 'accepted', roomNames: [] }, clockSkewMs: 0 } as const;

test.each([
  ['u', ['u', 'v'], 'ok'],
  ['u', [], 'ok'],
  ['u', ['v'], 'warning'],
  ['u', ['v', 'u'], 'warning'],
  ['u', ['unrecorded'], 'ok'],
  [null, ['unrecorded'], 'failure'],
  [null, ['v'], 'failure'],
  [null, [], 'warning'],
])('LIVEKIT_URL %j on a database last used with %j is reported as %s', (url, servers, level) => {
  const livekit = url === null ? null : { url, facts: ACCEPTED };
  expect(assessLiveKitAddress(livekit, servers)).toMatchObject({ check: 'livekit', level });
});

test.each([
  [
    { kind: 'unreachable', detail: 'no response within 5000 ms' },
    'u does not respond: no response within 5000 ms',
  ],
  [
    { kind: 'answered', verdict: { kind: 'not_livekit', status: 404 }, clockSkewMs: 0 },
    'u is not a LiveKit server (HTTP 404)',
  ],
] as const)('a LiveKit that is %j is reported as a failure', (facts, message) => {
  expect(assessLiveKitAddress({ url: 'u', facts }, [])).toMatchObject({ level: 'failure', message });
});
