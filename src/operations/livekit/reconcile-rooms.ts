import { setImmediate } from 'node:timers/promises';
import { adviceForLiveKitError, formatLiveKitError } from '../../domain/livekit-error.ts';
import { createRoomDiff, type LiveCall, onListFailed, type ReconcileState } from '../../domain/room-diff.ts';
import type { RoomRef } from '../../domain/room-event.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { RequestOptions } from '../../ports/livekit.ts';
import type { Dependencies } from '../dependencies.ts';
import { observeNode, observeParticipants } from './observe-call.ts';
import { recordObservation } from './record-observation.ts';

/** A page takes a few milliseconds, during which no request runs. */
const PAGE_SIZE = 500;
/** Maximum number of calls whose participants are compared in one run. */
const MAX_COMPARED_CALLS = 50;
/** Maximum part of the rate limit for the comparison of participants. */
const RATE_LIMIT_SHARE = 0.1;
/** Two for a live call (its participants and its node), one for an ended call. */
const REQUESTS_PER_CALL = 3;
const CONCURRENCY = 10;

/**
 * Compares LiveKit's rooms with the live calls, then the participants of some of the calls, in turn. Thereby applies
 * events whose webhook was lost. Changes nothing if LiveKit's list is incomplete.
 * @param signal its abort leaves the rest to the next run: with many calls a run takes minutes
 * @returns the state for the next run, and the number of changed calls
 */
export async function reconcileRooms(
  dependencies: Dependencies,
  previous: ReconcileState,
  signal: AbortSignal,
): Promise<{ state: ReconcileState; changed: number }> {
  const { store, rooms, clock, log, callStartTimeoutMs } = dependencies;
  const options = requestOptions(dependencies);
  const requestedAt = clock.now();
  const limit = comparisonLimit(
    dependencies,
    previous.requestedAt === null ? null : requestedAt - previous.requestedAt,
  );
  const diff = createRoomDiff(previous, { requestedAt, callStartTimeoutMs, limit });
  const listed = await rooms.listRooms(
    async (page) => diff.addRooms(page, await store.findLiveCalls(page.map(({ name }) => name))),
    options,
  );
  if (listed.kind !== 'listed') {
    log.warn(
      { cause: formatLiveKitError(listed), ...adviceForLiveKitError(listed) },
      'failed to list the rooms of LiveKit; reconciliation skipped',
    );
    return { state: onListFailed(previous), changed: 0 };
  }
  const now = clock.now();
  for await (const page of liveRooms(store)) {
    const unlisted = diff.unlisted(page);
    if (unlisted.length === 0) continue;
    // A call may have ended since the page was read.
    const calls = (await store.findLiveCalls(unlisted)).filter((call) => call !== null);
    diff.addCalls(calls, now);
  }
  const { next, callsWithoutRoom, neverStartedCalls, unmatchedRooms, callsToObserve } = diff.finish(now);
  let changed = 0;
  /** Handles ten items at once, so that one slow response does not delay the others. Counts the changes. */
  const forEachInBatches = async <T>(items: readonly T[], apply: (item: T) => Promise<boolean>) => {
    for (let i = 0; i < items.length; i += CONCURRENCY) {
      if (signal.aborted) return;
      const results = await Promise.all(items.slice(i, i + CONCURRENCY).map(apply));
      changed += results.filter((hasChanged) => hasChanged).length;
      // Lets requests run between two batches.
      await setImmediate();
    }
  };
  const endedCalls: EndedCall[] = [];
  for await (const knownRooms of selectKnownRooms(store, unmatchedRooms)) {
    await forEachInBatches(knownRooms, async (room) => {
      const result = await recordObservation(dependencies, { kind: 'room', room, requestedAt });
      if (result?.isListedAfterEnd) endedCalls.push({ callId: result.callId, room });
      return isChange(result);
    });
  }
  await forEachInBatches(callsWithoutRoom, (call) => confirmMissingRoom(dependencies, call));
  const inUse = new Set<string>();
  const newlyMissing = [...next.missing.keys()].filter((id) => !previous.missing.has(id)).slice(0, limit);
  await forEachInBatches(newlyMissing, async (id) => {
    if (await isRoomInUse(dependencies, id)) inUse.add(id);
    return false;
  });
  await forEachInBatches(neverStartedCalls, (call) => confirmNeverStarted(dependencies, call, requestedAt));
  const isTrusted = now >= next.settlingUntil;
  await forEachInBatches(callsToObserve, (call) => compareParticipants(dependencies, call, isTrusted));
  const batch = nextEndedCalls(endedCalls, { after: previous.lastEndedRoom, limit });
  await forEachInBatches(batch, (call) => observeEndedCall(dependencies, call));
  const missing = new Map([...next.missing].filter(([id]) => !inUse.has(id)));
  const lastEndedRoom = batch.at(-1)?.room.name ?? previous.lastEndedRoom;
  return { state: { ...next, missing, lastEndedRoom }, changed };
}

/** An ended call whose room is listed. */
interface EndedCall {
  readonly callId: string;
  readonly room: RoomRef;
}

/** Returns the next ended calls in turn, by room name. */
function nextEndedCalls(
  calls: readonly EndedCall[],
  { after, limit }: { after: string; limit: number },
): readonly EndedCall[] {
  const sorted = calls.toSorted((a, b) => (a.room.name < b.room.name ? -1 : 1));
  const first = sorted.findIndex(({ room }) => room.name > after);
  const start = Math.max(first, 0);
  return [...sorted.slice(start), ...sorted.slice(0, start)].slice(0, limit);
}

