import { setImmediate } from 'node:timers/promises';
import { adviceForLiveKitError, formatLiveKitError } from '../../domain/livekit-error.ts';
import { createRoomDiff, type LiveCall, onListFailed, type ReconcileState } from '../../domain/room-diff.ts';
import type { RoomRef } from '../../domain/room-event.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { Dependencies } from '../dependencies.ts';
import { observeNode, observeParticipants } from './observe-call.ts';
import { recordObservation } from './record-observation.ts';

const PAGE = 100;
/** So many calls' participants are compared at once, in turn. */
const MOST_ASKED = 50;
/** Comparing participants takes no more than this part of the rate limit, with three requests for each call. */
const SHARE_OF_RATE_LIMIT = 0.1;
/** Two for a live call (its participants and its node), one for an ended one. */
const REQUESTS_FOR_A_CALL = 3;
const AT_ONCE = 10;

/**
 * Compares LiveKit's rooms with the record's live calls, in one request, then the participants of some of them, in
 * turn. This confirms reported facts and recovers lost ones. Changes nothing when LiveKit's answer is not complete.
 * @param isStopping then the rest is left to the next comparison: with many calls at once it takes minutes
 * @returns what the next comparison needs
 */
export async function reconcileRooms(
  dependencies: Dependencies,
  last: ReconcileState,
  isStopping: () => boolean = () => false,
): Promise<{ comparison: ReconcileState; changed: number }> {
  const { store, rooms, clock, log, backgroundTimeoutMs, callStartTimeoutMs } = dependencies;
  const askedAt = clock.now();
  const limit = limitOf(dependencies, last.askedAt === null ? null : askedAt - last.askedAt);
  const comparison = createRoomDiff(last, { askedAt, callStartTimeoutMs, limit });
  const answer = await rooms.listRooms(
    async (some) => comparison.addRooms(some, await store.listLiveCallsByRoom(some.map(({ name }) => name))),
    { timeoutMs: backgroundTimeoutMs, priority: 'comparison' },
  );
  if (answer.kind !== 'listed') {
    log.warn(
      { cause: formatLiveKitError(answer), ...adviceForLiveKitError(answer) },
      'LiveKit did not list its rooms; nothing is concluded from that',
    );
    return { comparison: onListFailed(last), changed: 0 };
  }
  const now = clock.now();
  for await (const page of liveCalls(store)) comparison.addCalls(page, now);
  const { next, gone, neverStarted, unknown, toAsk } = comparison.finish(now);
  let changed = 0;
  /** A few at a time, so that one slow answer does not hold up the others. */
  const each = async <T>(items: readonly T[], apply: (item: T) => Promise<boolean>) => {
    for (let i = 0; i < items.length; i += AT_ONCE) {
      if (isStopping()) return;
      const results = await Promise.all(items.slice(i, i + AT_ONCE).map(apply));
      changed += results.filter((hasChanged) => hasChanged).length;
      // Lets requests run in between.
      await setImmediate();
    }
  };
  const ended: { callId: string; room: RoomRef }[] = [];
  await each(unknown, async (room) => {
    const result = await recordObservation(dependencies, { kind: 'room', room, askedAt });
    if (result?.isListedAfterEnd) ended.push({ callId: result.callId, room });
    return isChange(result);
  });
  await each(gone, (call) => confirmAbsence(dependencies, call));
  const present = new Set<string>();
  const newlyAbsent = [...next.absent.keys()].filter((id) => !last.absent.has(id)).slice(0, limit);
  await each(newlyAbsent, async (id) => {
    if (await isInUse(dependencies, id)) present.add(id);
    return false;
  });
  await each(neverStarted, (call) => confirmNeverStarted(dependencies, call, askedAt));
  const isTrusted = now >= next.distrustUntil;
  await each(toAsk, ({ id, roomName, version }) =>
    compareParticipants(dependencies, { callId: id, roomName, version }, isTrusted),
  );
  // In turn, by the room's name.
  const inTurn = ended.toSorted((a, b) => (a.room.name < b.room.name ? -1 : 1));
  const first = inTurn.findIndex(({ room }) => room.name > last.lastEnded);
  const turn = [...inTurn.slice(Math.max(first, 0)), ...inTurn.slice(0, Math.max(first, 0))].slice(0, limit);
  await each(turn, (one) => observeEnded(dependencies, one));
  const absent = new Map([...next.absent].filter(([id]) => !present.has(id)));
  const lastEnded = turn.at(-1)?.room.name ?? last.lastEnded;
  return { comparison: { ...next, absent, lastEnded }, changed };
}

