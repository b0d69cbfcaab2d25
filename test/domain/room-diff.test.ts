import { describe, expect, test } from 'vitest';
import {
  createRoomDiff,
  INITIAL_RECONCILE_STATE,
  type LiveCall,
  onListFailed,
  type ReconcileState,
} from '../../src/domain/room-diff.ts';
import type { RoomRef } from '../../src/domain/room-event.ts';

const call = (parts: Partial<LiveCall> & { id: string }): LiveCall => ({
  status: 'active',
  roomName: parts.id,
  roomId: `RM_${parts.id}`,
  scheduledAt: null,
  createdAt: 1_000,
  updatedAt: 1_000,
  ...parts,
});
const room = (name: string, sid = `RM_${name}`) => ({ name, sid, createdAt: 1_000, metadata: '' });
const at = (now: number, limit = 50) => ({ now, callStartTimeoutMs: 86_400_000, limit });
function compareRooms(
  last: ReconcileState,
  { live, rooms }: { live: readonly LiveCall[]; rooms: readonly RoomRef[] },
  circumstances: ReturnType<typeof at>,
) {
  const { now, ...limits } = circumstances;
  const { addRooms, unlisted, addCalls, finish } = createRoomDiff(last, { requestedAt: now, ...limits });
  // In pages, as hangup receives them.
  for (const room of rooms) {
    addRooms([room], [live.find(({ roomName }) => roomName === room.name) ?? null]);
  }
  for (const call of live) {
    if (unlisted([call.roomName]).length > 0) addCalls([call], now);
  }
  return finish(now);
}
const ids = (calls: readonly LiveCall[]) => calls.map(({ id }) => id);

test('a room is gone when two lists at least 10 s apart lack it', () => {
  const live = [call({ id: 'a' }), call({ id: 'b' })];
  const first = compareRooms(INITIAL_RECONCILE_STATE, { live, rooms: [room('b')] }, at(100_000));
  expect(ids(first.callsWithoutRoom)).toEqual([]);
  const tooSoon = compareRooms(first.next, { live, rooms: [room('b')] }, at(109_999));
  expect(ids(tooSoon.callsWithoutRoom)).toEqual([]);
  expect(ids(compareRooms(tooSoon.next, { live, rooms: [room('b')] }, at(110_000)).callsWithoutRoom)).toEqual(
    ['a'],
  );
});

test('exactly the calls whose rooms were not listed are gone', () => {
  const live = Array.from({ length: 105 }, (_, i) => call({ id: `c${i}` }));
  const rooms = live.filter((_, i) => i % 3 !== 0).map(({ id }) => room(id));
  const first = compareRooms(INITIAL_RECONCILE_STATE, { live, rooms }, at(100_000));
  const { callsWithoutRoom } = compareRooms(first.next, { live, rooms }, at(115_000));
  expect(ids(callsWithoutRoom)).toEqual(ids(live.filter((_, i) => i % 3 === 0)));
});

test('an absence starts again when the room was listed in between or has a new session', () => {
  const live = [call({ id: 'a' })];
  const first = compareRooms(INITIAL_RECONCILE_STATE, { live, rooms: [room('x')] }, at(100_000));
  const back = compareRooms(first.next, { live, rooms: [room('a'), room('x')] }, at(115_000));
  const away = compareRooms(back.next, { live, rooms: [room('x')] }, at(130_000));
  expect(ids(away.callsWithoutRoom)).toEqual([]);
  const other = [call({ id: 'a', roomId: 'RM_another' })];
  expect(
    ids(compareRooms(away.next, { live: other, rooms: [room('x')] }, at(145_000)).callsWithoutRoom),
  ).toEqual([]);
});

test('a failed list restarts every absence and distrusts the next lists', () => {
  const live = [call({ id: 'a' })];
  const rooms = [room('x')];
  const first = compareRooms(INITIAL_RECONCILE_STATE, { live, rooms }, at(100_000));
  const back = compareRooms(onListFailed(first.next), { live, rooms }, at(115_000));
  expect(ids(back.callsWithoutRoom)).toEqual([]);
  const second = compareRooms(back.next, { live, rooms }, at(130_000));
  expect(ids(second.callsWithoutRoom)).toEqual([]);
  expect(ids(compareRooms(second.next, { live, rooms }, at(145_000)).callsWithoutRoom)).toEqual(['a']);
});

test('an empty list after a full one gives the clients of a restarted LiveKit time to return', () => {
  const live = [call({ id: 'a' })];
  const full = compareRooms(INITIAL_RECONCILE_STATE, { live, rooms: [room('a')] }, at(100_000));
  const empty = compareRooms(full.next, { live, rooms: [] }, at(115_000));
  const again = compareRooms(empty.next, { live, rooms: [] }, at(130_000));
  expect(ids(again.callsWithoutRoom)).toEqual([]);
  expect(ids(compareRooms(again.next, { live, rooms: [] }, at(145_000)).callsWithoutRoom)).toEqual(['a']);
});

