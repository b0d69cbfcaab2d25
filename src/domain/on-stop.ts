import { type CallDecision, type CallSelection, noChange, type SnapshotWith } from './call-change.ts';
import { isLive } from './call-status.ts';
import { cancelledCall } from './cancel-change.ts';
import type { Cancellation } from './cancellation.ts';

/** Cancels a call that a cancellation of many calls selects. */
export interface StopCommand {
  readonly callId: string;
  readonly cancellation: Pick<Cancellation, 'id' | 'organizationId' | 'createdBy' | 'reason'>;
}

export interface StopResult {
  /** already_ended: also when the organization has no such call. */
  readonly kind: 'cancelled' | 'already_ended';
}

const RELATED = ['deletion'] as const;

export function selectForStop({ callId }: StopCommand): CallSelection {
  return { target: { callId }, related: RELATED, newCallId: null, eventId: null, organizationId: null };
}

/** The deletion is due now: the workers delete the room. */
export function onStop(
  { call, deletion: existing, now }: SnapshotWith<(typeof RELATED)[number]>,
  { cancellation }: StopCommand,
): CallDecision<StopResult> {
  const { id: cancellationId, createdBy: apiKeyId, reason, organizationId } = cancellation;
  if (call === null || call.organizationId !== organizationId || !isLive(call.status)) {
    return noChange({ kind: 'already_ended' });
  }
  const cause = { apiKeyId, reason, cancellationId };
  const change = cancelledCall(call, cause, { existing, now, leaseMs: null });
  return { ...noChange({ kind: 'cancelled' }), changes: [change] };
}
