import type { Timestamp } from '../domain/time.ts';
import type { Clock, Logger } from '../ports/system.ts';

/** A durable queue of leased tasks. */
export interface TaskQueue<Task> {
  /** Leases at most `limit` due tasks to the caller. */
  claim(limit: number): Promise<readonly Task[]>;
  /** When the next open task is due; null if no task is open. */
  nextDueAt(): Promise<Timestamp | null>;
}

export interface LeaseWorker {
  /**
   * Claims due tasks up to the free capacity and starts their attempts. Does not wait for the attempts, so that a slow
   * attempt does not delay the others.
   * @returns when the next task is due; null if no task is open, or if `onCapacity` has to come first
   */
  claim(): Promise<Timestamp | null>;
  /** Whether an attempt is in flight that has not called `release`. */
  isBusy(): boolean;
  /** Resolves when no attempt is in flight, and every attempt has settled its lease. */
  idle(): Promise<void>;
}

/** While attempts are shorter, tasks are claimed ahead: they wait for about eight attempts. */
const FAST_ATTEMPT_MS = 25;
/** For each attempt at once. More would save little more of the claim's cost. */
const TASKS_AHEAD = 8;
/** Whatever the concurrency: a claim must not hold the database for long. */
const MAX_AHEAD = 128;

/**
 * Runs attempts at the tasks of a queue, at most `concurrency()` at once. While attempts are fast, it claims more tasks than it
 * starts, so that fewer claims and commits serve the same tasks.
 * @param attempt makes one attempt and settles the lease; if it rejects, the task is due again when its lease expires. Calls
 * `release` when only the settlement is missing, so that a claim can share the settlement's commit
 * @param mayStart false: claimed tasks wait for the next claim, or are due again when their leases expire
 * @param onCapacity more tasks can be claimed
 */
export function createLeaseWorker<Task>({
  queue,
  attempt,
  mayStart,
  concurrency,
  onCapacity,
  clock,
  log,
}: {
  queue: TaskQueue<Task>;
  attempt: (task: Task, release: () => void) => Promise<void>;
  mayStart: () => boolean;
  concurrency: () => number;
  onCapacity: () => void;
  clock: Clock;
  log: Pick<Logger, 'error'>;
}): LeaseWorker {
  /** Claimed tasks that wait for their attempt. */
  const ready: Task[] = [];
  const unsettled = new Set<Promise<void>>();
  let inFlight = 0;
  let isFast = false;

  const ahead = () => (isFast ? Math.min(TASKS_AHEAD * concurrency(), MAX_AHEAD) : 0);

  function start(task: Task): void {
    const startedAt = clock.now();
    let isReleased = false;
    const release = (hasFailed: boolean) => {
      if (isReleased) return;
      isReleased = true;
      inFlight -= 1;
      isFast = !hasFailed && clock.now() - startedAt < FAST_ATTEMPT_MS;
      startReady();
      if (ready.length <= ahead() / TASKS_AHEAD) onCapacity();
    };
    inFlight += 1;
    const settled = attempt(task, () => release(false)).then(
      () => {
        unsettled.delete(settled);
        release(false);
      },
      (error: unknown) => {
        log.error({ err: error }, 'attempt failed without settling its lease');
        unsettled.delete(settled);
        release(true);
      },
    );
    unsettled.add(settled);
  }

  function startReady(): void {
    while (inFlight < concurrency() && mayStart()) {
      const task = ready.shift();
      if (task === undefined) return;
      start(task);
    }
  }

  return {
    async claim() {
      startReady();
      const capacity = concurrency() + ahead() - inFlight - ready.length;
      if (capacity <= 0) return null;
      const tasks = await queue.claim(capacity);
      ready.push(...tasks);
      startReady();
      // More tasks may be due. The attempts that end trigger the next claim.
      if (tasks.length === capacity) return null;
      return queue.nextDueAt();
    },
    isBusy: () => inFlight > 0,
    async idle() {
      while (unsettled.size > 0) await Promise.all(unsettled);
    },
  };
}
