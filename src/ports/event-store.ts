import type { AuditEvent, StreamedAction } from '../domain/audit.ts';

/** The audit log of an organization as a stream: ids are in the order of the commits. */
export interface EventStore {
  /**
   * Returns events after the id `after`, oldest first. Reads a bounded part of the audit log, so a page can have fewer
   * events than `limit` although more follow: the next page starts after `position`.
   */
  listEvents(query: EventQuery): Promise<EventPage>;
  getEventRange(): Promise<EventRange>;
}

/** Selects events that have all of these values. */
export interface EventFilter {
  /** Events of calls that this agent has. */
  readonly agentId?: string | undefined;
  readonly callId?: string | undefined;
  readonly cancellationId?: string | undefined;
}

export interface EventQuery {
  readonly organizationId: string;
  readonly filter: EventFilter;
  readonly after: number;
  readonly limit: number;
}

export interface EventPage {
  readonly events: readonly StreamedEvent[];
  /** No later event has a smaller id. */
  readonly position: number;
  /** Whether the page reaches the end of the audit log. */
  readonly isLast: boolean;
  /** Whether pruning has deleted entries after `after`, so that the page can lack events. */
  readonly isPruned: boolean;
}

export interface StreamedEvent extends Omit<AuditEvent, 'organizationId'> {
  readonly id: number;
  readonly action: StreamedAction;
  /** The agent of a created call. */
  readonly agentId: string | null;
}

export interface EventRange {
  /** The id of the oldest entry on record; one more than `newest` when none is. */
  readonly oldest: number;
  /** The id of the newest entry that was ever written; 0 before the first one. */
  readonly newest: number;
}
