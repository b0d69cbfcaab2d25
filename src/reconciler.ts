import { schedule } from 'node-cron';
import type { Timestamp } from './domain/time.ts';
import type { Dependencies } from './operations/dependencies.ts';
import { forget } from './operations/forget.ts';
import { reconcileDeletions } from './operations/reconcile-deletions.ts';
import { settleGraces } from './operations/settle-graces.ts';
import { watchWebhooks } from './operations/watch-webhooks.ts';

const EVERY_5_SECONDS = '*/5 * * * * *';
const EVERY_MINUTE = '11 * * * * *';
const EVERY_HOUR = '7 0 * * * *';
// A tick that a busy moment swallowed is no news: the next one does its work.
const QUIET = { suppressMissedWarning: true };

export interface Reconciler {
  /** There is something to do at this time: a pass begins then, not at the next tick. */
  nudge(at: Timestamp): void;
  /** No pass begins any more; resolves when the attempts under way are settled. */
  stop(): Promise<void>;
}

/**
 * When passes run: every 5 s, when nudged, and whenever an attempt ends. Never two passes at once, never more
 * than `concurrency` attempts; whatever a pass throws is logged, and the next tick comes all the same.
 */
export function startReconciler(
  dependencies: Omit<Dependencies, 'nudge'>,
  { concurrency }: { concurrency: number },
): Reconciler {
  const { clock, log, meters } = dependencies;
  const attempts = new Set<Promise<void>>();
  let pass: Promise<void> | null = null;
  let isWantedAgain = false;
  let isStopped = false;
  let hasWarned = false;
  let timer: NodeJS.Timeout | undefined;
  let timerAt: Timestamp | null = null;

  function nudge(at: Timestamp): void {
    if (isStopped || (timerAt !== null && timerAt <= at)) return;
    clearTimeout(timer);
    timerAt = at;
    timer = setTimeout(
      () => {
        timerAt = null;
        run();
      },
      Math.min(Math.max(0, at - clock.now()), 2 ** 31 - 1),
    );
  }

  function run(): void {
    if (isStopped) return;
    if (pass !== null) {
      isWantedAgain = true;
      return;
    }
    pass = runPass().finally(() => {
      pass = null;
      if (!isWantedAgain) return;
      isWantedAgain = false;
      run();
    });
  }

  async function runPass(): Promise<void> {
    try {
      const { nextAt } = await meters.timePass('graces', () => settleGraces(dependencies));
      if (nextAt !== null) nudge(nextAt);
    } catch (error) {
      log.error({ err: error }, 'graces could not be settled; tried again within 5 s');
    }
    const limit = concurrency - attempts.size;
    // Full: the end of an attempt runs the next pass.
    if (limit <= 0) return;
    try {
      const begun = await meters.timePass('deletions', () =>
        reconcileDeletions({ ...dependencies, nudge }, { limit }),
      );
      for (const attempt of begun.attempts) {
        const ended = attempt.finally(() => {
          attempts.delete(ended);
          run();
        });
        attempts.add(ended);
      }
      if (begun.nextAt !== null && attempts.size < concurrency) nudge(begun.nextAt);
    } catch (error) {
      log.error({ err: error }, 'a pass over the room deletions failed; the next one begins within 5 s');
    }
  }

  async function forgetAll(): Promise<void> {
    try {
      while (!isStopped && (await forget(dependencies)).more);
    } catch (error) {
      log.error({ err: error }, 'what is old could not be forgotten; tried again in an hour');
    }
  }

  async function watch(): Promise<void> {
    if (hasWarned) return;
    try {
      hasWarned = (await watchWebhooks(dependencies)).said;
    } catch (error) {
      log.error({ err: error }, 'whether webhooks come could not be seen; tried again in a minute');
    }
  }

  const tasks = [
    schedule(EVERY_5_SECONDS, run, QUIET),
    schedule(EVERY_MINUTE, watch, QUIET),
    schedule(EVERY_HOUR, forgetAll, QUIET),
  ];
  // What a crash left is due now, or when its lease ends.
  run();

  return {
    nudge,
    async stop() {
      isStopped = true;
      clearTimeout(timer);
      await Promise.all(tasks.map((task) => task.destroy()));
      await pass;
      await Promise.all(attempts);
    },
  };
}
