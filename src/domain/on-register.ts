import { type Call, nextCreatedAt } from './call.ts';
import {
  type CallDecision,
  type CallSelection,
  callEvent,
  noChange,
  type SnapshotWith,
} from './call-change.ts';
import { findHold } from './hold.ts';
import type { KeyReused, RequestKey } from './idempotency.ts';

/** Registers a call that another system places. */
export interface RegisterCommand {
  readonly call: Call;
  /** Null: by an operator. */
  readonly apiKeyId: string | null;
  readonly idempotency?: RequestKey | null;
}

export type RegisterResult =
  | { readonly kind: 'registered'; readonly call: Call }
  | { readonly kind: 'id_taken' }
  /** A live call is in the room, or the deletion of the room is not complete and would delete a new call's room. */
  | { readonly kind: 'room_name_taken' }
  /** An emergency stop refuses new calls that it selects. */
  | { readonly kind: 'held'; readonly cancellationId: string }
  | KeyReused;

const RELATED = ['hasLiveCallInRoom', 'incompleteDeletion', 'holds'] as const;

export function selectForRegister({ call }: RegisterCommand): CallSelection {
  return {
    target: { roomName: call.roomName },
    related: RELATED,
    newCallId: call.id,
    eventId: null,
    organizationId: call.organizationId,
  };
}

export function onRegister(
  {
    call: newest,
    isIdTaken,
    hasLiveCallInRoom,
    incompleteDeletion,
    holds,
  }: SnapshotWith<(typeof RELATED)[number]>,
  { call: requested, apiKeyId }: RegisterCommand,
): CallDecision<RegisterResult> {
  if (isIdTaken) return final({ kind: 'id_taken' });
  if (hasLiveCallInRoom || incompleteDeletion !== null) return final({ kind: 'room_name_taken' });
  const hold = findHold(requested, holds);
  if (hold !== null) return final({ kind: 'held', cancellationId: hold.id });
  const call = { ...requested, createdAt: nextCreatedAt(requested.createdAt, newest) };
  const created = callEvent(call, {
    at: requested.createdAt,
    action: 'call.created',
    actor: apiKeyId === null ? 'operator' : 'api_key',
    actorId: apiKeyId,
    toStatus: call.status,
    reason: null,
  });
  const change = { call, isNew: true, deletions: [], events: [created] };
  return { ...final({ kind: 'registered', call }), changes: [change] };
}

/** Returns a decision without a change. A repeated request gets the same result. */
function final(result: RegisterResult): CallDecision<RegisterResult> {
  return { ...noChange(result), outcome: result };
}
