import type { ApiKey, Scope } from '../domain/api-key.ts';
import type { AuditEvent } from '../domain/audit.ts';
import type { Call } from '../domain/call.ts';
import type { CallCommand, CommandKind, CommandResults } from '../domain/call-command.ts';
import type { CallStatus, Direction, LiveStatus } from '../domain/call-status.ts';
import type { Cancellation, NewCancellation } from '../domain/cancellation.ts';
import type { IdempotentRequest, KeyReused } from '../domain/idempotency.ts';
import type { AttemptResult } from '../domain/leased-task.ts';
import type { DeletionState, RoomDeletion } from '../domain/room-deletion.ts';
import type { LiveCall } from '../domain/room-diff.ts';
import type { Timestamp } from '../domain/time.ts';
import type { AdoptionStore } from './adoption-store.ts';
import type { EventStore } from './event-store.ts';
import type { FleetStore } from './fleet-store.ts';
import type { OverviewStore } from './overview-store.ts';

/**
 * The database. Each method is one atomic change that survives a power cut, or no change. A rejected promise means that
 * the database failed and nothing changed. The store's own clock dates changes of calls, reviews and leases, so that
 * processes with skewed clocks can share one database.
 */
export interface Store
  extends CallStore,
    CancellationStore,
    EventStore,
    LiveCallStore,
    OverviewStore,
    DeletionQueue,
    ApiKeyStore,
    AdoptionStore,
    RetentionStore,
    LiveKitServerStore,
    FleetStore,
    HealthStore {}

/** A store that its opener must close. */
export interface OpenStore extends Store {
  /** Closes the store after the writes in flight. */
  close(): void | Promise<void>;
}

export interface CallStore {
  /** Every change of a call: loads the rows, lets the domain decide, writes the decision, in one transaction. */
  changeCall<Kind extends CommandKind>(command: CallCommand<Kind>): Promise<ChangedCall<Kind>>;
  findCall(id: string): Promise<CallRecord | null>;
  /** Returns the results of {@link ApiKeyStore.findApiKey} and {@link findCall} from one read. */
  findKeyAndCall(input: {
    keyHash: string;
    callId: string;
  }): Promise<{ readonly apiKey: ApiKey | null; readonly record: CallRecord | null }>;
  listCalls(query: CallQuery): Promise<CallPage>;
  /** Entries of the call's audit log after the entry `after`, oldest first, without those of room deletions. */
  listCallEvents(input: { callId: string; after: number; limit: number }): Promise<readonly AuditEntry[]>;
}

export interface ChangedCall<Kind extends CommandKind> extends Replayable<CommandResults[Kind]> {
  /** The events that the change appended to the audit log. */
  readonly events: readonly AuditEvent[];
}

/** Cancellations of many calls, and their holds. */
export interface CancellationStore {
  /** Starts a cancellation. Records no call: see {@link advanceCancellation}. */
  createCancellation(input: {
    cancellation: NewCancellation;
    /** Refuses the cancellation when more calls match; null: any number. */
    expectedAtMost: number | null;
    /** Returns the calls that match now, and starts nothing. */
    isDryRun: boolean;
    idempotency: IdempotentRequest | null;
  }): Promise<Replayable<CreateCancellationResult>>;
  /**
   * Records at most `limit` matching calls as cancelled, for at most `budgetMs`: the write lock is held no longer. Any
   * process may advance any cancellation. Completes the cancellation when all calls are recorded and no deletion is open.
   */
  advanceCancellation(input: { id: string; limit: number; budgetMs: number }): Promise<AdvancedCancellation>;
  findCancellation(id: string): Promise<Cancellation | null>;
  /** Cancellations of the organization, the newest first, after a position; null: from the newest. */
  listCancellations(input: {
    organizationId: string;
    after: CancellationCursor | null;
    limit: number;
  }): Promise<readonly Cancellation[]>;
  /** Ids of running cancellations of all organizations, the oldest first. */
  listRunningCancellations(): Promise<readonly string[]>;
  /** Lifts the hold of a cancellation. Lifting again changes nothing. */
  liftHold(input: {
    id: string;
    organizationId: string;
    apiKeyId: string;
    idempotency: IdempotentRequest | null;
  }): Promise<Replayable<LiftHoldResult>>;
}

/** A result, and whether the same request under the same Idempotency-Key had the result before. */
export interface Replayable<Result> {
  readonly result: Result;
  readonly isReplay: boolean;
}

export type CreateCancellationResult =
  | { readonly kind: 'created'; readonly cancellation: Cancellation }
  | { readonly kind: 'previewed'; readonly preview: CancellationPreview }
  /** More calls match than expected. Nothing changed. */
  | { readonly kind: 'too_many'; readonly matched: number }
  | KeyReused;

export type LiftHoldResult =
  | {
      readonly kind: 'lifted';
      readonly cancellation: Cancellation;
    }
  /** The organization has no such cancellation, or the cancellation has no hold. */
  | { readonly kind: 'not_found' }
  | KeyReused;

