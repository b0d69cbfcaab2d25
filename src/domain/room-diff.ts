import type { LiveStatus } from './call.ts';
import type { RoomRef } from './room-event.ts';
import type { Timestamp } from './time.ts';

/** Of a live call, what comparing needs. */
export interface LiveCall {
  readonly id: string;
  readonly status: LiveStatus;
  readonly roomName: string;
  /** Null: its room was never seen. */
  readonly roomId: string | null;
  readonly scheduledAt: Timestamp | null;
  readonly createdAt: Timestamp;
  readonly updatedAt: Timestamp;
  /** Of its roster. */
  readonly version: string;
}

/** What one comparison leaves for the next. */
export interface ReconcileState {
  /** Since when the room of a live call has not been listed, by the call's id; with the room's sid. */
  readonly absent: ReadonlyMap<string, { readonly sid: string | null; readonly since: Timestamp }>;
  /** How many rooms were listed; null: there was no whole answer. */
  readonly listed: number | null;
  /** Until then no absence ends a call. */
  readonly distrustUntil: Timestamp;
  /** The id of the last active call whose participants were requested: the next comparison goes on after it. */
  readonly lastAsked: string;
  /** The same of the calls that are not active. */
  readonly lastWaitingAsked: string;
  /** The last ended call's room whose participants were requested, by its name. */
  readonly lastEnded: string;
  /** When its list was requested; null: there was none. */
  readonly askedAt: Timestamp | null;
}

export const INITIAL_RECONCILE_STATE: ReconcileState = {
  absent: new Map(),
  listed: 0,
  distrustUntil: 0,
  lastAsked: '',
  lastWaitingAsked: '',
  lastEnded: '',
  askedAt: null,
};

/** A room is gone when it was not listed in two comparisons so far apart. */
const ABSENT_FOR_MS = 10_000;
/** After LiveKit was away its clients need this long to come back, and their rooms with them. */
const DISTRUST_MS = 30_000;

export interface RoomDiff {
  readonly next: ReconcileState;
  /** Live calls whose room is gone. */
  readonly gone: readonly LiveCall[];
  readonly neverStarted: readonly LiveCall[];
  /** Listed rooms that are not the ones of the live calls as they are on record. */
  readonly unknown: readonly RoomRef[];
  /** Live calls whose room is there, and whose participants are to be compared now. */
  readonly toAsk: readonly LiveCall[];
}

/** No answer, or not a whole one: nothing is known, and what was absent must be seen to be so again. */
export function onListFailed(last: ReconcileState): ReconcileState {
  return { ...last, absent: new Map(), listed: null };
}

/** LiveKit answers again: its clients need time to come back, and their rooms with them. */
export function afterOutage(last: ReconcileState, now: Timestamp): ReconcileState {
  return { ...last, absent: new Map(), distrustUntil: now + DISTRUST_MS };
}

/**
 * One comparison of LiveKit's rooms with the live calls. Both come in parts, first the rooms and then the calls, and of
 * what agrees only the call's id is kept: a hundred thousand of both would be too much to hold at once.
 */
export function createRoomDiff(
  last: ReconcileState,
  {
    askedAt,
    callStartTimeoutMs,
    limit,
  }: {
    askedAt: Timestamp;
    callStartTimeoutMs: number;
    /** So many calls' participants are compared at most. */
    limit: number;
  },
) {
  const seen = new Set<string>();
  const unknown: RoomRef[] = [];
  // Calls that are not active come first: nothing else shows that somebody has joined them.
  const waiting = turn(last.lastWaitingAsked, limit);
  const active = turn(last.lastAsked, limit);
  const absent = new Map<string, { sid: string | null; since: Timestamp }>();
  const gone: LiveCall[] = [];
  const neverStarted: LiveCall[] = [];
  let listed = 0;

  /** @param inThem the live calls in these rooms */
  function takeRooms(rooms: readonly RoomRef[], inThem: readonly LiveCall[]): void {
    listed += rooms.length;
    const callIn = new Map(inThem.map((call) => [call.roomName, call]));
    for (const room of rooms) {
      const call = callIn.get(room.name);
      if (call === undefined || call.roomId !== room.sid) unknown.push(room);
      if (call === undefined) continue;
      seen.add(call.id);
      (call.status === 'active' ? active : waiting).offer(call);
    }
  }

  /** When the list is whole, and not before. */
  function takeCalls(calls: readonly LiveCall[], now: Timestamp): void {
    const distrustUntil = distrustedUntil(now);
    for (const call of calls) {
      if (seen.has(call.id)) continue;
      if (call.status === 'initiated' && call.roomId === null) {
        const due = Math.max(call.createdAt, call.scheduledAt ?? 0) + callStartTimeoutMs;
        if (now >= due) neverStarted.push(call);
      } else if (call.updatedAt >= askedAt && call.updatedAt <= now) {
        // Its room may have been made after LiveKit wrote its list: the next one says.
      } else {
        const before = last.absent.get(call.id);
        const since = before?.sid === call.roomId ? Math.min(before.since, now) : now;
        if (now - since >= ABSENT_FOR_MS && now >= distrustUntil) gone.push(call);
        else absent.set(call.id, { sid: call.roomId, since });
      }
    }
  }

  function distrustedUntil(now: Timestamp): Timestamp {
    const isBackJustNow = last.listed === null || (listed === 0 && last.listed > 0);
    return isBackJustNow ? now + DISTRUST_MS : last.distrustUntil;
  }

  function conclude(now: Timestamp): RoomDiff {
    // Half of the limit at least is for active calls, so that their turn comes however many others there are.
    const fromActive = active.take(Math.max(Math.ceil(limit / 2), limit - waiting.size()));
    const fromWaiting = waiting.take(limit - fromActive.length);
    const toAsk = [...fromWaiting, ...fromActive];
    const lastAsked = fromActive.at(-1)?.id ?? last.lastAsked;
    const lastWaitingAsked = fromWaiting.at(-1)?.id ?? last.lastWaitingAsked;
    const next = {
      absent,
      listed,
      distrustUntil: distrustedUntil(now),
      lastAsked,
      lastWaitingAsked,
      lastEnded: last.lastEnded,
      askedAt,
    };
    return { next, gone, neverStarted, unknown, toAsk };
  }

  return { takeRooms, takeCalls, conclude };
}

/** Returns the calls whose turn is next, by id: those after the last one, then those from the beginning. */
function turn(after: string, limit: number) {
  let ahead: LiveCall[] = [];
  let rest: LiveCall[] = [];
  const lowest = (calls: LiveCall[]) => calls.toSorted((a, b) => (a.id < b.id ? -1 : 1)).slice(0, limit);
  return {
    offer(call: LiveCall) {
      if (call.id > after) ahead.push(call);
      else rest.push(call);
      // Twice the limit at most is held.
      if (ahead.length > 2 * limit) ahead = lowest(ahead);
      if (rest.length > 2 * limit) rest = lowest(rest);
    },
    size: () => Math.min(limit, ahead.length + rest.length),
    take: (count: number) => [...lowest(ahead), ...lowest(rest)].slice(0, count),
  };
}
