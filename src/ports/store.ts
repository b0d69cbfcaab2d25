import type { ApiKey, Scope } from '../domain/api-key.ts';
import type { CallPolicy } from '../domain/assess-call.ts';
import type { Call, CallStatus, Direction, EndedStatus, LiveStatus } from '../domain/call.ts';
import type { Decision } from '../domain/call-transition.ts';
import type { AttemptResult } from '../domain/leased-task.ts';
import type { Observation } from '../domain/observation.ts';
import type { DeletionState, RoomDeletion } from '../domain/room-deletion.ts';
import type { LiveCall } from '../domain/room-diff.ts';
import type { RoomEvent } from '../domain/room-event.ts';
import type { Timestamp } from '../domain/time.ts';

/**
 * The record. Each method is one atomic transition: it happened whole, and survives a power cut, or it did not
 * happen. A rejected promise means the database failed and nothing changed.
 */
export interface Store {
  /** Makes the organization when its name is new. */
  createApiKey(input: NewApiKey): Promise<ApiKey>;
  findApiKey(hash: string): Promise<ApiKey | null>;
  listApiKeys(): Promise<readonly ApiKey[]>;
  /** Null when there is no such key. Revoking twice keeps the first time. */
  revokeApiKey(input: { id: string; now: Timestamp }): Promise<ApiKey | null>;
  recordApiKeyUse(input: { id: string; now: Timestamp }): Promise<void>;

  createCall(input: {
    call: Call;
    apiKeyId: string | null;
  }): Promise<'created' | 'id_taken' | 'room_name_taken'>;
  findCall(id: string): Promise<CallRecord | null>;
  listCalls(query: CallQuery): Promise<CallPage>;
  cancelCall(input: CancelInput): Promise<CancelResult>;

  /** Remembers the event and does what it means, both or neither. */
  applyEvent(input: EventInput): Promise<EventResult>;
  /** Does what an observation means; null when it means nothing. */
  applyObservation(input: ObservationInput): Promise<Extract<EventResult, { kind: 'applied' }> | null>;
  /** By room name, after the name `after`. */
  listLiveCalls(input: { after: string; limit: number }): Promise<readonly LiveCall[]>;
  /** Those in the rooms of these names, in no order. */
  listLiveCallsByRoom(roomNames: readonly string[]): Promise<readonly LiveCall[]>;
  /** Live calls with a phone in the room that is not answered yet, by id, after the id `after`. */
  listUnansweredPhones(input: { after: string; limit: number }): Promise<readonly CallInRoom[]>;
  /** Live calls whose roster is due to be assessed again, those due first, at most `limit`. */
  listReviews(input: {
    now: Timestamp;
    /** A review that is due after this is due now: no review is set so far ahead, so the clock was set back. */
    farthest: Timestamp;
    limit: number;
  }): Promise<{
    readonly due: readonly Review[];
    /** When the next review after those is due. */
    readonly nextAt: Timestamp | null;
  }>;
  /** What happened to a call, oldest first, behind the entry `after`. */
  listCallEvents(input: { callId: string; after: number; limit: number }): Promise<readonly AuditEntry[]>;
  /** Whether any event of LiveKit is remembered, and whether any call lives. */
  getWebhookActivity(): Promise<{ readonly hasEvents: boolean; readonly hasLiveCalls: boolean }>;
  pruneEvents(input: { before: Timestamp; limit: number }): Promise<number>;
  /** Ended calls whose room is gone; at most `limit`, those that ended first. What is audited of them stays. */
  pruneCalls(input: { before: Timestamp; limit: number }): Promise<number>;
  /** @param input.now what is dated later stands in nobody's way: a clock that was ahead wrote it. */
  pruneAudit(input: { before: Timestamp; now: Timestamp; limit: number }): Promise<number>;
  /** How much pruning would delete. */
  countPrunable(
    retention: Retention,
  ): Promise<{ readonly calls: number; readonly audit: number; readonly events: number }>;

  /** Makes the organization when its name is new. */
  addAdoptionPrefix(input: NewAdoptionPrefix): Promise<'added' | 'taken'>;
  listAdoptionPrefixes(): Promise<readonly AdoptionPrefix[]>;
  /** False when there is no such prefix. */
  removeAdoptionPrefix(input: { prefix: string; now: Timestamp }): Promise<boolean>;