function requestOptions({ backgroundTimeoutMs }: Dependencies): RequestOptions {
  return { timeoutMs: backgroundTimeoutMs, priority: 'reconcile' };
}

/**
 * Whether a room that LiveKit's list omits has participants. Such a list must not count as the first of the two that end
 * a call: a restart of LiveKit between two runs would produce the second.
 */
async function isRoomInUse(dependencies: Dependencies, callId: string): Promise<boolean> {
  const { store, rooms } = dependencies;
  const found = await store.findCall(callId);
  if (found === null) return false;
  const listed = await rooms.listParticipants(found.call.roomName, requestOptions(dependencies));
  return listed.kind === 'listed' && listed.participants.length > 0;
}

/** Returns how many calls to compare without using more than a tenth of the rate limit. */
function comparisonLimit({ requestsPerMinute }: Dependencies, sincePreviousMs: number | null): number {
  if (requestsPerMinute === 0) return MAX_COMPARED_CALLS;
  const requests = (requestsPerMinute * RATE_LIMIT_SHARE * (sincePreviousMs ?? 0)) / 60_000;
  // At least two: one active call and one call in another status.
  return Math.min(MAX_COMPARED_CALLS, Math.max(2, Math.floor(requests / REQUESTS_PER_CALL)));
}

const isChange = (result: Awaited<ReturnType<typeof recordObservation>>) =>
  result !== null && (result.wasAdopted || result.decision.kind !== 'nothing');

/** Requests the room by name before its call ends: LiveKit's list may leave out a live room (livekit#3317, #3680). */
async function confirmMissingRoom(
  dependencies: Dependencies,
  { id: callId, roomName, roomId: sid }: LiveCall,
): Promise<boolean> {
  const { store, rooms, clock } = dependencies;
  const options = requestOptions(dependencies);
  const found = await rooms.findRoom(roomName, options);
  if (found.kind !== 'absent') return false;
  const version = await store.findRosterVersion(callId);
  if (version === null) return false;
  const requestedAt = clock.now();
  const listed = await rooms.listParticipants(roomName, options);
  if (listed.kind !== 'listed') return false;
  const { participants } = listed;
  if (participants.length === 0) {
    return isChange(await recordObservation(dependencies, { kind: 'room_absent', callId, sid }));
  }
  const list = { participants, requestedAt, version, isTrusted: true };
  return isChange(await recordObservation(dependencies, { kind: 'participants', callId, ...list }));
}

/** Requests the room by name before its call fails: a list may leave it out. */
async function confirmNeverStarted(
  dependencies: Dependencies,
  { id: callId, roomName }: LiveCall,
  requestedAt: Timestamp,
): Promise<boolean> {
  const { rooms } = dependencies;
  const options = requestOptions(dependencies);
  const found = await rooms.findRoom(roomName, options);
  if (found.kind === 'listed') {
    return isChange(await recordObservation(dependencies, { kind: 'room', room: found.room, requestedAt }));
  }
  if (found.kind !== 'absent') return false;
  const listed = await rooms.listParticipants(roomName, options);
  if (listed.kind !== 'listed' || listed.participants.length > 0) return false;
  return isChange(await recordObservation(dependencies, { kind: 'never_started', callId }));
}

async function compareParticipants(
  dependencies: Dependencies,
  { id: callId, roomName }: LiveCall,
  isTrusted: boolean,
): Promise<boolean> {
  const version = await dependencies.store.findRosterVersion(callId);
  if (version === null) return false;
  const call = { callId, roomName, version };
  const options = { ...requestOptions(dependencies), isTrusted };
  const results = [
    await observeParticipants(dependencies, call, options),
    await observeNode(dependencies, call, options),
  ];
  return results.some(isChange);
}

/** Applies the participants of a listed room whose call ended. */
async function observeEndedCall(dependencies: Dependencies, { callId, room }: EndedCall): Promise<boolean> {
  const { rooms, clock } = dependencies;
  const requestedAt = clock.now();
  const listed = await rooms.listParticipants(room.name, requestOptions(dependencies));
  if (listed.kind !== 'listed') return false;
  const list = { participants: listed.participants, requestedAt, version: '', isTrusted: false };
  return isChange(await recordObservation(dependencies, { kind: 'room_of_ended', callId, room, ...list }));
}

/** Yields the names of the rooms of all live calls, in pages. */
async function* liveRooms(store: Dependencies['store']): AsyncGenerator<readonly string[]> {
  let after = '';
  for (;;) {
    const page = await store.listLiveRooms({ after, limit: PAGE_SIZE });
    yield page;
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE_SIZE) return;
    after = last;
    // Lets requests run between two pages.
    await setImmediate();
  }
}

/**
 * Yields the rooms that belong to a call or may become one, in pages. LiveKit may have many thousand other rooms, and a
 * command for each would delay the writes of requests.
 */
async function* selectKnownRooms(
  store: Dependencies['store'],
  rooms: readonly RoomRef[],
): AsyncGenerator<readonly RoomRef[]> {
  for (let i = 0; i < rooms.length; i += PAGE_SIZE) {
    const page = rooms.slice(i, i + PAGE_SIZE);
    const known = new Set(await store.listKnownRooms(page.map(({ name }) => name)));
    yield page.filter(({ name }) => known.has(name));
    // Lets requests run between two pages.
    await setImmediate();
  }
}
