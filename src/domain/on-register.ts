import { type Call, nextCreatedAt } from './call.ts';
import {
  type CallDecision,
  type CallSelection,
  callEvent,
  noChange,
  type SnapshotWith,
} from './call-change.ts';

/** Registers a call that another system places. */
export interface RegisterCommand {
  readonly call: Call;
  /** Null: by an operator. */
  readonly apiKeyId: string | null;
}

export type RegisterResult =
  | { readonly kind: 'registered'; readonly call: Call }
  | { readonly kind: 'id_taken' }
  /** A live call is in the room, or the deletion of the room is not complete and would delete a new call's room. */
  | { readonly kind: 'room_name_taken' };

const RELATED = ['hasLiveCallInRoom', 'incompleteDeletion'] as const;

export function selectForRegister({ call }: RegisterCommand): CallSelection {
  return {
    target: { roomName: call.roomName },
    related: RELATED,
    newCallId: call.id,
    eventId: null,
    idempotency: null,
  };
}

export function onRegister(
  { call: newest, isIdTaken, hasLiveCallInRoom, incompleteDeletion }: SnapshotWith<(typeof RELATED)[number]>,
  { call: requested, apiKeyId }: RegisterCommand,
): CallDecision<RegisterResult> {
  if (isIdTaken) return noChange({ kind: 'id_taken' });
  if (hasLiveCallInRoom || incompleteDeletion !== null) return noChange({ kind: 'room_name_taken' });
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
  return { ...noChange({ kind: 'registered', call }), changes: [change] };
}
