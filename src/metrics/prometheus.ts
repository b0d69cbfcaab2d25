import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { ENDED_STATUSES } from '../domain/call-status.ts';
import { PASSES } from '../domain/fleet.ts';
import { RATE_LIMIT_POLICIES } from '../domain/rate-limit.ts';
import type { Timestamp } from '../domain/time.ts';
import { REFUSAL_REASONS } from '../domain/webhook-refusal.ts';
import type { ConnectionCounts } from '../ports/diagnostics.ts';
import { LOOPS, type Metrics } from '../ports/metrics.ts';
import type { LiveCounts } from '../ports/store.ts';
import type { Clock } from '../ports/system.ts';

/** LiveKit's events. Other names get the label `other`: a sender could otherwise create any number of series. */
const WEBHOOK_EVENTS: readonly string[] = [
  'room_started',
  'room_finished',
  'participant_joined',
  'participant_left',
  'participant_connection_aborted',
  'track_published',
  'track_unpublished',
  'egress_started',
  'egress_updated',
  'egress_ended',
  'ingress_started',
  'ingress_ended',
];
const WEBHOOK_OUTCOMES: readonly string[] = ['applied', 'duplicate', 'unknown_room', 'ignored'];
const WEBHOOK_REFUSALS: readonly string[] = ['malformed', 'refused', 'stopping', 'failed'];

const FAST_BUCKETS = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10];
const REQUEST_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** Up to 24 h, the default of RETRY_MAX_AGE_MS. */
const DELETION_BUCKETS = [0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 14_400, 86_400];

const NO_CONNECTIONS: ConnectionCounts = { max: 0, open: 0, inUse: 0, waiting: 0 };

export interface Scrape {
  readonly contentType: string;
  readonly body: string;
}

export interface PrometheusMetrics extends Metrics {
  /** Returns all metrics in Prometheus's text format, with current counts from the store and the state of LiveKit. */
  scrape(sources: {
    countLive: () => Promise<LiveCounts>;
    isLiveKitUp: boolean | null;
    /** Null with SQLite. */
    connections?: ConnectionCounts | null;
  }): Promise<Scrape>;
}

