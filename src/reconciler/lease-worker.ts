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
  /** Resolves when no attempt is in flight. */
  idle(): Promise<void>;
}

/**
 * Runs attempts at the tasks of a queue, at most `concurrency` at once.
 * @param attempt makes one attempt and settles the lease; if it rejects, the task is due again when its lease expires
 * @param onCapacity an attempt ended, so more tasks can be claimed
 */
export function createLeaseWorker<Task>({
  queue,
  attempt,
  concurrency,
  onCapacity,
  log,
}: {
  queue: TaskQueue<Task>;
  attempt: (task: Task) => Promise<void>;
  concurrency: number;
  onCapacity: () => void;
  log: Pick<Logger, 'error'>;
}): LeaseWorker {
  const inFlight = new Set<Promise<void>>();

  async function run(task: Task): Promise<void> {
    try {
      await attempt(task);
    } catch (error) {
      log.error({ err: error }, 'attempt failed without settling its lease');
    }
  }

  function start(task: Task): void {
    const ended = run(task).then(() => {
      inFlight.delete(ended);
      onCapacity();
    });
    inFlight.add(ended);
  }

  return {
    async claim() {
      const capacity = concurrency - inFlight.size;
      if (capacity <= 0) return null;
      for (const task of await queue.claim(capacity)) start(task);
      if (inFlight.size >= concurrency) return null;
      return queue.nextDueAt();
    },
    async idle() {
      await Promise.all(inFlight);
    },
  };
}
