import { type RetryPolicy, retryDelayMs } from './retry-policy.ts';
import type { Timestamp } from './time.ts';

/*
 * A task in a durable queue, such as a room deletion. A worker leases the task, makes one attempt and settles the lease.
 * If a lease expires before its settlement, the task is due again.
 */

/** available: never attempted. running: leased to a worker. retryable: failed, and due later. */
export const OPEN_TASK_STATES = ['available', 'running', 'retryable'] as const;
/** completed and discarded are final. */
export const TASK_STATES = [...OPEN_TASK_STATES, 'completed', 'discarded'] as const;
export type TaskState = (typeof TASK_STATES)[number];

export interface LeasedTask {
  readonly state: TaskState;
  /** Attempts started. State `running` and this number identify a lease. */
  readonly attempt: number;
  /** When a worker may claim the task: the time of the next attempt, or the end of the current lease. */
  readonly scheduledAt: Timestamp;
  readonly attemptedAt: Timestamp | null;
  readonly finalizedAt: Timestamp | null;
  readonly lastError: string | null;
  readonly createdAt: Timestamp;
}

export type AttemptOutcome =
  | { readonly kind: 'succeeded' }
  | {
      readonly kind: 'failed';
      readonly error: string;
      /** The shortest delay that the remote side accepts; 0: any. */
      readonly minRetryDelayMs: number;
    };

/** The state that a lease ends in. */
export type AttemptResult =
  | { readonly state: 'completed' }
  | { readonly state: 'retryable'; readonly retryAfterMs: number; readonly lastError: string }
  | { readonly state: 'discarded'; readonly lastError: string };

const MAX_ERROR_LENGTH = 500;

/**
 * Longer than a claim waits between its reading of the clock and its write. Another process can commit a later time meanwhile,
 * whose leases are not from before a change of the clock.
 */
export const MAX_TIME_DIFFERENCE_MS = 10_000;

/**
 * Returns the state that an attempt leaves its task in. A failed task is discarded when its next attempt would come
 * after `policy.maxAgeMs`.
 * @param random in [0, 1)
 */
export function resolveAttempt(
  task: Pick<LeasedTask, 'attempt' | 'createdAt'>,
  outcome: AttemptOutcome,
  { policy, now, random }: { policy: RetryPolicy; now: Timestamp; random: number },
): AttemptResult {
  if (outcome.kind === 'succeeded') return { state: 'completed' };
  // The remote side chooses the length of its error.
  const lastError = outcome.error.slice(0, MAX_ERROR_LENGTH);
  const delayMs = retryDelayMs(policy, { ageMs: now - task.createdAt, attempt: task.attempt, random });
  if (delayMs === null) return { state: 'discarded', lastError };
  const retryAfterMs = Math.min(Math.max(delayMs, outcome.minRetryDelayMs), policy.maxDelayMs);
  return { state: 'retryable', retryAfterMs, lastError };
}

/** Whether the attempt holds the lease of the task. */
export function isLeasedTo(attempt: number, task: Pick<LeasedTask, 'state' | 'attempt'>): boolean {
  return task.state === 'running' && task.attempt === attempt;
}

/**
 * Returns a leased task with times by the clock of the process that leased the task, which can differ from the store's clock.
 * @param sentAt when the process requested the lease: the lease ends in the store no earlier than in the result
 */
export function byOwnClock<Task extends LeasedTask>(task: Task, sentAt: Timestamp): Task {
  const { attemptedAt, scheduledAt, createdAt } = task;
  const differenceMs = sentAt - (attemptedAt ?? sentAt);
  return {
    ...task,
    attemptedAt: sentAt,
    scheduledAt: scheduledAt + differenceMs,
    createdAt: createdAt + differenceMs,
  };
}

/** Returns the task after an attempt that was made under a lease; null when the attempt does not hold the lease any more. */
export function settleLease<Task extends LeasedTask>(
  task: Task,
  { attempt, result, now }: { attempt: number; result: AttemptResult; now: Timestamp },
): Task | null {
  if (!isLeasedTo(attempt, task)) return null;
  if (result.state !== 'retryable') return { ...task, ...result, finalizedAt: now };
  const { state, retryAfterMs, lastError } = result;
  return { ...task, state, scheduledAt: now + retryAfterMs, lastError, finalizedAt: null };
}
