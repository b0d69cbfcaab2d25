import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { ENDED_STATUSES } from '../domain/call.ts';
import { REFUSAL_REASONS } from '../domain/webhook-refusal.ts';
import { LOOPS, type Metrics } from '../ports/metrics.ts';
import type { LiveCounts } from '../ports/store.ts';
import type { Clock } from '../ports/system.ts';

/** LiveKit's words. Any other is `other`: whoever holds a key may send what he likes, and each label value stays. */
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

const QUICK_SECONDS = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10];
const REQUEST_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** Up to a day, after which a deletion is given up. */
const GONE_SECONDS = [0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 14_400, 86_400];

export interface Scrape {
  readonly contentType: string;
  readonly body: string;
}

export interface PrometheusMetrics extends Metrics {
  /** What is counted so far, what the store holds now and whether LiveKit answers, in Prometheus's text format. */
  scrape(sources: { takeCensus: () => Promise<LiveCounts>; isLiveKitUp: boolean | null }): Promise<Scrape>;
}

/** The metrics, kept by prom-client in a registry of their own. Times in seconds, as Prometheus has them. */
export function prometheusMetrics({ clock, version }: { clock: Clock; version: string }): PrometheusMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });

  new Gauge({
    registers,
    name: 'hangup_build_info',
    help: 'Which hangup this is; always 1',
    labelNames: ['version'],
  })
    .labels(version)
    .set(1);
  const calls = new Gauge({
    registers,
    name: 'hangup_calls',
    help: 'Live calls on record now, by status',
    labelNames: ['status'],
  });
  const callsEnded = new Counter({
    registers,
    name: 'hangup_calls_ended_total',
    help: 'Calls that this process ended, by the status they ended with',
    labelNames: ['status'],
  });
  const deletions = new Gauge({
    registers,
    name: 'hangup_room_deletions',
    help: 'Room deletions on record now that are not complete, by state; discarded ones were given up',
    labelNames: ['state'],
  });
  const oldestDeletion = new Gauge({
    registers,
    name: 'hangup_room_deletion_oldest_age_seconds',
    help: 'Age of the oldest room deletion that is still tried; 0 when there is none',
  });
  const deletionAttempts = new Counter({
    registers,
    name: 'hangup_room_deletion_attempts_total',
    help: 'Attempts at rooms, by the state that they left the deletion in',
    labelNames: ['state'],
  });
  const deletionSeconds = new Histogram({
    registers,
    name: 'hangup_room_deletion_duration_seconds',
    help: "From a cancel, or another end of a call, until the call's room is gone",
    buckets: GONE_SECONDS,
  });
  const ghosts = new Counter({
    registers,
    name: 'hangup_ghost_rooms_rescued_total',
    help: 'Rooms of dead LiveKit nodes that were taken over and deleted',
  });
  const livekitRequests = new Counter({
    registers,
    name: 'hangup_livekit_requests_total',
    help: "Requests to LiveKit, by LiveKit's name of the method and by outcome",
    labelNames: ['method', 'code'],
  });
  const livekitSeconds = new Histogram({
    registers,
    name: 'hangup_livekit_request_duration_seconds',
    help: 'Time of a request to LiveKit, answered or not',
    labelNames: ['method'],
    buckets: REQUEST_SECONDS,
  });
  const livekitUp = new Gauge({
    registers,
    name: 'hangup_livekit_up',
    help: 'Whether LiveKit answers: 1 or 0 (five requests in a row without an answer); absent before the first answer',
  });
  const livekitQueue = new Gauge({
    registers,
    name: 'hangup_livekit_queue_length',
    help: 'Requests that wait for their turn at LiveKit',
  });
  const webhooks = new Counter({
    registers,
    name: 'hangup_webhooks_total',
    help: "LiveKit's webhooks, by event (none: not read) and outcome; unauthorized ones by reason",
    labelNames: ['event', 'outcome', 'reason'],
  });
  const passSeconds = new Histogram({
    registers,
    name: 'hangup_pass_duration_seconds',
    help: 'Time of a pass of the reconciler',
    labelNames: ['pass'],
    buckets: QUICK_SECONDS,
  });
  const passFailures = new Counter({
    registers,
    name: 'hangup_pass_failures_total',
    help: 'Passes of the reconciler that failed; the next one comes all the same',
    labelNames: ['pass'],
  });
  const storeSeconds = new Histogram({
    registers,
    name: 'hangup_store_duration_seconds',
    help: 'Time of a transaction of the store, commit included',
    labelNames: ['method'],
    buckets: QUICK_SECONDS,
  });
  const storeFailures = new Counter({
    registers,
    name: 'hangup_store_failures_total',
    help: 'Transactions of the store that failed and changed nothing',
  });

  // A counter that begins with its first event shows no increase: what alerts ask for is there from the start.
  for (const status of ENDED_STATUSES) callsEnded.inc({ status }, 0);
  for (const state of ['completed', 'retryable', 'discarded']) deletionAttempts.inc({ state }, 0);
  for (const pass of LOOPS) passFailures.inc({ pass }, 0);
  for (const code of ['answered', 'not_found', 'unavailable', 'timed_out', 'refused']) {
    livekitRequests.inc({ method: 'DeleteRoom', code }, 0);
  }
  livekitSeconds.zero({ method: 'DeleteRoom' });
  for (const event of WEBHOOK_EVENTS) {
    for (const outcome of WEBHOOK_OUTCOMES) webhooks.inc({ event, outcome }, 0);
  }
  for (const outcome of WEBHOOK_REFUSALS) webhooks.inc({ event: 'none', outcome }, 0);
  for (const reason of REFUSAL_REASONS) webhooks.inc({ event: 'none', outcome: 'unauthorized', reason }, 0);

  function show({ liveCalls, openDeletions, oldestOpenDeletionAt }: LiveCounts): void {
    for (const [status, count] of Object.entries(liveCalls)) calls.set({ status }, count);
    for (const [state, count] of Object.entries(openDeletions)) deletions.set({ state }, count);
    const age = oldestOpenDeletionAt === null ? 0 : clock.now() - oldestOpenDeletionAt;
    // A clock set back.
    oldestDeletion.set(Math.max(0, age) / 1000);
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
    livekitRequestsQueued: (length) => livekitQueue.set(length),
    webhook({ event, outcome, reason }) {
      const known = event === null ? 'none' : WEBHOOK_EVENTS.includes(event) ? event : 'other';
      webhooks.inc({ event: known, outcome, ...(reason !== undefined && { reason }) });
    },
    async timeLoop(pass, run) {
      const end = passSeconds.startTimer({ pass });
      try {
        return await run();
      } catch (error) {
        passFailures.inc({ pass });
        throw error;
      } finally {
        end();
      }
    },
    storeOperation({ method, failed, durationMs }) {
      storeSeconds.observe({ method }, durationMs / 1000);
      if (failed) storeFailures.inc();
    },

    async scrape({ takeCensus, isLiveKitUp }) {
      if (isLiveKitUp === null) livekitUp.remove();
      else livekitUp.set(isLiveKitUp ? 1 : 0);
      try {
        show(await takeCensus());
      } catch {
        // The store's failure is counted where it happened. No numbers are better than old ones.
        for (const gauge of [calls, deletions]) gauge.reset();
        oldestDeletion.remove();
      }
      return { contentType: registry.contentType, body: await registry.metrics() };
    },
  };
}