/**
 * The list has a hole where somebody is in a room that it leaves out: then this is not the first of two absences, which
 * a restart of LiveKit between two comparisons would complete.
 */
async function isInUse(dependencies: Dependencies, callId: string): Promise<boolean> {
  const { store, rooms, backgroundTimeoutMs: timeoutMs } = dependencies;
  const found = await store.findCall(callId);
  if (found === null) return false;
  const answer = await rooms.listParticipants(found.call.roomName, { timeoutMs, priority: 'comparison' });
  return answer.kind === 'listed' && answer.participants.length > 0;
}

/** A tenth of the rate limit at most. */
function limitOf({ requestsPerMinute }: Dependencies, sinceLastMs: number | null): number {
  if (requestsPerMinute === 0) return MOST_ASKED;
  const share = (requestsPerMinute * SHARE_OF_RATE_LIMIT * (sinceLastMs ?? 0)) / 60_000;
  // Two, so that active calls and waiting ones have their turn.
  return Math.min(MOST_ASKED, Math.max(2, Math.floor(share / REQUESTS_FOR_A_CALL)));
}

const isChange = (result: Awaited<ReturnType<typeof recordObservation>>) =>
  result !== null && (result.wasAdopted || result.decision.kind !== 'nothing');

/** LiveKit's list may leave out a room that lives (livekit#3317, #3680): LiveKit is asked for this one before its call ends. */
async function confirmAbsence(
  dependencies: Dependencies,
  { id: callId, roomName, roomId: sid, version }: LiveCall,
): Promise<boolean> {
  const { rooms, clock, backgroundTimeoutMs: timeoutMs } = dependencies;
  const asking = { timeoutMs, priority: 'comparison' } as const;
  const found = await rooms.findRoom(roomName, asking);
  if (found.kind !== 'absent') return false;
  const askedAt = clock.now();
  const answer = await rooms.listParticipants(roomName, asking);
  if (answer.kind !== 'listed') return false;
  if (answer.participants.length === 0) {
    return isChange(await recordObservation(dependencies, { kind: 'room_absent', callId, sid }));
  }
  const { participants } = answer;
  const list = { participants, askedAt, version, isTrusted: true };
  return isChange(await recordObservation(dependencies, { kind: 'participants', callId, ...list }));
}

/** A call whose room is in no list may live in one that the list left out. */
async function confirmNeverStarted(
  dependencies: Dependencies,
  { id: callId, roomName }: LiveCall,
  askedAt: Timestamp,
): Promise<boolean> {
  const { rooms, backgroundTimeoutMs: timeoutMs } = dependencies;
  const asking = { timeoutMs, priority: 'comparison' } as const;
  const found = await rooms.findRoom(roomName, asking);
  if (found.kind === 'listed') {
    return isChange(await recordObservation(dependencies, { kind: 'room', room: found.room, askedAt }));
  }
  if (found.kind !== 'absent') return false;
  const answer = await rooms.listParticipants(roomName, asking);
  if (answer.kind !== 'listed' || answer.participants.length > 0) return false;
  return isChange(await recordObservation(dependencies, { kind: 'never_started', callId }));
}

async function compareParticipants(
  dependencies: Dependencies,
  call: { callId: string; roomName: string; version: string },
  isTrusted: boolean,
): Promise<boolean> {
  const asking = { timeoutMs: dependencies.backgroundTimeoutMs, priority: 'comparison' } as const;
  const results = [
    await observeParticipants(dependencies, call, { ...asking, isTrusted }),
    await observeNode(dependencies, call, { ...asking, isTrusted }),
  ];
  return results.some(isChange);
}

/** The room of an ended call is listed: its participants decide what becomes of it. */
async function observeEnded(
  dependencies: Dependencies,
  { callId, room }: { callId: string; room: RoomRef },
): Promise<boolean> {
  const { rooms, clock, backgroundTimeoutMs: timeoutMs } = dependencies;
  const askedAt = clock.now();
  const answer = await rooms.listParticipants(room.name, { timeoutMs, priority: 'comparison' });
  if (answer.kind !== 'listed') return false;
  const list = { participants: answer.participants, askedAt, version: '', isTrusted: false };
  return isChange(await recordObservation(dependencies, { kind: 'room_of_ended', callId, room, ...list }));
}

async function* liveCalls(store: Dependencies['store']): AsyncGenerator<readonly LiveCall[]> {
  let after = '';
  for (;;) {
    const page = await store.listLiveCalls({ after, limit: PAGE });
    yield page;
    const lastOne = page.at(-1);
    if (lastOne === undefined || page.length < PAGE) return;
    after = lastOne.roomName;
    // Requests come between.
    await setImmediate();
  }
}
