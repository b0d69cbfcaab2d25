import type { CallPolicy } from '../domain/assess-call.ts';
import type { RetryPolicy } from '../domain/retry-policy.ts';
import type { Timestamp } from '../domain/time.ts';
import type { ProcessHealth } from '../ports/health.ts';
import type { RoomService } from '../ports/livekit.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { Store } from '../ports/store.ts';
import type { Clock, Logger, Random, Timers } from '../ports/system.ts';
import type { EventFeed } from './events/event-feed.ts';
import type { Findings } from './health/diagnose.ts';
import type { CountOrganization } from './health/get.ts';
import type { HistoryRecorder } from './health/history.ts';

/** Ages at which records are pruned; null: never. */
interface RetentionSettings {
  readonly endedCallsMs: number | null;
  readonly auditMs: number | null;
  /** LiveKit repeats a webhook for half a minute, and its signature is valid for 5 minutes. */
  readonly eventIdsMs: number;
}

/** Settings of the operations that change calls. */
interface CallSettings {
  readonly policy: CallPolicy;
  /** Key in the room's metadata whose value is the agent id of an adopted call. */
  readonly agentIdKey: string;
}

/** The dependencies of the operations. Each operation takes the part that it needs. */
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
  /** Deadline of a LiveKit request of the reconciler. */
  readonly backgroundTimeoutMs: number;
  /** Deadline of a LiveKit request for the participants that a client reads. */
  readonly readTimeoutMs: number;
  /** A call fails this long after its scheduled start if its room was never observed. */
  readonly callStartTimeoutMs: number;
  /** The rate limit of requests to LiveKit; 0: no limit. */
  readonly requestsPerMinute: number;
  readonly retention: RetentionSettings;
  readonly callSettings: CallSettings;
  /** Makes the reconciler run at this time. */
  readonly nudge: (at: Timestamp) => void;
  /** Makes the reconciler cancel the calls of a new cancellation. */
  readonly onCancellation: () => void;
}

/** The health of this process and of the organizations. */
export interface Health
  extends Pick<ProcessHealth, 'version' | 'startedAt' | 'storeKind' | 'isLiveKitUp' | 'liveKitSince'> {
  readonly countOrganization: CountOrganization;
  readonly history: Pick<HistoryRecorder, 'read'>;
  readonly diagnose: () => Promise<Findings>;
}

/** The dependencies of the operations that only requests need. */
export interface ServerDependencies extends Dependencies {
  readonly timers: Timers;
  readonly eventFeed: EventFeed;
  readonly health: Health;
}
