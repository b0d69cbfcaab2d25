import { expect, test } from 'vitest';
import { newCall } from '../../src/domain/call.ts';
import { matchCall } from '../../src/domain/match-call.ts';
import type { RoomEventPayload } from '../../src/domain/room-event.ts';
import { scheduleDeletion } from '../../src/domain/schedule-deletion.ts';
import { FINISHED, joined, left, PERSON, POLICY, STARTED } from '../harness/rosters.ts';

const ROOM = { name: 'room', sid: 'RM_2', createdAt: 9_000, metadata: '' };
const LIVE = newCall({ id: 'live', organizationId: 'org', roomName: 'room', createdAt: 8_000 });
const ENDED = { ...LIVE, id: 'ended', status: 'completed', roomId: 'RM_1', endedAt: 5_000 } as const;
const NOTHING = { call: null, previousCall: null, incompleteDeletion: null, now: 10_000 };
const LATE = 5_000 + POLICY.recreatedRoomWindowMs + 1;

const match = (
  snapshot: Partial<Parameters<typeof matchCall>[0]>,
  payload: RoomEventPayload = STARTED,
  room = ROOM,
) => matchCall({ ...NOTHING, ...snapshot }, { room, payload }, POLICY);

test('an event of a room without a call matches no call', () => {
  expect(match({})).toBeNull();
});

test('an event matches the live call in its room, however long ago the call began', () => {
  expect(match({ call: LIVE })).toBe(LIVE);
  expect(match({ call: LIVE, now: 10 * LATE })).toBe(LIVE);
});

test('an event matches an ended call within the time in which its room may be recreated', () => {
  expect(match({ call: ENDED, now: LATE - 1 })).toBe(ENDED);
  expect(match({ call: ENDED, now: LATE })).toBeNull();
});

test('an event matches an ended call while the deletion of its room is open, but not after the deletion was discarded', () => {
  const open = scheduleDeletion(ENDED, null, 5_000);
  expect(match({ call: ENDED, now: LATE, incompleteDeletion: open })).toBe(ENDED);
  expect(match({ call: ENDED, now: LATE, incompleteDeletion: { ...open, state: 'discarded' } })).toBeNull();
});

test("an event of an earlier call's session does not match a call without a room", () => {
  const snapshot = { call: LIVE, previousCall: ENDED };
  expect(match(snapshot, STARTED, { ...ROOM, sid: 'RM_1' })).toBe('earlier_session');
  expect(match(snapshot)).toBe(LIVE);
  expect(
    match({ ...snapshot, call: { ...LIVE, roomId: 'RM_2' } }, STARTED, { ...ROOM, sid: 'RM_1' }),
  ).toEqual(expect.objectContaining({ id: 'live' }));
});

test.each([
  ['room_finished', FINISHED, 'earlier_session'],
  ['participant_left', left(PERSON), 'earlier_session'],
  ['participant_joined', joined(PERSON), LIVE],
  ['room_started', STARTED, LIVE],
])('%s of a room that was created before the end of an earlier call', (_, payload, expected) => {
  const room = { ...ROOM, sid: 'RM_never_seen', createdAt: 4_000 };
  expect(match({ call: LIVE, previousCall: ENDED }, payload, room)).toBe(expected);
});
