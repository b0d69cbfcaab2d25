import type { LiveStatus } from './call.ts';
import type { RoomRef } from './room-event.ts';
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
  /** Version of the roster. */
  readonly version: string;
}

/** State that one run of the reconciliation passes to the next. */
export interface ReconcileState {
  /** Live calls whose room is missing from LiveKit's list, by call id: the room's sid and the first such list. */
  readonly absent: ReadonlyMap<string, { readonly sid: string | null; readonly since: Timestamp }>;
  /** Number of listed rooms; null: the list failed or was incomplete. */
  readonly listed: number | null;
  /** Until this time, a missing room does not end a call. */
  readonly distrustUntil: Timestamp;
  /** Id of the last active call whose participants were requested: the next run continues after it. */
  readonly lastAsked: string;
  /** The same for calls that are not active. */
  readonly lastWaitingAsked: string;
  /** Name of the last room of an ended call whose participants were requested. */
  readonly lastEnded: string;
  /** Time of the request for the list; null: no request yet. */
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

/** A room that is missing from two lists this far apart is gone. */
const MISSING_CONFIRM_MS = 10_000;
/** After an outage of LiveKit, clients need this long to reconnect and recreate their rooms. */
const RECOVERY_SETTLE_MS = 30_000;

export interface RoomDiff {
  readonly next: ReconcileState;
  /** Live calls whose room is gone by two lists. */
  readonly gone: readonly LiveCall[];
  readonly neverStarted: readonly LiveCall[];
  /** Listed rooms that do not match a live call's recorded session. */
  readonly unknown: readonly RoomRef[];
  /** Live calls with a listed room whose participants are compared in this run. */
  readonly toAsk: readonly LiveCall[];
}

/** The list failed or was incomplete: earlier observations of missing rooms no longer count. */
export function onListFailed(last: ReconcileState): ReconcileState {
  return { ...last, absent: new Map(), listed: null };
}

/** LiveKit recovered: clients need time to reconnect, so earlier observations of missing rooms no longer count. */
export function afterOutage(last: ReconcileState, now: Timestamp): ReconcileState {
  return { ...last, absent: new Map(), distrustUntil: now + RECOVERY_SETTLE_MS };
}

/**
 * Compares LiveKit's rooms with the live calls. Rooms come first, then calls, both in pages: 100,000 of both would need
 * too much memory at once. Of matching calls only the id is kept.
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
    /** Maximum number of calls whose participants are compared. */
    limit: number;
  },
) {
  const seen = new Set<string>();
  const unknown: RoomRef[] = [];
  // Calls that are not active come first: no other observation shows that a participant joined.
  const waiting = roundRobin(last.lastWaitingAsked, limit);
  const active = roundRobin(last.lastAsked, limit);
  const absent = new Map<string, { sid: string | null; since: Timestamp }>();
  const gone: LiveCall[] = [];
  const neverStarted: LiveCall[] = [];
  let listed = 0;

  /** @param callsInRooms the live calls in these rooms */
  function addRooms(rooms: readonly RoomRef[], callsInRooms: readonly LiveCall[]): void {
    listed += rooms.length;
    const callIn = new Map(callsInRooms.map((call) => [call.roomName, call]));
    for (const room of rooms) {
      const call = callIn.get(room.name);
      if (call === undefined || call.roomId !== room.sid) unknown.push(room);
      if (call === undefined) continue;
      seen.add(call.id);
      (call.status === 'active' ? active : waiting).offer(call);
    }
  }

  /** Call this only after all rooms were added. */
  function addCalls(calls: readonly LiveCall[], now: Timestamp): void {
    const distrustUntil = computeSettlingUntil(now);
    for (const call of calls) {
      if (seen.has(call.id)) continue;
      if (call.status === 'initiated' && call.roomId === null) {
        const due = Math.max(call.createdAt, call.scheduledAt ?? 0) + callStartTimeoutMs;
        if (now >= due) neverStarted.push(call);
      } else if (call.updatedAt >= askedAt && call.updatedAt <= now) {
        // The room may be newer than LiveKit's list: the next list decides.
      } else {
        const before = last.absent.get(call.id);
        const since = before?.sid === call.roomId ? Math.min(before.since, now) : now;
        if (now - since >= MISSING_CONFIRM_MS && now >= distrustUntil) gone.push(call);
        else absent.set(call.id, { sid: call.roomId, since });
      }
    }
  }

  function computeSettlingUntil(now: Timestamp): Timestamp {
    const justRecovered = last.listed === null || (listed === 0 && last.listed > 0);
    return justRecovered ? now + RECOVERY_SETTLE_MS : last.distrustUntil;
  }

  function finish(now: Timestamp): RoomDiff {
    // Active calls get at least half of the limit, so that their turn comes regardless of the number of others.
    const fromActive = active.take(Math.max(Math.ceil(limit / 2), limit - waiting.size()));
    const fromWaiting = waiting.take(limit - fromActive.length);
    const toAsk = [...fromWaiting, ...fromActive];
    const lastAsked = fromActive.at(-1)?.id ?? last.lastAsked;
    const lastWaitingAsked = fromWaiting.at(-1)?.id ?? last.lastWaitingAsked;
    const next = {
      absent,
      listed,
      distrustUntil: computeSettlingUntil(now),
      lastAsked,
      lastWaitingAsked,
      lastEnded: last.lastEnded,
      askedAt,
    };
    return { next, gone, neverStarted, unknown, toAsk };
  }

  return { addRooms, addCalls, finish };
}

/** Selects calls in turn: the lowest ids after `after`, then the lowest of all. */
function roundRobin(after: string, limit: number) {
  let ahead: LiveCall[] = [];
  let rest: LiveCall[] = [];
  const lowest = (calls: LiveCall[]) => calls.toSorted((a, b) => (a.id < b.id ? -1 : 1)).slice(0, limit);
  return {
    offer(call: LiveCall) {
      if (call.id > after) ahead.push(call);
      else rest.push(call);
      // Holds at most twice the limit in memory.
      if (ahead.length > 2 * limit) ahead = lowest(ahead);
      if (rest.length > 2 * limit) rest = lowest(rest);
    },
    size: () => Math.min(limit, ahead.length + rest.length),
    take: (count: number) => [...lowest(ahead), ...lowest(rest)].slice(0, count),
  };
}
