import { type CallDecision, type CallSelection, noChange, type SnapshotWith } from './call-change.ts';
import { type EndedStatus, isLive } from './call-status.ts';
import { cancelledCall } from './cancel-change.ts';
import type { KeyReused, RequestKey } from './idempotency.ts';
import type { RoomDeletion } from './room-deletion.ts';

/** Cancels a call on behalf of an API key. */
export interface CancelCommand {
  readonly callId: string;
  readonly organizationId: string;
  readonly apiKeyId: string;
  readonly reason: string | null;
  /** The deletion of the room is leased to the caller for this long, as its first attempt. */
  readonly leaseMs: number;
  readonly idempotency?: RequestKey | null;
}

export type CancelResult =
  | {
      readonly kind: 'cancelled';
      /** Leased to the caller; null when the same request cancelled the call before. */
      readonly deletion: RoomDeletion | null;
    }
  | { readonly kind: 'not_live'; readonly status: EndedStatus }
  | KeyReused
  /** The organization has no such call. */
  | { readonly kind: 'not_found' };

const RELATED = ['deletion'] as const;

export function selectForCancel({ callId, organizationId }: CancelCommand): CallSelection {
  return { target: { callId }, related: RELATED, newCallId: null, eventId: null, organizationId };
}

export function onCancel(
  { call, deletion: existing, now }: SnapshotWith<(typeof RELATED)[number]>,
  { organizationId, apiKeyId, reason, leaseMs }: CancelCommand,
): CallDecision<CancelResult> {
  if (call === null || call.organizationId !== organizationId) return noChange({ kind: 'not_found' });
  if (!isLive(call.status)) {
    const result = { kind: 'not_live', status: call.status } as const;
    return { ...noChange(result), outcome: result };
  }
  const cause = { apiKeyId, reason, cancellationId: null };
  const change = cancelledCall(call, cause, { existing, now, leaseMs });
  const [deletion] = change.deletions;
  return {
    changes: [change],
    receivedEventId: null,
    outcome: { kind: 'cancelled', deletion: null } satisfies CancelResult,
    result: { kind: 'cancelled', deletion },
  };
}
