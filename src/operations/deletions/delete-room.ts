import type { Call } from '../../domain/call.ts';
import { checkDeletion, hasNewcomers, isDeletedWithoutCheck } from '../../domain/guard.ts';
import { adviceForLiveKitError, isNodeUnresponsive, type LiveKitError } from '../../domain/livekit-error.ts';
import {
  type DeleteRoomOutcome,
  isLikelyGhostRoom,
  type RoomDeletion,
  resolveAttempt,
} from '../../domain/room-deletion.ts';
import { NODE_LOST } from '../../domain/roster.ts';
import type { RequestOptions } from '../../ports/livekit.ts';
import type { Dependencies } from '../dependencies.ts';
import { recordObservation } from '../livekit/record-observation.ts';

/** How much longer than LiveKit's deadline a lease lasts: the time to write down how the attempt ended. */
export const LEASE_MARGIN_MS = 5_000;

/**
 * One attempt of a deletion that is leased to the caller: requests it of LiveKit, settles the lease, logs what went
 * wrong. Never rejects: an attempt that could not be settled is claimed again when its lease is over.
 * @param isConfirmed LiveKit has just listed the room's participants, and the call ended by that
 */
export async function deleteRoom(
  dependencies: Dependencies,
  deletion: RoomDeletion,
  asking: RequestOptions,
  { isConfirmed = false }: { isConfirmed?: boolean } = {},
): Promise<void> {
  const { store, rooms, clock, random, log, metrics, retry, nudge } = dependencies;
  const { callId, roomName, attempt } = deletion;
  const about = { callId, roomName, attempt };
  const isStillWanted = () => holdsLease(store, deletion);
  try {
    const check = isConfirmed ? DELETE : await checkRoom(dependencies, deletion, asking);
    if (check.kind === 'keep') {
      await keep(dependencies, deletion, check.why);
      return;
    }
    const first =
      check.kind === 'delete' ? await rooms.deleteRoom(roomName, { ...asking, isStillWanted }) : check;
    const mayRescue = check.kind === 'delete' && isLikelyGhostRoom(deletion, first);
    const rescued = mayRescue ? await rescue(dependencies, deletion) : null;
    const outcome = rescued ?? first;
    // Also when it is absent now: LiveKit tells of the room that was taken over, and who heard that was faster.
    const wasRescued = rescued !== null;
    if (wasRescued) {
      metrics.ghostRescued();
      log.warn(about, 'room rescued from a dead node of LiveKit, and deleted');
    }
    const now = clock.now();
    const settlement = resolveAttempt(deletion, outcome, { policy: retry, now, random: random.fraction() });
    const settled = await store.settleDeletion({
      callId,
      attempt,
      settlement,
      wasRescued,
      keptBecause: null,
    });
    if (settled === null) {
      log.warn(
        { ...about, outcome: outcome.kind },
        'this attempt lost its lease; its outcome changes nothing',
      );
      return;
    }
    metrics.deletionSettled(settlement.state, now - deletion.createdAt);
    switch (settlement.state) {
      case 'completed':
        log.info({ ...about, outcome: outcome.kind }, 'room deleted');
        return;
      case 'retryable': {
        const nextAttemptAt = new Date(settled.scheduledAt).toISOString();
        log.warn(
          { ...about, cause: settlement.lastError, nextAttemptAt, ...adviceOf(outcome) },
          'room not deleted; it will be tried again',
        );
        nudge(settled.scheduledAt);
        return;
      }
      case 'discarded':
        log.error(
          { ...about, cause: settlement.lastError, ...adviceOf(outcome) },
          'room not deleted, and given up: it may be alive; try again with `hangup deletions retry`',
        );
        return;
    }
  } catch (error) {
    log.error({ ...about, err: error }, 'room deletion not settled; it is tried again when its lease ends');
    nudge(deletion.scheduledAt);
  }
}

function adviceOf(outcome: DeleteRoomOutcome) {
  return outcome.kind === 'deleted' || outcome.kind === 'absent' ? {} : adviceForLiveKitError(outcome);
}

const DELETE = { kind: 'delete' } as const;
/** LiveKit's list may leave out a room that lives (livekit#3317, #3680). */
const UNLISTED = {
  kind: 'unavailable',
  code: null,
  detail: 'LiveKit lists participants of the room, and not the room itself',
} as const;
const TWO_PARTIES = 'others use the room now';

/**
 * Whether the room is still the one to delete. DeleteRoom goes by name, and a newer call may be in a room of this name;
 * nobody cancelled a call that ended by itself, so two parties in its room are left alone.
 */
async function checkRoom(
  dependencies: Dependencies,
  deletion: RoomDeletion,
  asking: RequestOptions,
): Promise<Check> {
  const { store } = dependencies;
  const subject = await store.findDeletionSubject(deletion.callId);
  if (subject === null || isDeletedWithoutCheck(subject.call, { ...subject, attempt: deletion.attempt }))
    return DELETE;
  const check = await askLiveKit(dependencies, subject, asking);
  if (check.kind !== 'delete' || (await holdsLease(store, deletion))) return check;
  return { kind: 'keep', why: TWO_PARTIES };
}

