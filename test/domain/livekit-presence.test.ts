import { expect, test } from 'vitest';
import type { LiveKitFailure } from '../../src/domain/livekit-failure.ts';
import { afterRequest, PRESENT } from '../../src/domain/livekit-presence.ts';

const failure = { kind: 'timed_out', detail: 'x' } as const satisfies LiveKitFailure;

test('away after five unanswered requests in a row, since the first of them; back with one answer', () => {
  let presence = PRESENT;
  for (const now of [10, 20, 30, 40]) presence = afterRequest(presence, failure, now);
  expect(presence.awaySince).toBeNull();
  expect(afterRequest(afterRequest(presence, null, 45), failure, 50).awaySince).toBeNull();
  presence = afterRequest(presence, failure, 50);
  expect(presence.awaySince).toBe(10);
  expect(afterRequest(presence, failure, 60).awaySince).toBe(10);
  expect(afterRequest(presence, null, 70)).toEqual(PRESENT);
});