  /** Leases what is due (never tried, to be retried, or leased to somebody who never settled), oldest first. */
  claimDeletions(input: {
    now: Timestamp;
    leaseUntil: Timestamp;
    /** What is scheduled behind this is due too: nobody waits so long, so the clock was set back. */
    farthest: Timestamp;
    limit: number;
  }): Promise<readonly RoomDeletion[]>;
  /** The call of a deletion, and whether a prefix makes its room's name a call of an organization. */
  findDeletionSubject(callId: string): Promise<DeletionSubject | null>;
  /** Ends a lease. False, and nothing changed, when it is not this attempt's any more. */
  settleDeletion(input: {
    callId: string;
    attempt: number;
    settlement: AttemptResult;
    /** The room was taken over from a dead node; for the audit log. */
    wasRescued: boolean;
    /** Why the room was left as it is, for the audit log; null when it was not. */
    keptBecause: string | null;
    now: Timestamp;
  }): Promise<boolean>;
  /** Of those that are not complete, oldest first. */
  listDeletions(input: { states: readonly DeletionState[]; limit: number }): Promise<readonly RoomDeletion[]>;
  countOpenDeletions(): Promise<number>;
  /** Makes one available again that is open or was given up. Null: there is none; otherwise what it was. */
  retryDeletion(input: { callId: string; now: Timestamp }): Promise<DeletionState | null>;
  /** When the next open deletion may be claimed; null when none is open. */
  nextDeletionAt(): Promise<Timestamp | null>;
  /** Forgets answers given before a moment; at most `limit` of them. */
  pruneIdempotencyKeys(input: { before: Timestamp; limit: number }): Promise<number>;

  countLive(): Promise<LiveCounts>;
  /** Commits a write of no consequence: rejects when the database takes none. */
  checkWritable(): Promise<{ readonly isSchemaCurrent: boolean }>;
}

/** The call of a deletion. */
export interface DeletionSubject {
  readonly call: Call;
  /** Whether an adoption prefix makes the room's name a call. */
  readonly isAdoptable: boolean;
}

/** How many there are now of what is not over. What is over is never counted: it only grows. */
export interface LiveCounts {
  readonly liveCalls: Readonly<Record<LiveStatus, number>>;
  readonly openDeletions: Readonly<Record<Exclude<DeletionState, 'completed'>, number>>;
  /** When the oldest deletion was written down that is still tried; null when none is. */
  readonly oldestOpenDeletionAt: Timestamp | null;
}

export interface EventInput {
  readonly event: RoomEvent;
  readonly policy: CallPolicy;
  readonly now: Timestamp;
  readonly adoption: {
    /** Id of the call, should the room become one. */
    readonly callId: string;
    /** From the room's metadata. */
    readonly agentId: string | null;
  };
}

export type EventResult =
  | { readonly kind: 'duplicate' }
  /** No call of ours, and no prefix that makes it one. */
  | { readonly kind: 'unknown_room' }
  | {
      readonly kind: 'applied';
      readonly callId: string;
      readonly wasAdopted: boolean;
      readonly decision: Decision;
      /** Leased to the caller, if it wanted a lease. */
      readonly deletion: RoomDeletion | null;
      /** The room of an ended call is listed; its participants decide. */
      readonly isListedAfterEnd: boolean;
      /** When the reconciler has something to do for it. */
      readonly dueAt: Timestamp | null;
    };

export interface ObservationInput {
  readonly observation: Observation;
  readonly policy: CallPolicy;
  readonly now: Timestamp;
  /** For a room that may become a call. */
  readonly adoption: EventInput['adoption'] | null;
  /** Not null: a deletion that follows is leased to the caller until then, as its first attempt. */
  readonly leaseUntil: Timestamp | null;
}

/** A live call that is to be assessed again. */
export interface Review extends CallInRoom {
  readonly isUnresponsive: boolean;
  /** Members of a room that moved, which may be gone though they are listed. */
  readonly suspects: readonly { readonly sid: string; readonly identity: string }[];
  readonly movedAt: Timestamp | null;
}