type Check = { kind: 'delete' } | { kind: 'keep'; why: string } | LiveKitError;

async function askLiveKit(
  dependencies: Dependencies,
  subject: { call: Call; isAdoptable: boolean },
  asking: RequestOptions,
): Promise<Check> {
  const { rooms, clock } = dependencies;
  const { call } = subject;
  const { id: callId, roomName } = call;
  let isNodeDead = false;
  if (call.failureReason === NODE_LOST) {
    const probed = await rooms.probeNode(roomName, asking);
    // Still dead: its participants are listed, and are not there.
    isNodeDead = isNodeUnresponsive(probed);
    if (!isNodeDead && probed.kind !== 'responding' && probed.kind !== 'absent') return probed;
  }
  const askedAt = clock.now();
  const listed = await rooms.listParticipants(roomName, asking);
  if (listed.kind !== 'listed') return listed;
  const { participants } = listed;
  // The participants of a dead node are listed, and are not there. That answer took 3 s, in which others may have come.
  if (isNodeDead && !hasNewcomers(call, participants, subject)) return DELETE;
  const check = checkDeletion(call, participants, subject);
  if (check === 'delete') return DELETE;
  if (check === 'keep') return { kind: 'keep', why: TWO_PARTIES };
  const found = await rooms.findRoom(roomName, asking);
  if (found.kind === 'absent') return participants.length === 0 ? DELETE : UNLISTED;
  if (found.kind !== 'listed') return found;
  const { room } = found;
  const list = { participants, askedAt, version: '', isTrusted: false };
  const applied = await recordObservation(dependencies, { kind: 'room_of_ended', callId, room, ...list });
  if (applied?.decision.kind === 'delete_room') return DELETE;
  // Null: a newer call is in a room of this name.
  const isOthers = applied === null || applied.wasAdopted;
  if (isOthers || call.status !== 'cancelled') return { kind: 'keep', why: TWO_PARTIES };
  return DELETE;
}

/** While LiveKit was asked, a newer call in a room of this name may have completed the deletion. */
async function holdsLease(store: Dependencies['store'], { callId, attempt }: RoomDeletion): Promise<boolean> {
  const { deletion = null } = (await store.findCall(callId)) ?? {};
  return deletion?.state === 'running' && deletion.attempt === attempt;
}

async function keep(
  { store, log }: Dependencies,
  { callId, roomName, attempt }: RoomDeletion,
  keptBecause: string,
): Promise<void> {
  const settlement = { state: 'completed' } as const;
  await store.settleDeletion({ callId, attempt, settlement, wasRescued: false, keptBecause });
  log.info({ callId, roomName, attempt, cause: keptBecause }, 'room left alone');
}

/** Since the check: nobody new is listed, and the deletion is still this attempt's. */
async function isUnchanged(
  { store, rooms }: Dependencies,
  deletion: RoomDeletion,
  asking: RequestOptions,
): Promise<boolean> {
  const listed = await rooms.listParticipants(deletion.roomName, asking);
  const subject = await store.findDeletionSubject(deletion.callId);
  if (listed.kind !== 'listed' || subject === null) return false;
  return !hasNewcomers(subject.call, listed.participants, subject) && (await holdsLease(store, deletion));
}

/** A rescue is three requests and two checks, which end before the lease does. */
const RESCUE_REQUESTS = 5;
const SETTLING_MS = 1_000;
const LONGEST_RESCUE_REQUEST_MS = 4_000;
/** Longer than the deletion behind it takes: what that does not delete closes by itself. */
const RESCUE_EMPTY_TIMEOUT_S = 10;

/**
 * A room whose node died stays listed for ever, and its deletion is never answered (livekit#3766). CreateRoom with its
 * name makes a living node take it over; then it can be deleted.
 * @returns null when it is no such room, or this did not help
 */
async function rescue(
  dependencies: Dependencies,
  deletion: RoomDeletion,
): Promise<Exclude<DeleteRoomOutcome, LiveKitError> | null> {
  const { rooms, clock } = dependencies;
  const { roomName, scheduledAt } = deletion;
  const fairShareMs = Math.floor((scheduledAt - clock.now() - SETTLING_MS) / RESCUE_REQUESTS);
  if (fairShareMs <= 0) return null;
  const asking = { timeoutMs: Math.min(fairShareMs, LONGEST_RESCUE_REQUEST_MS), priority: 'retry' } as const;
  // Each request takes seconds, and a new caller may take the room over meanwhile.
  const isStillToGo = () => isUnchanged(dependencies, deletion, asking);
  if (!(await isStillToGo())) return null;
  // Once not listed proves nothing.
  if ((await rooms.findRoom(roomName, asking)).kind !== 'listed') return null;
  const created = await rooms.createRoom({ roomName, emptyTimeoutS: RESCUE_EMPTY_TIMEOUT_S }, asking);
  if (created.kind !== 'created' || !(await isStillToGo())) return null;
  const outcome = await rooms.deleteRoom(roomName, asking);
  return outcome.kind === 'deleted' || outcome.kind === 'absent' ? outcome : null;
}
