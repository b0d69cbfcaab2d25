import type { CallPolicy } from '../domain/assess-call.ts';
import type { RetryPolicy } from '../domain/retry-policy.ts';
import type { Timestamp } from '../domain/time.ts';
import type { RoomService } from '../ports/livekit.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { Store } from '../ports/store.ts';
import type { Clock, Logger, Random } from '../ports/system.ts';

/** How long what is over is kept; null: for ever. */
interface RetentionSettings {
  readonly endedCallsMs: number | null;
  readonly auditMs: number | null;
  /** LiveKit repeats an event for half a minute, and its signature holds for 5 minutes. */
  readonly eventIdsMs: number;
}

/** What the operations on events are told by the settings. */
interface CallEventSettings {
  readonly policy: CallPolicy;
  /** Key of the room's metadata under which an adopted call's agent is named. */
  readonly agentIdKey: string;
}

/** What the operations work on. Each takes the part that it needs. */
export interface Dependencies {
  readonly store: Store;
  readonly rooms: RoomService;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly retry: RetryPolicy;
  /** Deadline of a LiveKit request that a client waits for. */
  readonly cancelTimeoutMs: number;
  /** Deadline of a LiveKit request that nobody waits for. */
  readonly backgroundTimeoutMs: number;
  /** Deadline of asking LiveKit who is in a room. */
  readonly readTimeoutMs: number;
  /** How long after it should have begun a call fails whose room was never seen. */
  readonly callStartTimeoutMs: number;
  /** LiveKit's rate limit; 0: none. */
  readonly requestsPerMinute: number;
  readonly retention: RetentionSettings;
  readonly events: CallEventSettings;
  /** Tells the reconciler that it has something to do at this time. */
  readonly nudge: (at: Timestamp) => void;
}