export interface CancellationPreview {
  readonly matched: Readonly<Record<LiveStatus, number>>;
  /** At most {@link MAX_SAMPLE} calls, in the order in which they would be cancelled. */
  readonly sample: readonly CallListItem[];
}

export const MAX_SAMPLE = 100;

export interface AdvancedCancellation {
  /** The number of calls that this write cancelled. */
  readonly cancelled: number;
  /** False: more calls may match. */
  readonly isRecorded: boolean;
  readonly isCompleted: boolean;
}

export interface CancellationCursor {
  readonly createdAt: Timestamp;
  readonly id: string;
}

/** The live calls that the reconciler compares with LiveKit. */
export interface LiveCallStore {
  /** Names of the rooms of live calls, in order, after the name `after`. */
  listLiveRooms(input: { after: string; limit: number }): Promise<readonly string[]>;
  /** The live call in each of these rooms; null for a room without a live call. */
  findLiveCalls(roomNames: readonly string[]): Promise<readonly (LiveCall | null)[]>;
  /** The version of the call's roster; null when the call was deleted. */
  findRosterVersion(callId: string): Promise<string | null>;
  /** Those of the names that a call on record has, or that an adoption prefix matches, in no order. */
  listKnownRooms(roomNames: readonly string[]): Promise<readonly string[]>;
  /** Live calls with an unanswered phone in the room, by id, after the id `after`. */
  listUnansweredPhones(input: { after: string; limit: number }): Promise<readonly CallInRoom[]>;
  /** Live calls with a due review, in the order in which they are due. */
  listReviews(input: {
    /** The longest delay of a review. A review that is due later is due now, because the clock was set back. */
    maxDelayMs: number;
    limit: number;
  }): Promise<{
    readonly due: readonly Review[];
    /** When the next review after those is due. */
    readonly nextAt: Timestamp | null;
  }>;
}

/** Deletions of rooms, each leased to one worker at a time. */
export interface DeletionQueue {
  /**
   * Leases due deletions (new, retryable, or with an expired lease): first those of cancellations of many calls, then those
   * due first.
   */
  claimDeletions(input: {
    leaseMs: number;
    /** The longest delay of a deletion. A deletion that is due later is due now, because the clock was set back. */
    maxDelayMs: number;
    limit: number;
  }): Promise<readonly ClaimedDeletion[]>;
  /** Returns the call of a deletion, and whether an adoption prefix matches the name of its room. */
  findDeletionSubject(callId: string): Promise<DeletionSubject | null>;
  /** Ends a lease. Returns null, and changes no deletion, when another attempt holds the lease. */
  settleDeletion(input: {
    callId: string;
    attempt: number;
    settlement: AttemptResult;
    /** Whether a living node took the room over from a dead node, for the audit log. */
    wasRescued: boolean;
    /** Reason for which the room was kept, for the audit log; null when the room was deleted. */
    keptBecause: string | null;
  }): Promise<RoomDeletion | null>;
  /** Ends the leases of attempts that deleted their rooms. Returns for each whether the attempt held the lease. */
  completeDeletions(leases: readonly DeletionLease[]): Promise<readonly boolean[]>;
  /** Deletions that are not complete, oldest first. */
  listDeletions(input: { states: readonly DeletionState[]; limit: number }): Promise<readonly RoomDeletion[]>;
  countOpenDeletions(): Promise<number>;
  /** Makes an open or discarded deletion available. Returns its state before; null when the call has no deletion. */
  retryDeletion(input: { callId: string }): Promise<DeletionState | null>;
  /** When the next open deletion may be claimed; null when none is open. */
  nextDeletionAt(): Promise<Timestamp | null>;
}

export type DeletionLease = Pick<RoomDeletion, 'callId' | 'attempt'>;

/** Facts about the call of a deletion. Most deletions need no more of the call. */
export interface DeletionFacts {
  readonly callStatus: CallStatus;
  /** Whether an adoption prefix matches the name of the room. */
  readonly isAdoptable: boolean;
}

export interface ClaimedDeletion extends RoomDeletion, DeletionFacts {}

/** The call of a deletion. */
export interface DeletionSubject {
  readonly call: Call;
  /** Whether an adoption prefix matches the name of the room. */
  readonly isAdoptable: boolean;
}

export interface ApiKeyStore {
  /** Creates the organization if its name is new. */
  createApiKey(input: NewApiKey): Promise<ApiKey>;
  findApiKey(hash: string): Promise<ApiKey | null>;
  findApiKeyById(id: string): Promise<StoredApiKey | null>;
  listApiKeys(): Promise<readonly ApiKey[]>;
  /** Keys of the organization: those that are not revoked first, and the newest of both first. */
  listApiKeysOf(input: { organizationId: string; limit: number }): Promise<readonly ApiKey[]>;
  /** Returns null when the key does not exist. A second revocation keeps the first time. */
  revokeApiKey(input: {
    id: string;
    /** Revokes only a key of the organization of this author. Absent: an operator, who may revoke each key. */
    author?: Author | undefined;
    now: Timestamp;
  }): Promise<ApiKey | null>;
  recordApiKeyUse(input: { id: string; now: Timestamp }): Promise<void>;
  /** The names of all organizations, in alphabetical order. */
  listOrganizations(): Promise<readonly string[]>;
}