/** Creates the metrics, with a registry of their own. Durations are in seconds, Prometheus's base unit. */
export function prometheusMetrics({ clock, version }: { clock: Clock; version: string }): PrometheusMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });

  new Gauge({
    registers,
    name: 'hangup_build_info',
    help: 'Version of hangup; the value is always 1',
    labelNames: ['version'],
  })
    .labels(version)
    .set(1);
  const calls = new Gauge({
    registers,
    name: 'hangup_calls',
    help: 'Live calls, by status',
    labelNames: ['status'],
  });
  const callsEnded = new Counter({
    registers,
    name: 'hangup_calls_ended_total',
    help: 'Calls that this process ended, by final status',
    labelNames: ['status'],
  });
  const deletions = new Gauge({
    registers,
    name: 'hangup_room_deletions',
    help: 'Room deletions that are not complete, by state',
    labelNames: ['state'],
  });
  const oldestDeletion = new Gauge({
    registers,
    name: 'hangup_room_deletion_oldest_age_seconds',
    help: 'Age of the oldest open room deletion; 0 if there is none',
  });
  const cancellationsRunning = new Gauge({
    registers,
    name: 'hangup_cancellations_running',
    help: 'Cancellations that are not complete: calls are still being cancelled, or rooms are still being deleted',
  });
  const oldestCancellation = new Gauge({
    registers,
    name: 'hangup_cancellation_oldest_age_seconds',
    help: 'Age of the oldest running cancellation; 0 if there is none',
  });
  const cancellationRooms = new Gauge({
    registers,
    name: 'hangup_cancellation_rooms',
    help: 'Rooms of cancellations that may still exist, by state of the deletion and time since the cancel of the call',
    labelNames: ['state', 'age'],
  });
  const holdsActive = new Gauge({
    registers,
    name: 'hangup_holds_active',
    help: 'Holds that refuse and cancel new calls',
  });
  const deletionAttempts = new Counter({
    registers,
    name: 'hangup_room_deletion_attempts_total',
    help: 'Attempts to delete a room, by the resulting state of the deletion',
    labelNames: ['state'],
  });
  const deletionSeconds = new Histogram({
    registers,
    name: 'hangup_room_deletion_duration_seconds',
    help: 'Time from the end of a call until its room is gone',
    buckets: DELETION_BUCKETS,
  });
  const ghosts = new Counter({
    registers,
    name: 'hangup_ghost_rooms_rescued_total',
    help: 'Rooms of dead LiveKit nodes that were moved to a living node and deleted',
  });
  const livekitRequests = new Counter({
    registers,
    name: 'hangup_livekit_requests_total',
    help: 'Requests to LiveKit, by RoomService method and outcome',
    labelNames: ['method', 'code'],
  });
  const livekitSeconds = new Histogram({
    registers,
    name: 'hangup_livekit_request_duration_seconds',
    help: 'Duration of requests to LiveKit, including those without a response',
    labelNames: ['method'],
    buckets: REQUEST_BUCKETS,
  });
  const livekitUp = new Gauge({
    registers,
    name: 'hangup_livekit_up',
    help: '1 if LiveKit responds, 0 after five requests in a row without a response; absent before the first response',
  });
  const requestsQueued = new Gauge({
    registers,
    name: 'hangup_livekit_requests_queued',
    help: 'Requests to LiveKit that wait for the rate limit',
  });
  const fleetMembers = new Gauge({
    registers,
    name: 'hangup_fleet_members',
    help: 'Processes that serve the database, by the last heartbeat of this process',
  });
  const passHeld = new Gauge({
    registers,
    name: 'hangup_pass_held',
    help: '1 if this process runs the background pass, 0 if another process may run it',
    labelNames: ['pass'],
  });
  const connectionsOpen = new Gauge({
    registers,
    name: 'hangup_database_connections',
    help: 'Connections of this process to Postgres, by state; 0 with SQLite',
    labelNames: ['state'],
  });
  const connectionsMax = new Gauge({
    registers,
    name: 'hangup_database_connections_max',
    help: 'Maximum number of connections of this process to Postgres; 0 with SQLite',
  });
  const connectionsWaiting = new Gauge({
    registers,
    name: 'hangup_database_requests_waiting',
    help: 'Database operations that wait for a connection to Postgres; 0 with SQLite',
  });
  const webhooks = new Counter({
    registers,
    name: 'hangup_webhooks_total',
    help: "LiveKit's webhooks, by event (none: not parsed) and outcome; unauthorized ones by reason",
    labelNames: ['event', 'outcome', 'reason'],
  });
  const eventStreams = new Gauge({
    registers,
    name: 'hangup_event_streams',
    help: 'Open event streams of this process, over REST and tRPC',
  });
  const eventReadersDropped = new Counter({
    registers,
    name: 'hangup_event_readers_dropped_total',
    help: 'Readers that were disconnected because they did not read their event stream',
  });
  const rateLimited = new Counter({
    registers,
    name: 'hangup_rate_limited_total',
    help: 'Requests that got 429, by policy: calls and cancels of an API key, anonymous for an address without a valid key',
    labelNames: ['policy'],
  });
  const loopSeconds = new Histogram({
    registers,
    name: 'hangup_reconcile_duration_seconds',
    help: 'Duration of one run of a reconciler loop',
    labelNames: ['loop'],
    buckets: FAST_BUCKETS,
  });
  const loopErrors = new Counter({
    registers,
    name: 'hangup_reconcile_errors_total',
    help: 'Runs of a reconciler loop that failed; the loop continues',
    labelNames: ['loop'],
  });
  const storeSeconds = new Histogram({
    registers,
    name: 'hangup_store_operation_duration_seconds',
    help: 'Duration of store operations, commit included',
    labelNames: ['method'],
    buckets: FAST_BUCKETS,
  });
  const storeErrors = new Counter({
    registers,
    name: 'hangup_store_failures_total',
    help: 'Store operations that failed and changed nothing',
  });

  // The first value of a new series shows no increase, so the series of the alerts exist from the start.
  for (const status of ENDED_STATUSES) callsEnded.inc({ status }, 0);
  for (const state of ['completed', 'retryable', 'discarded']) deletionAttempts.inc({ state }, 0);
  for (const loop of LOOPS) loopErrors.inc({ loop }, 0);
  for (const code of ['answered', 'not_found', 'unavailable', 'timed_out', 'refused']) {
    livekitRequests.inc({ method: 'DeleteRoom', code }, 0);
  }
  livekitSeconds.zero({ method: 'DeleteRoom' });
  for (const pass of PASSES) passHeld.set({ pass }, 0);
  for (const policy of RATE_LIMIT_POLICIES) rateLimited.inc({ policy }, 0);
  for (const event of WEBHOOK_EVENTS) {
    for (const outcome of WEBHOOK_OUTCOMES) webhooks.inc({ event, outcome }, 0);
  }
  for (const outcome of WEBHOOK_REFUSALS) webhooks.inc({ event: 'none', outcome }, 0);
  for (const reason of REFUSAL_REASONS) webhooks.inc({ event: 'none', outcome: 'unauthorized', reason }, 0);

  function setConnections({ max, open, inUse, waiting }: ConnectionCounts): void {
    connectionsOpen.set({ state: 'in_use' }, inUse);
    connectionsOpen.set({ state: 'idle' }, open - inUse);
    connectionsMax.set(max);
    connectionsWaiting.set(waiting);
  }

  function setGauges({ liveCalls, openDeletions, oldestOpenDeletionAt, cancellations }: LiveCounts): void {
    // Negative if the clock was set back.
    const ageOf = (at: Timestamp | null) => (at === null ? 0 : Math.max(0, clock.now() - at) / 1000);
    for (const [status, count] of Object.entries(liveCalls)) calls.set({ status }, count);
    for (const [state, count] of Object.entries(openDeletions)) deletions.set({ state }, count);
    oldestDeletion.set(ageOf(oldestOpenDeletionAt));
    cancellationsRunning.set(cancellations.running);
    oldestCancellation.set(ageOf(cancellations.oldestRunningAt));
    holdsActive.set(cancellations.activeHolds);
    for (const [state, byAge] of Object.entries(cancellations.rooms)) {
      for (const [age, count] of Object.entries(byAge)) cancellationRooms.set({ state, age }, count);
    }
  }

  return {
    callEnded: (status) => callsEnded.inc({ status }),
    deletionSettled(state, ageMs) {
      deletionAttempts.inc({ state });
      if (state === 'completed') deletionSeconds.observe(Math.max(0, ageMs) / 1000);
    },
    ghostRescued: () => ghosts.inc(),
    livekitRequest({ method, code, durationMs }) {
      livekitRequests.inc({ method, code });
      livekitSeconds.observe({ method }, durationMs / 1000);
    },
    livekitRequestsQueued: (length) => requestsQueued.set(length),
    fleetChanged({ members, passes }) {
      fleetMembers.set(members);
      for (const pass of PASSES) passHeld.set({ pass }, passes.includes(pass) ? 1 : 0);
    },
    rateLimited: (policy) => rateLimited.inc({ policy }),
    webhook({ event, outcome, reason }) {
      const label = event === null ? 'none' : WEBHOOK_EVENTS.includes(event) ? event : 'other';
      webhooks.inc({ event: label, outcome, ...(reason !== undefined && { reason }) });
    },
    eventStreams: (change) => eventStreams.inc(change),
    eventReaderDropped: () => eventReadersDropped.inc(),
    async timeLoop(loop, run) {
      const end = loopSeconds.startTimer({ loop });
      try {
        return await run();
      } catch (error) {
        loopErrors.inc({ loop });
        throw error;
      } finally {
        end();
      }
    },
    storeOperation({ method, failed, durationMs }) {
      storeSeconds.observe({ method }, durationMs / 1000);
      if (failed) storeErrors.inc();
    },

    async scrape({ countLive, isLiveKitUp, connections }) {
      setConnections(connections ?? NO_CONNECTIONS);
      if (isLiveKitUp === null) livekitUp.remove();
      else livekitUp.set(isLiveKitUp ? 1 : 0);
      try {
        setGauges(await countLive());
      } catch {
        // The instrumented store counts the error. Missing values are better than stale ones.
        for (const gauge of [calls, deletions, cancellationRooms]) gauge.reset();
        for (const gauge of [oldestDeletion, cancellationsRunning, oldestCancellation, holdsActive]) {
          gauge.remove();
        }
      }
      return { contentType: registry.contentType, body: await registry.metrics() };
    },
  };
}
