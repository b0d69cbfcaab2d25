import type { SearchTerms } from '../domain/call-search.ts';
import type { LiveStatus } from '../domain/call-status.ts';
import type { IdempotentRequest, KeyReused } from '../domain/idempotency.ts';
import type { DeletionState, RoomDeletion } from '../domain/room-deletion.ts';
import type { RoomParticipant } from '../domain/room-participants.ts';
import type { Timestamp } from '../domain/time.ts';
import type { CallListItem, Replayable } from './store.ts';

/** Reads of one organization for an overview: rooms, agents and room deletions. */
export interface OverviewStore {
  /** The rooms of these calls, by the call's id. A call that does not exist has none. */
  findRooms(callIds: readonly string[]): Promise<ReadonlyMap<string, CallRoom>>;
  /**
   * Calls of the organization that match, the newest first. Reads at most {@link MAX_CANDIDATES} entries of each index, and
   * that many of the newest calls: a search that matches more calls can miss older ones.
   */
  searchCalls(search: CallSearch): Promise<readonly CallListItem[]>;
  /** The agents of live calls, those with the most calls first. */
  listAgents(input: { organizationId: string; limit: number }): Promise<readonly AgentCalls[]>;
  /** Open and discarded deletions of the organization, the oldest first, after a position; null: from the oldest. */
  listRoomDeletions(query: RoomDeletionQuery): Promise<readonly RoomDeletion[]>;
  /** Makes an open or discarded deletion available, for an API key. */
  retryRoomDeletion(input: {
    callId: string;
    organizationId: string;
    apiKeyId: string;
    idempotency: IdempotentRequest | null;
  }): Promise<Replayable<RetryDeletionResult>>;
  countOrganization(organizationId: string): Promise<OrganizationCounts>;
  /** @param after a position in the audit log; null: counts no events */
  readActivity(after: number | null): Promise<Activity>;
}

export interface CallSearch {
  readonly organizationId: string;
  readonly terms: SearchTerms;
  readonly limit: number;
}

export const MAX_CANDIDATES = 1_000;

/** The room of a call, as on record. */
export interface CallRoom {
  readonly name: string;
  /** Empty when the call has ended. */
  readonly participants: readonly RoomParticipant[];
}

export interface AgentCalls {
  /** Null: the calls without an agent. */
  readonly id: string | null;
  /** The name in one of the live calls. */
  readonly name: string | null;
  readonly liveCalls: number;
}

export type IncompleteState = Exclude<DeletionState, 'completed'>;

export interface RoomDeletionQuery {
  readonly organizationId: string;
  readonly states: readonly IncompleteState[];
  /** Only deletions of this cancellation; null: of every call. */
  readonly cancellationId: string | null;
  readonly after: DeletionCursor | null;
  readonly limit: number;
}

export interface DeletionCursor {
  readonly createdAt: Timestamp;
  readonly callId: string;
}

export type RetryDeletionResult =
  | { readonly kind: 'retried'; readonly deletion: RoomDeletion }
  /** The room is deleted. Nothing changed. */
  | { readonly kind: 'completed' }
  /** The organization has no such call, or the call has no deletion. */
  | { readonly kind: 'not_found' }
  | KeyReused;

export interface OrganizationCounts {
  readonly liveCalls: Readonly<Record<LiveStatus, number>>;
  readonly roomDeletions: {
    readonly open: number;
    readonly discarded: number;
    /** When the oldest open deletion was created; null when none is open. */
    readonly oldestOpenAt: Timestamp | null;
  };
  readonly cancellations: { readonly running: number; readonly activeHolds: number };
  /** The last event of LiveKit on record, for any organization. */
  readonly lastWebhookAt: Timestamp | null;
}

/** The state of all organizations, and their events since a position in the audit log. */
export interface Activity {
  /** The end of the audit log. */
  readonly position: number;
  /** Organizations with a number other than 0. */
  readonly organizations: readonly OrganizationActivity[];
}

export interface OrganizationActivity {
  readonly organizationId: string;
  readonly liveCalls: number;
  readonly openDeletions: number;
  /** Calls that were cancelled. */
  readonly cancelled: number;
  /** Rooms that were deleted. */
  readonly deleted: number;
  /** Attempts to delete a room that failed. */
  readonly failed: number;
}
