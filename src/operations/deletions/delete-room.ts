import { resolveAttempt } from '../../domain/leased-task.ts';
import { adviceForLiveKitError } from '../../domain/livekit-error.ts';
import {
  type DeleteRoomOutcome,
  isLikelyGhostRoom,
  type RoomDeletion,
  toAttemptOutcome,
} from '../../domain/room-deletion.ts';
import { toIso } from '../../domain/time.ts';
import type { RequestOptions } from '../../ports/livekit.ts';
import type { DeletionSubject } from '../../ports/store.ts';
import type { Dependencies } from '../dependencies.ts';
import { checkRoom, DELETE, holdsLease } from './check-room.ts';
import { rescueGhostRoom } from './rescue-ghost-room.ts';

/** A lease lasts this much longer than the LiveKit request, so that the attempt can still settle it. */
export const LEASE_MARGIN_MS = 5_000;

/**
 * Makes one attempt at a deletion that is leased to the caller, and settles the lease. Never rejects: a lease that could
 * not be settled expires, and the deletion is claimed again.
 * @param isConfirmed the call ended because LiveKit has just listed its participants, so the room needs no check
 */
export async function deleteRoom(
  dependencies: Dependencies,
  deletion: RoomDeletion,
  options: RequestOptions,
  { isConfirmed = false }: { isConfirmed?: boolean } = {},
): Promise<void> {
  const { store, log, nudge } = dependencies;
  try {
    const subject = isConfirmed ? null : await store.findDeletionSubject(deletion.callId);
    await attempt(dependencies, deletion, subject, { ...options, ...priorityOf(subject, options) });
  } catch (error) {
    log.error(
      { ...logFields(deletion), err: error },
      'room deletion not settled; retried when its lease expires',
    );
    nudge(deletion.scheduledAt);
  }
}

/** Gives every attempt at a cancelled call's room the priority of a cancel, not only the first attempt. */
function priorityOf(
  subject: DeletionSubject | null,
  { priority }: RequestOptions,
): Pick<RequestOptions, 'priority'> {
  return { priority: subject?.call.status === 'cancelled' ? 'cancel' : priority };
}

async function attempt(
  dependencies: Dependencies,
  deletion: RoomDeletion,
  subject: DeletionSubject | null,
  options: RequestOptions,
): Promise<void> {
  const { store, rooms } = dependencies;
  const check = subject === null ? DELETE : await checkRoom(dependencies, deletion, subject, options);
  if (check.kind === 'keep') {
    await keepRoom(dependencies, deletion, check.reason);
    return;
  }
  if (check.kind !== 'delete') {
    await settle(dependencies, deletion, check, { wasRescued: false });
    return;
  }
  const isStillWanted = () => holdsLease(store, deletion);
  const outcome = await rooms.deleteRoom(deletion.roomName, { ...options, isStillWanted });
  const rescued = isLikelyGhostRoom(deletion, outcome)
    ? await rescueGhostRoom(dependencies, deletion, options)
    : null;
  await settle(dependencies, deletion, rescued ?? outcome, { wasRescued: rescued !== null });
}

async function settle(
  { store, clock, random, log, metrics, retry, nudge }: Dependencies,
  deletion: RoomDeletion,
  outcome: DeleteRoomOutcome,
  { wasRescued }: { wasRescued: boolean },
): Promise<void> {
  const { callId } = deletion;
  const fields = logFields(deletion);
  // A rescue counts even if its DeleteRoom found no room: a concurrent attempt may have been faster.
  if (wasRescued) {
    metrics.ghostRescued();
    log.warn(fields, 'ghost room rescued and deleted');
  }
  const now = clock.now();
  const result = resolveAttempt(deletion, toAttemptOutcome(outcome), {
    policy: retry,
    now,
    random: random.fraction(),
  });
  const settled = await store.settleDeletion({
    callId,
    attempt: deletion.attempt,
    settlement: result,
    wasRescued,
    keptBecause: null,
  });
  if (settled === null) {
    log.warn({ ...fields, outcome: outcome.kind }, 'lease lost; attempt result ignored');
    return;
  }
  metrics.deletionSettled(result.state, now - deletion.createdAt);
  if (result.state === 'completed') {
    log.info({ ...fields, outcome: outcome.kind }, 'room deleted');
    return;
  }
  const errorFields = { ...fields, cause: result.lastError, ...adviceFields(outcome) };
  if (result.state === 'discarded') {
    log.error(errorFields, 'room deletion discarded; try again with `hangup deletions retry`');
    return;
  }
  log.warn(
    { ...errorFields, nextAttemptAt: toIso(settled.scheduledAt) },
    'room deletion failed; retry scheduled',
  );
  nudge(settled.scheduledAt);
}

async function keepRoom({ store, log }: Dependencies, deletion: RoomDeletion, reason: string): Promise<void> {
  const { callId, attempt } = deletion;
  await store.settleDeletion({
    callId,
    attempt,
    settlement: { state: 'completed' },
    wasRescued: false,
    keptBecause: reason,
  });
  log.info({ ...logFields(deletion), cause: reason }, 'room kept');
}

function logFields({ callId, roomName, attempt }: RoomDeletion) {
  return { callId, roomName, attempt };
}

function adviceFields(outcome: DeleteRoomOutcome) {
  return outcome.kind === 'deleted' || outcome.kind === 'absent' ? {} : adviceForLiveKitError(outcome);
}
