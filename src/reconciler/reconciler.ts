import { afterOutage, INITIAL_RECONCILE_STATE } from '../domain/room-diff.ts';
import type { Timestamp } from '../domain/time.ts';
import { advanceCancellations } from '../operations/cancellations/advance.ts';
import { shareCompletions } from '../operations/deletions/completions.ts';
import { attemptClaimedDeletion, claimDueDeletions } from '../operations/deletions/due-deletions.ts';
import type { Dependencies } from '../operations/dependencies.ts';
import { pollPhones } from '../operations/livekit/poll-phones.ts';
import { reconcileRooms } from '../operations/livekit/reconcile-rooms.ts';
import { reviewCalls } from '../operations/livekit/review-calls.ts';
import { warnIfNoWebhooks } from '../operations/livekit/warn-if-no-webhooks.ts';
import { pruneBatch } from '../operations/retention/prune.ts';
import { createFleetMember } from './fleet-member.ts';
import { createLeaseWorker } from './lease-worker.ts';
import { createLoop } from './loop.ts';
import type { Scheduler } from './scheduler.ts';

/** Between two reads of a queue in which nothing was due. */
const MIN_PAUSE_MS = 50;
const PHONE_POLL_INTERVAL_MS = 1_000;
/** Other processes apply webhooks too, and cannot start a review here. */
const REVIEW_INTERVAL_MS = 1_000;
const DELETION_INTERVAL_MS = 5_000;
/** For cancellations that another process started, or left when it crashed. */
const CANCELLATION_INTERVAL_MS = 1_000;
/** While a cancellation runs: for calls that start to match, and for the completion. */
const RUNNING_CANCELLATION_INTERVAL_MS = 250;
/** Deletions with a request in flight while a cancellation runs: people wait for its end. */
const CANCELLATION_CONCURRENCY = 128;
/** While its calls are recorded: more would delay reads, because recording takes the processor too. */
const RECORDING_CONCURRENCY = 64;
const WEBHOOK_CHECK_INTERVAL_MS = 60_000;
const PRUNE_INTERVAL_MS = 3_600_000;
/** Without an early first run, a process that is restarted every hour would never prune. */
const FIRST_PRUNE_DELAY_MS = 60_000;
/** Time for the HTTP requests that waited for the start: the first runs load the database. */
const STARTUP_DELAY_MS = 100;
const PROBE_TIMEOUT_MS = 2_000;
/** The room need not exist: the probe tests whether LiveKit responds. */
const PROBE_ROOM_NAME = 'hangup-probe';

/** Runs the background work of hangup. */
export interface Reconciler {
  /** Starts all loops: soon, to finish the work of a crashed process, and then on schedule. */
  start(): void;
  /** Cancels the calls of new cancellations now. */
  onCancellation(): void;
  /** Makes reviews and deletions run at this time instead of at their next interval. */
  nudge(at: Timestamp): void;
  /** Interrupts the reconciliation of rooms, because LiveKit no longer responds. */
  onLiveKitUnreachable(): void;
  /** Starts the work that waited for LiveKit. @param downMs duration of the outage */
  onLiveKitRecovered(downMs: number): void;
  /**
   * Starts no further run. Resolves when no run, attempt or review is in flight.
   * @param requests resolves when no request of a client needs LiveKit any more: until then this process keeps its part of
   * LiveKit's rate limit
   */
  stop(requests?: Promise<void>): Promise<void>;
}

/**
 * Creates the reconciler. While LiveKit is unreachable, the deletion loop sends one probe per interval, and the other
 * loops send no request. Of the processes on one database, one at a time compares rooms, polls phones and reviews calls, and
 * one prunes. All of them delete rooms and cancel calls.
 * @param concurrency maximum number of deletions with a request in flight, while no cancellation runs
 * @param reconcileSchedule cron expression with seconds for the reconciliation of rooms
 * @param openSince returns since when LiveKit is unreachable; null if LiveKit is reachable
 * @param onRatePart receives the part of LiveKit's rate limit that this process may use, from 0 to 1
 */
