import type { Timestamp } from '../domain/time.ts';
import type { Logger } from '../ports/system.ts';

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
  /** Resolves when every attempt has settled its lease. */
  idle(): Promise<void>;
}

/**
 * Runs attempts at the tasks of a queue, at most `concurrency` at once.
 * @param attempt makes one attempt and settles the lease; if it rejects, the task is due again when its lease expires. Calls
 * `release` when only the settlement is missing, so that the next claim can share the settlement's commit
 * @param onCapacity an attempt ended or was released, so more tasks can be claimed
 */
export function createLeaseWorker<Task>({
  queue,
  attempt,
  concurrency,
  onCapacity,
  log,
}: {
  queue: TaskQueue<Task>;
  attempt: (task: Task, release: () => void) => Promise<void>;
  concurrency: number;
  onCapacity: () => void;
  log: Pick<Logger, 'error'>;
}): LeaseWorker {
  const unsettled = new Set<Promise<void>>();
  let inFlight = 0;

  async function run(task: Task, release: () => void): Promise<void> {
    try {
      await attempt(task, release);
    } catch (error) {
      log.error({ err: error }, 'attempt failed without settling its lease');
    }
  }

  function start(task: Task): void {
    let isReleased = false;
    const release = () => {
      if (isReleased) return;
      isReleased = true;
      inFlight -= 1;
      onCapacity();
    };
    inFlight += 1;
    const settled = run(task, release).then(() => {
      unsettled.delete(settled);
      release();
    });
    unsettled.add(settled);
  }

  return {
    async claim() {
      const capacity = concurrency - inFlight;
      if (capacity <= 0) return null;
      const tasks = await queue.claim(capacity);
      for (const task of tasks) start(task);
      // More tasks may be due. The next attempt that ends triggers the next claim.
      if (tasks.length === capacity) return null;
      return queue.nextDueAt();
    },
    async idle() {
      await Promise.all(unsettled);
    },
  };
}
