import type { LiveStatus } from './call-status.ts';
import type { RoomRef } from './room-event.ts';
import { MISSING_CONFIRM_MS } from './roster.ts';
import type { Timestamp } from './time.ts';

/** The fields of a live call that reconciliation needs. */
export interface LiveCall {
  readonly id: string;
  readonly status: LiveStatus;
  readonly roomName: string;
  /** Null: the room was never observed. */
  readonly roomId: string | null;
  readonly scheduledAt: Timestamp | null;
  readonly createdAt: Timestamp;
  readonly updatedAt: Timestamp;
}

/** State that one run of the reconciliation passes to the next run. */
export interface ReconcileState {
  /** Live calls whose room is missing from LiveKit's list, by call id: the room's sid and the first such list. */
  readonly missing: ReadonlyMap<string, { readonly sid: string | null; readonly since: Timestamp }>;
  /** Number of rooms in the list; null: the list failed or was incomplete. */
  readonly listedRooms: number | null;
  /** Until this time, a missing room does not end a call. */
  readonly settlingUntil: Timestamp;
  /** Id of the last active call whose participants were requested: the next run continues after it. */
  readonly lastActiveCall: string;
  /** The same for calls that are not active. */
  readonly lastWaitingCall: string;
  /** Name of the last room of an ended call whose participants were requested. */
  readonly lastEndedRoom: string;
  /** Time of the request for the list; null: no request yet. */
  readonly requestedAt: Timestamp | null;
}

export const INITIAL_RECONCILE_STATE: ReconcileState = {
  missing: new Map(),
  listedRooms: 0,
  settlingUntil: 0,
  lastActiveCall: '',
  lastWaitingCall: '',
  lastEndedRoom: '',
  requestedAt: null,
};

/** After an outage of LiveKit, clients need this long to reconnect and recreate their rooms. */
const RECOVERY_SETTLE_MS = 30_000;

export interface RoomDiff {
  readonly next: ReconcileState;
  /** Live calls whose room is missing from two lists. */
  readonly callsWithoutRoom: readonly LiveCall[];
  /** Calls whose room was not observed in time. */
  readonly neverStartedCalls: readonly LiveCall[];
  /** Listed rooms that are not the recorded session of a live call. */
  readonly unmatchedRooms: readonly RoomRef[];
  /** Live calls with a listed room whose participants are compared in this run. */
  readonly callsToObserve: readonly LiveCall[];
}

/** The list failed or was incomplete: earlier observations of missing rooms no longer count. */
export function onListFailed(previous: ReconcileState): ReconcileState {
  return { ...previous, missing: new Map(), listedRooms: null };
}

/** LiveKit recovered: clients need time to reconnect, so earlier observations of missing rooms no longer count. */
export function afterOutage(previous: ReconcileState, now: Timestamp): ReconcileState {
  return { ...previous, missing: new Map(), settlingUntil: now + RECOVERY_SETTLE_MS };
}

/**
 * Compares LiveKit's rooms with the live calls. Add all rooms, then the live calls in unlisted rooms, both in pages:
 * 100,000 of both at once would need too much memory. Of matching calls only the room's name is kept.
 */