/** Each method that prunes deletes at most `limit` rows, and returns the number of deleted rows. */
export interface RetentionStore {
  pruneEvents(input: { before: Timestamp; limit: number }): Promise<number>;
  /** Deletes calls whose room is gone, those that ended first. Their audit events stay. */
  pruneCalls(input: { before: Timestamp; limit: number }): Promise<number>;
  /** Ignores entries that are later than `now`: a clock that was ahead wrote them. */
  pruneAudit(input: { before: Timestamp; now: Timestamp; limit: number }): Promise<number>;
  pruneIdempotencyKeys(input: { before: Timestamp; limit: number }): Promise<number>;
  /** Counts the rows that pruning would delete. */
  countPrunable(
    retention: Retention,
  ): Promise<{ readonly calls: number; readonly audit: number; readonly events: number }>;
}

/** The LiveKit servers that this database was used with. */
export interface LiveKitServerStore {
  /** URLs, the latest first. The built-in emulator is never recorded. */
  listLiveKitServers(): Promise<readonly string[]>;
  recordLiveKitServer(server: { readonly url: string; readonly now: Timestamp }): Promise<void>;
}

export interface HealthStore {
  countLive(): Promise<LiveCounts>;
  /** Whether an event of LiveKit is on record, and whether a call is live. */
  getWebhookActivity(): Promise<{ readonly hasEvents: boolean; readonly hasLiveCalls: boolean }>;
  /** Commits a write without effect. Rejects when the database accepts no write. */
  checkWritable(): Promise<{ readonly isSchemaCurrent: boolean }>;
}

/** Ages of a cancelled call's room: the time since the cancel. */
export const ROOM_AGES = ['under_1m', '1m_to_10m', 'over_10m'] as const;

/** Counts of live calls, incomplete deletions and cancellations. Ended calls are not counted: their number only grows. */
export interface LiveCounts {
  readonly liveCalls: Readonly<Record<LiveStatus, number>>;
  readonly openDeletions: Readonly<Record<Exclude<DeletionState, 'completed'>, number>>;
  /** When the oldest open deletion was created; null when none is open. */
  readonly oldestOpenDeletionAt: Timestamp | null;
  readonly cancellations: {
    readonly running: number;
    /** When the oldest running cancellation was created; null when none is running. */
    readonly oldestRunningAt: Timestamp | null;
    readonly activeHolds: number;
    /** Rooms of cancellations that may still exist: their deletions are open, or were given up. */
    readonly rooms: Readonly<Record<'pending' | 'discarded', Readonly<Record<RoomAge, number>>>>;
  };
}

export type RoomAge = (typeof ROOM_AGES)[number];

/** A live call whose roster must be assessed again. */
export interface Review extends CallInRoom {
  readonly isUnresponsive: boolean;
  /** Members of a room that moved to another node: LiveKit may list them although they are gone. */
  readonly suspects: readonly { readonly sid: string; readonly identity: string }[];
  readonly movedAt: Timestamp | null;
}

/** A live call, for a request about its room. */
export interface CallInRoom {
  readonly callId: string;
  readonly roomName: string;
  /** Version of the call's roster. */
  readonly version: string;
}

/** Rows older than these times may be deleted; null: never. */
export interface Retention {
  readonly callsBefore: Timestamp | null;
  readonly auditBefore: Timestamp | null;
  readonly eventsBefore: Timestamp;
}

export interface AuditEntry extends Omit<AuditEvent, 'organizationId' | 'subjectId'> {
  readonly id: number;
}

/** The API key that changes keys or prefixes of its organization. */
export type Author = Pick<ApiKey, 'id' | 'organizationId'>;

export interface StoredApiKey {
  readonly apiKey: ApiKey;
  /** SHA-256 of the complete key, lower-case hex. */
  readonly hash: string;
}

export interface NewApiKey {
  readonly id: string;
  readonly organizationName: string;
  readonly organizationIdIfNew: string;
  readonly name: string;
  /** SHA-256 of the complete key, lower-case hex. */
  readonly hash: string;
  readonly scopes: readonly Scope[];
  readonly expiresAt: Timestamp | null;
  /** For the audit log. Absent: an operator. */
  readonly author?: Author | undefined;
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

/** A position in a sorted list: after the call with these sort keys, in this order. */
export interface CallCursor {
  /** The value of `sortBy`. A call without `scheduledAt` sorts as 0. */
  readonly sort: Timestamp;
  readonly createdAt: Timestamp;
  readonly id: string;
}

export interface CallQuery {
  readonly organizationId: string;
  /** Only calls that this cancellation cancelled. */
  readonly cancellationId?: string | undefined;
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

/** Counting stops at this number, so that the time of a list does not grow with the number of calls. */
export const MAX_COUNT = 10_000;

export interface CallPage {
  readonly calls: readonly CallListItem[];
  /** Exact up to {@link MAX_COUNT}; above, that number and `totalCapped`. */
  readonly total: number;
  readonly totalCapped: boolean;
  /** The position after this page; null on the last page. */
  readonly next: CallCursor | null;
}