export function createReconciler(
  base: Omit<Dependencies, 'nudge' | 'onCancellation'>,
  {
    concurrency,
    reconcileSchedule,
    openSince,
    scheduler,
    onRatePart = () => {},
  }: {
    concurrency: number;
    reconcileSchedule: string;
    openSince: () => Timestamp | null;
    scheduler: Scheduler;
    onRatePart?: (part: number) => void;
  },
): Reconciler {
  const { clock, log, metrics, random, rooms, store } = base;
  const dependencies = { ...base, nudge, onCancellation: () => cancellationLoop.trigger() };
  const stopping = new AbortController();
  let outage = new AbortController();
  const isUnreachable = () => openSince() !== null;
  const loopOptions = { log, signal: stopping.signal };

  /** Deletions with a request in flight that a running cancellation permits. */
  let cancellationConcurrency = 0;
  const complete = shareCompletions({
    store,
    isBusy: () => deletionWorker.isBusy(),
    after: scheduler.after,
  });
  const deletionWorker = createLeaseWorker({
    queue: {
      claim: (limit) => claimDueDeletions(dependencies, { limit }),
      nextDueAt: () => store.nextDeletionAt(),
    },
    attempt: (deletion, release) =>
      attemptClaimedDeletion(dependencies, deletion, { onRequestsEnded: release, complete }),
    mayStart: () => !isUnreachable(),
    concurrency: () => Math.max(concurrency, cancellationConcurrency),
    // During an outage, only the interval triggers the loop, which then sends one probe.
    onCapacity: () => {
      if (!isUnreachable()) deletionLoop.trigger();
    },
    clock,
    log,
  });
  const deletionLoop = createLoop(
    'deletions',
    async () => {
      if (isUnreachable() && !(await probeLiveKit())) return;
      const nextDueAt = await metrics.timeLoop('deletions', () => deletionWorker.claim());
      if (nextDueAt !== null && !isUnreachable()) nudgeLater(nextDueAt);
    },
    loopOptions,
  );

  const member = createFleetMember({
    memberId: random.id('proc'),
    store,
    clock,
    scheduler,
    log,
    metrics,
    unreachableSince: openSince,
    onGained(pass, { isTakeover }) {
      if (pass !== 'reconciliation') return;
      // This process may have missed an outage of LiveKit.
      if (isTakeover) reconcileState = afterOutage(reconcileState, clock.now());
      reviewLoop.trigger();
      roomLoop.trigger();
    },
    onRatePart,
  });
  const mayReconcile = () => !isUnreachable() && member.holds('reconciliation');

  let reconcileState = INITIAL_RECONCILE_STATE;
  let recoveredAt: Timestamp = 0;
  const roomLoop = createLoop(
    'rooms',
    async () => {
      if (!mayReconcile()) return;
      const { signal } = outage;
      const lost = member.signalOf('reconciliation');
      const { state } = await metrics.timeLoop('rooms', () =>
        reconcileRooms(dependencies, reconcileState, AbortSignal.any([stopping.signal, signal, lost])),
      );
      // Another process reconciles, or has done so.
      if (lost.aborted) return;
      // A run that spans an outage must not shorten the time in which clients reconnect.
      reconcileState = signal.aborted ? afterOutage(state, recoveredAt) : state;
    },
    loopOptions,
  );

  /** False after an outage, while clients reconnect: no participant counts as missing. */
  const isTrusted = () => reconcileState.listedRooms !== null && clock.now() >= reconcileState.settlingUntil;

  let lastPolledCall = '';
  const phoneLoop = createLoop(
    'phones',
    async () => {
      if (!mayReconcile()) return;
      lastPolledCall = await metrics.timeLoop('phones', () =>
        pollPhones(dependencies, { after: lastPolledCall, isTrusted: isTrusted() }),
      );
    },
    loopOptions,
  );

  const reviewState = { inFlight: new Set<string>(), deferredUntil: new Map<string, Timestamp>() };
  const reviews = new Set<Promise<void>>();
  const reviewLoop = createLoop(
    'reviews',
    async () => {
      if (!mayReconcile()) return;
      const started = await metrics.timeLoop('reviews', () =>
        reviewCalls(dependencies, { isTrusted: isTrusted(), ...reviewState }),
      );
      for (const review of started.reviews) {
        const ended = review.then(() => {
          reviews.delete(ended);
          if (started.hasMore) reviewLoop.trigger();
        });
        reviews.add(ended);
      }
      if (started.nextAt !== null) nudgeLater(started.nextAt);
    },
    loopOptions,
  );

  const pruneLoop = createLoop(
    'prune',
    async () => {
      const mayContinue = () => !stopping.signal.aborted && member.holds('pruning');
      while (mayContinue() && (await pruneBatch(dependencies)).hasMore);
    },
    loopOptions,
  );

  let isWebhookWarningLogged = false;
  const webhookCheckLoop = createLoop(
    'webhook_check',
    async () => {
      if (!isWebhookWarningLogged) isWebhookWarningLogged = (await warnIfNoWebhooks(dependencies)).warned;
    },
    loopOptions,
  );

  let cancelCancellationTimer = () => {};
  const onRecorded = () => {
    cancellationConcurrency = Math.max(cancellationConcurrency, RECORDING_CONCURRENCY);
    if (!isUnreachable()) deletionLoop.trigger();
  };
  const cancellationLoop = createLoop(
    'cancellations',
    async () => {
      const isRunning = await metrics.timeLoop('cancellations', () =>
        advanceCancellations({ store, log, onRecorded }, stopping.signal),
      );
      const isIncreased = isRunning && cancellationConcurrency < CANCELLATION_CONCURRENCY;
      cancellationConcurrency = isRunning ? CANCELLATION_CONCURRENCY : 0;
      if (!isRunning || stopping.signal.aborted) return;
      if (isIncreased && !isUnreachable()) deletionLoop.trigger();
      cancelCancellationTimer();
      cancelCancellationTimer = scheduler.after(RUNNING_CANCELLATION_INTERVAL_MS, cancellationLoop.trigger);
    },
    loopOptions,
  );

  const loops = [
    cancellationLoop,
    deletionLoop,
    roomLoop,
    phoneLoop,
    reviewLoop,
    pruneLoop,
    webhookCheckLoop,
  ];

  async function probeLiveKit(): Promise<boolean> {
    await rooms.findRoom(PROBE_ROOM_NAME, { timeoutMs: PROBE_TIMEOUT_MS, priority: 'deletion' });
    return !isUnreachable();
  }

  let nudgeDueAt: Timestamp | null = null;
  let cancelNudge = () => {};
  function nudge(at: Timestamp): void {
    if (stopping.signal.aborted || (nudgeDueAt !== null && nudgeDueAt <= at)) return;
    cancelNudge();
    nudgeDueAt = at;
    cancelNudge = scheduler.after(at - clock.now(), () => {
      nudgeDueAt = null;
      reviewLoop.trigger();
      deletionLoop.trigger();
    });
  }

  /** Nudges for a time that the store's clock has not reached. This process's clock can be ahead of Postgres's. */
  function nudgeLater(at: Timestamp): void {
    nudge(Math.max(at, clock.now() + MIN_PAUSE_MS));
  }

  async function logRecovery(downMs: number): Promise<void> {
    try {
      log.info({ downMs, openDeletions: await store.countOpenDeletions() }, 'LiveKit recovered');
    } catch (error) {
      log.error({ err: error, downMs }, 'LiveKit recovered');
    }
  }

  function triggerLiveKitLoops(): void {
    reviewLoop.trigger();
    deletionLoop.trigger();
    roomLoop.trigger();
  }

  let cancelTimers: readonly (() => void)[] = [];

  return {
    start() {
      const cancelStart = scheduler.after(STARTUP_DELAY_MS, () => {
        cancelTimers = [
          scheduler.every(PHONE_POLL_INTERVAL_MS, phoneLoop.trigger),
          scheduler.every(REVIEW_INTERVAL_MS, reviewLoop.trigger),
          scheduler.every(DELETION_INTERVAL_MS, deletionLoop.trigger),
          scheduler.every(CANCELLATION_INTERVAL_MS, cancellationLoop.trigger),
          scheduler.cron(reconcileSchedule, roomLoop.trigger),
          scheduler.every(WEBHOOK_CHECK_INTERVAL_MS, webhookCheckLoop.trigger),
          scheduler.after(FIRST_PRUNE_DELAY_MS, pruneLoop.trigger),
          scheduler.every(PRUNE_INTERVAL_MS, pruneLoop.trigger),
        ];
        member.start();
        cancellationLoop.trigger();
        deletionLoop.trigger();
      });
      cancelTimers = [cancelStart];
    },
    onCancellation: dependencies.onCancellation,
    nudge,
    onLiveKitUnreachable() {
      outage.abort();
    },
    onLiveKitRecovered(downMs) {
      outage = new AbortController();
      recoveredAt = clock.now();
      void logRecovery(downMs);
      reconcileState = afterOutage(reconcileState, recoveredAt);
      if (!member.holds('reconciliation')) member.heartbeat();
      triggerLiveKitLoops();
    },
    async stop(requests) {
      stopping.abort();
      for (const cancel of [...cancelTimers, cancelNudge, cancelCancellationTimer]) cancel();
      await Promise.all(loops.map((loop) => loop.idle()));
      const released = Promise.all(reviews).then(() => member.release());
      await Promise.all([released, deletionWorker.idle(), requests]);
      await member.leave();
    },
  };
}