export function createRoomDiff(
  previous: ReconcileState,
  {
    requestedAt,
    callStartTimeoutMs,
    limit,
  }: {
    requestedAt: Timestamp;
    callStartTimeoutMs: number;
    /** Maximum number of calls whose participants are compared. */
    limit: number;
  },
) {
  const listedRoomsOfCalls = new Set<string>();
  const unmatchedRooms: RoomRef[] = [];
  // Calls that are not active come first: no other observation shows that a participant joined.
  const waiting = roundRobin(previous.lastWaitingCall, limit);
  const active = roundRobin(previous.lastActiveCall, limit);
  const missing = new Map<string, { sid: string | null; since: Timestamp }>();
  const callsWithoutRoom: LiveCall[] = [];
  const neverStartedCalls: LiveCall[] = [];
  let listedRooms = 0;

  /** @param liveCalls the live call in each of these rooms, or null */
  function addRooms(rooms: readonly RoomRef[], liveCalls: readonly (LiveCall | null)[]): void {
    listedRooms += rooms.length;
    for (const [i, room] of rooms.entries()) {
      const call = liveCalls[i] ?? null;
      if (call === null || call.roomId !== room.sid) unmatchedRooms.push(room);
      if (call === null) continue;
      listedRoomsOfCalls.add(call.roomName);
      (call.status === 'active' ? active : waiting).offer(call);
    }
  }

  /** Returns the rooms that are not listed. Call this only after all rooms were added. @param roomNames of live calls */
  function unlisted(roomNames: readonly string[]): readonly string[] {
    return roomNames.filter((name) => !listedRoomsOfCalls.has(name));
  }

  /** @param calls the live calls in {@link unlisted} rooms */
  function addCalls(calls: readonly LiveCall[], now: Timestamp): void {
    const settlingUntil = computeSettlingUntil(now);
    for (const call of calls) {
      if (call.status === 'initiated' && call.roomId === null) {
        const dueAt = Math.max(call.createdAt, call.scheduledAt ?? 0) + callStartTimeoutMs;
        if (now >= dueAt) neverStartedCalls.push(call);
      } else if (call.updatedAt >= requestedAt && call.updatedAt <= now) {
        // The room may be newer than LiveKit's list: the next list decides.
      } else {
        const earlier = previous.missing.get(call.id);
        const since = earlier?.sid === call.roomId ? Math.min(earlier.since, now) : now;
        if (now - since >= MISSING_CONFIRM_MS && now >= settlingUntil) callsWithoutRoom.push(call);
        else missing.set(call.id, { sid: call.roomId, since });
      }
    }
  }

  function computeSettlingUntil(now: Timestamp): Timestamp {
    const hasRecovered = previous.listedRooms === null || (listedRooms === 0 && previous.listedRooms > 0);
    return hasRecovered ? now + RECOVERY_SETTLE_MS : previous.settlingUntil;
  }

  function finish(now: Timestamp): RoomDiff {
    // Active calls get at least half of the limit, so that their turn comes regardless of the number of others.
    const fromActive = active.take(Math.max(Math.ceil(limit / 2), limit - waiting.size()));
    const fromWaiting = waiting.take(limit - fromActive.length);
    const callsToObserve = [...fromWaiting, ...fromActive];
    const lastActiveCall = fromActive.at(-1)?.id ?? previous.lastActiveCall;
    const lastWaitingCall = fromWaiting.at(-1)?.id ?? previous.lastWaitingCall;
    const next = {
      missing,
      listedRooms,
      settlingUntil: computeSettlingUntil(now),
      lastActiveCall,
      lastWaitingCall,
      lastEndedRoom: previous.lastEndedRoom,
      requestedAt,
    };
    return { next, callsWithoutRoom, neverStartedCalls, unmatchedRooms, callsToObserve };
  }

  return { addRooms, unlisted, addCalls, finish };
}

/** Selects at most `limit` calls in turn: the lowest ids after `after`, then the lowest of all. */
function roundRobin(after: string, limit: number) {
  const ahead = lowestIds(limit);
  const rest = lowestIds(limit);
  return {
    offer: (call: LiveCall) => (call.id > after ? ahead : rest).offer(call),
    size: () => Math.min(limit, ahead.take().length + rest.take().length),
    take: (count: number) => [...ahead.take(), ...rest.take()].slice(0, count),
  };
}

/** Selects the calls with the lowest ids, of which it holds at most twice the limit in memory. */
function lowestIds(limit: number) {
  let calls: LiveCall[] = [];
  /** A higher id is not among the lowest. */
  let highest: string | null = null;
  const take = () => calls.toSorted((a, b) => (a.id < b.id ? -1 : 1)).slice(0, limit);
  return {
    offer(call: LiveCall) {
      if (highest !== null && call.id > highest) return;
      calls.push(call);
      if (calls.length <= 2 * limit) return;
      calls = take();
      highest = calls.at(-1)?.id ?? null;
    },
    take,
  };
}
