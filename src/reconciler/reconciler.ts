import { schedule } from 'node-cron';
import { afterOutage, INITIAL_RECONCILE_STATE } from '../domain/room-diff.ts';
import type { Timestamp } from '../domain/time.ts';
import { startDueDeletions } from '../operations/deletions/run-due-deletions.ts';
import type { Dependencies } from '../operations/dependencies.ts';
import { pollPhones } from '../operations/livekit/poll-phones.ts';
import { reconcileRooms } from '../operations/livekit/reconcile-rooms.ts';
import { reviewCalls } from '../operations/livekit/review-calls.ts';
import { warnIfNoWebhooks } from '../operations/livekit/warn-if-no-webhooks.ts';
import { pruneBatch } from '../operations/retention/prune.ts';
import { useUtcTimeZone } from '../platform/environment.ts';
import type { Clock } from '../ports/system.ts';

const EVERY_SECOND = '* * * * * *';
const EVERY_5_SECONDS = '*/5 * * * * *';
const EVERY_MINUTE = '11 * * * * *';
const EVERY_HOUR = '7 0 * * * *';
// A tick that a busy moment swallowed is no news: the next one does its work.
const QUIET = { suppressMissedWarning: true };
/** Requests that waited for the start are answered first: the passes load as much again. */
const BEGINS_AFTER_MS = 100;
const PROBE_TIMEOUT_MS = 2_000;
/** Any name will do: what is asked is whether LiveKit answers. */
const PROBED_ROOM = 'hangup-probe';

/** What sets passes off: node-cron and the process's timers, unless a simulation plays them. */
export interface Ticks {
  /** Runs at every moment of a cron expression with seconds. */
  every(cron: string, run: () => void): { destroy(): unknown };
  /** @returns what calls it off */
  after(delayMs: number, run: () => void): () => void;
}

/** node-cron reckons by the wall clock: after one is set back it would wait until the old time comes again. */
export function systemTicks(clock: Clock): Ticks {
  // And by local time: in autumn nothing would come in the hour that a local clock goes through twice. node-cron's option
  // `timezone` does not help: it drops the milliseconds of a moment by local time, which makes it an hour earlier there.
  useUtcTimeZone();
  const tasks = new Set<() => void>();
  let seenAt = clock.now();
  const look = () => {
    const now = clock.now();
    if (now < seenAt) for (const renew of tasks) renew();
    seenAt = now;
  };
  let watch: NodeJS.Timeout | undefined;
  return {
    every(cron, run) {
      watch ??= setInterval(look, 1_000).unref();
      let task = schedule(cron, run, QUIET);
      const renew = () => {
        void task.destroy();
        task = schedule(cron, run, QUIET);
      };
      tasks.add(renew);
      return {
        destroy() {
          tasks.delete(renew);
          if (tasks.size === 0) clearInterval(watch);
          return task.destroy();
        },
      };
    },
    after(delayMs, run) {
      const timer = setTimeout(run, delayMs);
      return () => clearTimeout(timer);
    },
  };
}

export interface Reconciler {
  /** What a crash left is due now, or when its lease ends; then all goes by its schedule. */
  begin(): void;
  /** There is something to do at this time: a pass begins then, not at the next tick. */
  nudge(at: Timestamp): void;
  /** LiveKit answers again: all that waited for it begins now. */
  livekitIsBack(awayMs: number): void;
  /** No pass begins any more; resolves when the passes and attempts under way have ended. */
  stop(): Promise<void>;
}

/**
 * When passes run: over reviews and deletions every 5 s and when nudged, over deletions whenever an attempt ends too;
 * over phones every second; over rooms by schedule. Never two of a kind at once, never more than `concurrency` attempts; whatever a pass
 * throws is logged, and the next tick comes all the same. While LiveKit is away it is asked one thing at a time.
 */
