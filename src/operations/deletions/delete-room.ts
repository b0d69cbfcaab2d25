import type { CallStatus } from '../../domain/call-status.ts';
import { isDeletedWithoutCheck } from '../../domain/guard.ts';
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
import type { DeletionFacts } from '../../ports/store.ts';
import type { Dependencies } from '../dependencies.ts';
import { checkRoom, holdsLease } from './check-room.ts';
import type { CompleteDeletion } from './completions.ts';
import { rescueGhostRoom } from './rescue-ghost-room.ts';

/** A lease lasts this much longer than the LiveKit request, so that the attempt can still settle it. */
export const LEASE_MARGIN_MS = 5_000;

export interface DeletionContext {
  /** The call ended because LiveKit has just listed its participants, so the room needs no check. */
  readonly isConfirmed?: boolean;
  /** Facts that the caller has; otherwise the attempt reads the call. */
  readonly facts?: DeletionFacts;
  /** Called when the attempt sends no further request to LiveKit, before it settles the lease. */
  readonly onRequestsEnded?: () => void;
  /** Completes the deletion together with others; otherwise by a write of its own. */
  readonly complete?: CompleteDeletion;
}

/**
 * Makes one attempt at a deletion that is leased to the caller, and settles the lease. The times of the deletion are by the
 * clock of this process. Never rejects: a lease that could not be settled expires, and the deletion is claimed again.
 */
export async function deleteRoom(
  dependencies: Dependencies,
  deletion: RoomDeletion,
  options: RequestOptions,
  { isConfirmed = false, facts, onRequestsEnded = () => {}, complete }: DeletionContext = {},
): Promise<void> {
  const { log, nudge } = dependencies;
  try {
    const end = isConfirmed
      ? await requestDeleteRoom(dependencies, deletion, options)
      : await requestDeletion(dependencies, deletion, { facts, options });
    onRequestsEnded();
    if (end.kind === 'keep') await keepRoom(dependencies, deletion, end.reason);
    else await settle(dependencies, deletion, end.outcome, { ...end, complete });
  } catch (error) {
    log.error(
      { ...logFields(deletion), err: error },
      'room deletion not settled; retried when its lease expires',
    );
    nudge(deletion.scheduledAt);
  }
}

/** The result of the requests of one attempt. */
type AttemptEnd =
  | { readonly kind: 'keep'; readonly reason: string }
  | { readonly kind: 'attempted'; readonly outcome: DeleteRoomOutcome; readonly wasRescued: boolean };

async function requestDeletion(
  dependencies: Dependencies,
  deletion: RoomDeletion,
  { facts, options }: { facts: DeletionFacts | undefined; options: RequestOptions },
): Promise<AttemptEnd> {
  const { attempt, createdAt } = deletion;
  const ageMs = dependencies.clock.now() - createdAt;
  // A cancelled call stays cancelled.
  if (
    facts !== undefined &&
    isDeletedWithoutCheck({ status: facts.callStatus }, { ...facts, attempt, ageMs })
  ) {
    return requestDeleteRoom(dependencies, deletion, withPriority(options, deletion, facts.callStatus));
  }
  const subject = await dependencies.store.findDeletionSubject(deletion.callId);
  if (subject === null) return requestDeleteRoom(dependencies, deletion, options);
  const attemptOptions = withPriority(options, deletion, subject.call.status);
  const check = await checkRoom(dependencies, deletion, subject, attemptOptions);
  if (check.kind === 'keep') return check;
  if (check.kind !== 'delete') return { kind: 'attempted', outcome: check, wasRescued: false };
  return requestDeleteRoom(dependencies, deletion, attemptOptions);
}

/** Gives every attempt at a cancelled call's room the priority of a cancel, not only the first attempt. */
function withPriority(
  options: RequestOptions,
  { cancellationId }: RoomDeletion,
  callStatus: CallStatus,
): RequestOptions {
  if (callStatus !== 'cancelled') return options;
  // A client waits for the cancel of one call.
  return { ...options, priority: cancellationId === null ? 'cancel' : 'cancellation' };
}

async function requestDeleteRoom(
  dependencies: Dependencies,
  deletion: RoomDeletion,
  options: RequestOptions,
): Promise<AttemptEnd> {
  const { store, rooms, clock } = dependencies;
  const isStillWanted = () => holdsLease(store, deletion);
  // A process that was suspended continues after its lease: another attempt may have ended, and a newer call use the name.
  if (clock.now() >= deletion.scheduledAt && !(await isStillWanted())) {
    return { kind: 'attempted', outcome: { kind: 'absent' }, wasRescued: false };
  }
  const outcome = await rooms.deleteRoom(deletion.roomName, { ...options, isStillWanted });
  const rescued = isLikelyGhostRoom(deletion, outcome)
    ? await rescueGhostRoom(dependencies, deletion, options)
    : null;
  return { kind: 'attempted', outcome: rescued ?? outcome, wasRescued: rescued !== null };
}

async function settle(
  { store, clock, random, log, metrics, retry, nudge }: Dependencies,
  deletion: RoomDeletion,
  outcome: DeleteRoomOutcome,
  { wasRescued, complete }: { wasRescued: boolean; complete: CompleteDeletion | undefined },
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
  const { attempt } = deletion;
  const isShared = complete !== undefined && result.state === 'completed' && !wasRescued;
  const settled = isShared
    ? (await complete({ callId, attempt })) && deletion
    : await store.settleDeletion({ callId, attempt, settlement: result, wasRescued, keptBecause: null });
  if (!settled) {
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