test('a clock that is set back neither ends a call early nor prevents its end', () => {
  const live = [call({ id: 'a' })];
  const rooms = [room('x')];
  const first = compareRooms(INITIAL_RECONCILE_STATE, { live, rooms }, at(10_000_000));
  const setBack = compareRooms(first.next, { live, rooms }, at(1_000_000));
  expect(ids(setBack.callsWithoutRoom)).toEqual([]);
  expect(ids(compareRooms(setBack.next, { live, rooms }, at(1_015_000)).callsWithoutRoom)).toEqual(['a']);
});

test('a call fails a day after its planned start when its room never appeared', () => {
  const live = [
    call({ id: 'registered', status: 'initiated', roomId: null }),
    call({ id: 'scheduled', status: 'initiated', roomId: null, scheduledAt: 50_000_000 }),
    call({ id: 'there', status: 'initiated', roomId: null }),
  ];
  const never = (now: number) =>
    ids(compareRooms(INITIAL_RECONCILE_STATE, { live, rooms: [room('there')] }, at(now)).neverStartedCalls);
  expect(never(86_400_999)).toEqual([]);
  expect(never(86_401_000)).toEqual(['registered']);
  expect(never(136_400_000)).toEqual(['registered', 'scheduled']);
});

test('a room is unknown when no live call has its name and its sid on record', () => {
  const live = [call({ id: 'a' }), call({ id: 'b', roomId: null, status: 'initiated' }), call({ id: 'c' })];
  const rooms = [room('a'), room('b'), room('c', 'RM_later'), room('nobody')];
  const { unmatchedRooms } = compareRooms(INITIAL_RECONCILE_STATE, { live, rooms }, at(1));
  expect(unmatchedRooms.map(({ name }) => name)).toEqual(['b', 'c', 'nobody']);
});

describe('the calls whose participants are requested', () => {
  const some = (count: number, prefix: string, status: LiveCall['status']) =>
    Array.from({ length: count }, (_, i) => call({ id: `${prefix}${i}`, status }));
  const roomsOf = (live: readonly LiveCall[]) => live.map(({ id }) => room(id));

  test('are all live calls with a listed room, and calls that are not active come first', () => {
    const live = [...some(2, 'talks', 'active'), ...some(2, 'waits', 'connecting'), call({ id: 'absent' })];
    const rooms = roomsOf(live.slice(0, 4));
    const { callsToObserve } = compareRooms(INITIAL_RECONCILE_STATE, { live, rooms }, at(1));
    expect(ids(callsToObserve)).toEqual(['waits0', 'waits1', 'talks0', 'talks1']);
  });

  test('are at most as many as the limit, and half of them are active', () => {
    const live = [...some(30, 'busy', 'active'), ...some(30, 'new', 'ringing')];
    const { callsToObserve } = compareRooms(
      INITIAL_RECONCILE_STATE,
      { live, rooms: roomsOf(live) },
      at(1, 10),
    );
    expect(callsToObserve).toHaveLength(10);
    expect(callsToObserve.filter(({ status }) => status === 'active')).toHaveLength(5);
    const few = compareRooms(INITIAL_RECONCILE_STATE, { live, rooms: roomsOf(live.slice(0, 32)) }, at(1, 10));
    expect(few.callsToObserve.filter(({ status }) => status === 'active')).toHaveLength(8);
  });

  test.each<[string, LiveCall['status'], LiveCall[]]>([
    ['active calls beside others', 'active', some(40, 'ringing-beside', 'ringing')],
    ['other calls beside active ones', 'ringing', some(40, 'active-beside', 'active')],
    ['active calls alone', 'active', []],
    ['other calls alone', 'ringing', []],
  ])('come in turn, each before any comes again: %s', (name, status, beside) => {
    const turn = some(23, name, status);
    const live = [...turn, ...beside];
    const rooms = roomsOf(live);
    const requested: string[] = [];
    let last = INITIAL_RECONCILE_STATE;
    for (let now = 1; now <= 23 && requested.length < 23; now += 1) {
      const { callsToObserve, next } = compareRooms(last, { live, rooms }, at(now, 8));
      requested.push(...ids(callsToObserve.filter((call) => call.status === status)));
      last = next;
    }
    expect(requested.slice(0, 23).toSorted()).toEqual(ids(turn).toSorted());
  });
});

test('a room that was created after the list was requested does not count as absent', () => {
  const after = (requestedAt: number, updatedAt: number, now: number) => {
    const { addRooms, addCalls, finish } = createRoomDiff(INITIAL_RECONCILE_STATE, {
      callStartTimeoutMs: 86_400_000,
      limit: 50,
      requestedAt,
    });
    addRooms([room('x')], [null]);
    addCalls([call({ id: 'a', updatedAt })], now);
    return [...finish(now).next.missing.keys()];
  };
  expect(after(100_000, 99_999, 101_000)).toEqual(['a']);
  expect(after(100_000, 100_000, 101_000)).toEqual([]);
  expect(after(100_000, 101_000, 101_000)).toEqual([]);
  // A time in the future was stored before the clock was set back.
  expect(after(100_000, 101_001, 101_000)).toEqual(['a']);
});