export function createReconciler(
  given: Omit<Dependencies, 'nudge'>,
  {
    concurrency,
    reconcileSchedule,
    awaySince,
    ticks = systemTicks(given.clock),
  }: {
    concurrency: number;
    reconcileSchedule: string;
    awaySince: () => Timestamp | null;
    ticks?: Ticks;
  },
): Reconciler {
  const { clock, log, metrics, rooms, store } = given;
  const dependencies = { ...given, nudge };
  const attempts = new Set<Promise<void>>();
  const reviewing = new Set<Promise<void>>();
  let isStopped = false;
  let hasWarned = false;
  let callOffBeginning = () => {};
  let callOffNudge = () => {};
  let timerAt: Timestamp | null = null;

  const deletions = pass('over the room deletions', async () => {
    if (awaySince() !== null && !(await answers())) return;
    const limit = concurrency - attempts.size;
    // Full: the end of an attempt runs the next pass.
    if (limit <= 0) return;
    const begun = await metrics.timeLoop('deletions', () => startDueDeletions(dependencies, { limit }));
    for (const attempt of begun.attempts) {
      const ended = attempt.finally(() => {
        attempts.delete(ended);
        // One that failed says itself when it is due; while LiveKit is away the next tick probes.
        if (awaySince() === null) deletions.run();
      });
      attempts.add(ended);
    }
    if (begun.nextAt !== null && attempts.size < concurrency && awaySince() === null) nudge(begun.nextAt);
  });

  let comparison = INITIAL_RECONCILE_STATE;
  const comparing = pass("over LiveKit's rooms", async () => {
    if (awaySince() !== null) return;
    const pass = await metrics.timeLoop('rooms', () =>
      reconcileRooms(dependencies, comparison, () => isStopped || awaySince() !== null),
    );
    comparison = pass.comparison;
  });

  /** Right after LiveKit was away its clients need time to come back: nobody counts as missing then. */
  const isTrusted = () => comparison.listed !== null && clock.now() >= comparison.distrustUntil;

  let lastPhones = '';
  const phones = pass('over the phones', async () => {
    if (awaySince() !== null) return;
    lastPhones = await metrics.timeLoop('phones', () =>
      pollPhones(dependencies, { after: lastPhones, isTrusted: isTrusted() }),
    );
  });

  const reviewState = { underWay: new Set<string>(), deferred: new Map<string, Timestamp>() };
  const reviews = pass('over the reviews', async () => {
    if (awaySince() !== null) return;
    const options = { isTrusted: isTrusted(), ...reviewState };
    const begun = await metrics.timeLoop('reviews', () => reviewCalls(dependencies, options));
    for (const review of begun.reviews) {
      const ended = review.finally(() => {
        reviewing.delete(ended);
        if (begun.hasMore) reviews.run();
      });
      reviewing.add(ended);
    }
    if (begun.nextAt !== null) nudge(begun.nextAt);
  });

  const forgetting = pass('over what is old', async () => {
    while (!isStopped && (await pruneBatch(dependencies)).more);
  });

  const watching = pass('over the webhooks', async () => {
    if (!hasWarned) hasWarned = (await warnIfNoWebhooks(dependencies)).said;
  });

  /** Never twice at once; when it is wanted while it runs, once more behind it. */
  function pass(what: string, work: () => Promise<void>) {
    let running: Promise<void> | null = null;
    let isWantedAgain = false;
    async function attempt(): Promise<void> {
      try {
        await work();
      } catch (error) {
        log.error({ err: error }, `a pass ${what} failed; the next one comes`);
      }
    }
    function run(): void {
      if (isStopped) return;
      if (running !== null) {
        isWantedAgain = true;
        return;
      }
      running = attempt().finally(() => {
        running = null;
        if (!isWantedAgain) return;
        isWantedAgain = false;
        run();
      });
    }
    return { run, ended: async () => running };
  }

  async function answers(): Promise<boolean> {
    const asking = { timeoutMs: PROBE_TIMEOUT_MS, priority: 'deletion' } as const;
    await rooms.findRoom(PROBED_ROOM, asking);
    return awaySince() === null;
  }

  function nudge(at: Timestamp): void {
    if (isStopped || (timerAt !== null && timerAt <= at)) return;
    callOffNudge();
    timerAt = at;
    callOffNudge = ticks.after(Math.min(Math.max(0, at - clock.now()), 2 ** 31 - 1), () => {
      timerAt = null;
      reviews.run();
      deletions.run();
    });
  }

  async function sayBack(awayMs: number): Promise<void> {
    try {
      log.info({ awayMs, deletionsWaiting: await store.countOpenDeletions() }, 'LiveKit is back');
    } catch (error) {
      log.error({ err: error, awayMs }, 'LiveKit is back');
    }
  }

  let tasks: readonly { destroy(): unknown }[] = [];

  return {
    begin() {
      callOffBeginning = ticks.after(BEGINS_AFTER_MS, () => {
        tasks = [
          ticks.every(EVERY_SECOND, phones.run),
          ticks.every(EVERY_5_SECONDS, reviews.run),
          ticks.every(EVERY_5_SECONDS, deletions.run),
          ticks.every(reconcileSchedule, comparing.run),
          ticks.every(EVERY_MINUTE, watching.run),
          ticks.every(EVERY_HOUR, forgetting.run),
        ];
        reviews.run();
        deletions.run();
        comparing.run();
      });
    },
    nudge,
    livekitIsBack(awayMs) {
      void sayBack(awayMs);
      comparison = afterOutage(comparison, clock.now());
      reviews.run();
      deletions.run();
      comparing.run();
    },
    async stop() {
      isStopped = true;
      callOffBeginning();
      callOffNudge();
      await Promise.all(tasks.map((task) => task.destroy()));
      await Promise.all(
        [deletions, reviews, comparing, phones, forgetting, watching].map(({ ended }) => ended()),
      );
      await Promise.all([...attempts, ...reviewing]);
    },
  };
}
