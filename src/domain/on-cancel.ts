import { clampTime } from './call.ts';
import {
  type CallDecision,
  type CallSelection,
  callEvent,
  type IdempotentResponse,
  noChange,
  type SnapshotWith,
} from './call-change.ts';
import { type EndedStatus, isLive } from './call-status.ts';
import type { RoomDeletion } from './room-deletion.ts';
import { leaseDeletion } from './schedule-deletion.ts';

/** Cancels a call on behalf of an API key. */
export interface CancelCommand {
  readonly callId: string;
  readonly organizationId: string;
  readonly apiKeyId: string;
  readonly reason: string | null;
  /** The deletion of the room is leased to the caller for this long, as its first attempt. */
  readonly leaseMs: number;
  readonly idempotency: {
    readonly key: string;
    /** Differs between two requests under the same key. */
    readonly fingerprint: string;
    /** For this long a repeated request gets the first response. */
    readonly ttlMs: number;
  } | null;
}

export type CancelResult =
  | { readonly kind: 'cancelled'; readonly deletion: RoomDeletion }
  /** The same request under the same Idempotency-Key cancelled the call before. */
  | { readonly kind: 'replayed' }
  | { readonly kind: 'not_live'; readonly status: EndedStatus }
  | { readonly kind: 'idempotency_key_reused' }
  /** The organization has no such call. */
  | { readonly kind: 'not_found' };

const RELATED = ['deletion'] as const;

export function selectForCancel({ callId, organizationId, idempotency }: CancelCommand): CallSelection {
  return {
    target: { callId },
    related: RELATED,
    newCallId: null,
    eventId: null,
    idempotency: idempotency === null ? null : { organizationId, key: idempotency.key },
  };
}

export function onCancel(
  { call, deletion: existing, idempotentResponse, now }: SnapshotWith<(typeof RELATED)[number]>,
  command: CancelCommand,
): CallDecision<CancelResult> {
  const { organizationId, apiKeyId, reason, leaseMs, idempotency } = command;
  if (idempotency !== null && idempotentResponse !== null) {
    const { createdAt, fingerprint, refusedStatus } = idempotentResponse;
    if (createdAt >= now - idempotency.ttlMs) {
      if (fingerprint !== idempotency.fingerprint) return noChange({ kind: 'idempotency_key_reused' });
      return noChange(
        refusedStatus === null ? { kind: 'replayed' } : { kind: 'not_live', status: refusedStatus },
      );
    }
  }
  if (call === null || call.organizationId !== organizationId) return noChange({ kind: 'not_found' });
  const respond = (refusedStatus: EndedStatus | null): IdempotentResponse | null =>
    idempotency && {
      organizationId,
      key: idempotency.key,
      fingerprint: idempotency.fingerprint,
      refusedStatus,
      createdAt: now,
    };
  if (!isLive(call.status)) {
    const { status } = call;
    return { ...noChange({ kind: 'not_live', status }), idempotentResponse: respond(status) };
  }
  const endedAt = clampTime(call, now, now);
  const cancelled = {
    ...call,
    status: 'cancelled',
    endedAt,
    cancelledBy: apiKeyId,
    cancelReason: reason,
    reviewAt: null,
    updatedAt: endedAt,
  } as const;
  const deletion = leaseDeletion(call, existing, { now, leaseMs });
  const event = callEvent(call, {
    at: now,
    action: 'call.status_changed',
    actor: 'api_key',
    actorId: apiKeyId,
    fromStatus: call.status,
    toStatus: 'cancelled',
    reason,
  });
  return {
    changes: [{ call: cancelled, isNew: false, deletions: [deletion], events: [event] }],
    receivedEventId: null,
    idempotentResponse: respond(null),
    result: { kind: 'cancelled', deletion },
  };
}
