import { expect, test } from 'vitest';
import { assessRooms } from '../../../src/doctor/checks/rooms.ts';

test.each([
  [
    { live: 0, ended: 0, unknown: 0 },
    'ok',
    'LiveKit has 0 rooms: 0 of live calls, 0 of ended calls, 0 without a call',
  ],
  [
    { live: 2, ended: 0, unknown: 3 },
    'ok',
    'LiveKit has 5 rooms: 2 of live calls, 0 of ended calls, 3 without a call',
  ],
  [
    { live: 0, ended: 1, unknown: 0 },
    'warning',
    'LiveKit has 1 room: 0 of live calls, 1 of ended calls, 0 without a call',
  ],
])('the rooms %j are reported as %s', (rooms, level, message) => {
  expect(assessRooms(rooms)).toMatchObject({ check: 'rooms', level, message });
});