export interface CallInRoom {
  readonly callId: string;
  readonly roomName: string;
  /** Of the call's roster. */
  readonly version: string;
}

/** What is older may go; null: it is kept for ever. */
export interface Retention {
  readonly callsBefore: Timestamp | null;
  readonly auditBefore: Timestamp | null;
  readonly eventsBefore: Timestamp;
}

export interface AuditEntry {
  readonly id: number;
  readonly at: Timestamp;
  readonly action: string;
  readonly actor: string;
  readonly actorId: string | null;
  readonly fromStatus: CallStatus | null;
  readonly toStatus: CallStatus | null;
  readonly reason: string | null;
}

export interface AdoptionPrefix {
  readonly prefix: string;
  readonly organizationId: string;
  readonly organizationName: string;
  readonly createdAt: Timestamp;
}

export interface NewAdoptionPrefix {
  readonly prefix: string;
  readonly organizationName: string;
  readonly organizationIdIfNew: string;
  readonly now: Timestamp;
}

export interface NewApiKey {
  readonly id: string;
  readonly organizationName: string;
  readonly organizationIdIfNew: string;
  readonly name: string;
  /** SHA-256 of the whole key, lower-case hex. */
  readonly hash: string;
  readonly scopes: readonly Scope[];
  readonly expiresAt: Timestamp | null;
  readonly now: Timestamp;
}

export interface CallRecord {
  readonly call: Call;
  readonly deletion: RoomDeletion | null;
}

export type CallListItem = Pick<
  Call,
  | 'id'
  | 'status'
  | 'direction'
  | 'scheduledAt'
  | 'answeredAt'
  | 'endedAt'
  | 'agentId'
  | 'agentName'
  | 'contactPhone'
  | 'contactName'
  | 'contactEmail'
  | 'phoneNumber'
  | 'createdAt'
>;

export const CALL_SORT_KEYS = ['createdAt', 'scheduledAt'] as const;
export type CallSortKey = (typeof CALL_SORT_KEYS)[number];

/** A place in a sorted list: behind the call with this sort value and id. */
export interface CallCursor {
  /** A call without `scheduledAt` sorts as 0. */
  readonly value: Timestamp;
  readonly id: string;
}

export interface CallQuery {
  readonly organizationId: string;
  readonly agentId?: string | undefined;
  readonly statuses?: readonly CallStatus[] | undefined;
  readonly direction?: Direction | undefined;
  readonly phoneNumber?: string | undefined;
  /** On createdAt, both inclusive. */
  readonly from?: Timestamp | undefined;
  readonly to?: Timestamp | undefined;
  readonly sortBy: CallSortKey;
  readonly sortOrder: 'asc' | 'desc';
  readonly limit: number;
  readonly offset: number;
  readonly after?: CallCursor | undefined;
}

/** Counting stops here, so that a list is quick however many calls there are. */
export const MAX_COUNT = 10_000;

export interface CallPage {
  readonly calls: readonly CallListItem[];
  /** Exact up to {@link MAX_COUNT}; then that, and `totalCapped`. */
  readonly total: number;
  readonly totalCapped: boolean;
  /** Where the next page begins; null on the last one. */
  readonly next: CallCursor | null;
}

export interface CancelInput {
  readonly callId: string;
  readonly organizationId: string;
  readonly apiKeyId: string;
  readonly reason: string | null;
  readonly now: Timestamp;
  /** The deletion is written down as already running, leased to the canceller until then. */
  readonly leaseUntil: Timestamp;
  readonly idempotency: {
    readonly key: string;
    /** What tells this request from another one under the same key. */
    readonly fingerprint: string;
    /** Answers given before are forgotten. */
    readonly rememberedSince: Timestamp;
  } | null;
}

export type CancelResult =
  | { readonly kind: 'cancelled'; readonly deletion: RoomDeletion }
  /** The same request under the same Idempotency-Key has cancelled it before. */
  | { readonly kind: 'replayed' }
  | { readonly kind: 'not_live'; readonly status: EndedStatus }
  | { readonly kind: 'idempotency_key_reused' }
  /** No such call in this organization. */
  | { readonly kind: 'not_found' };
