import { errorMessage } from '../../domain/errors.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { Diagnosis } from '../../ports/health.ts';
import type { Clock } from '../../ports/system.ts';

/** The checks can read the complete database. */
const CACHE_MS = 60_000;

export interface Findings {
  readonly findings: readonly Diagnosis[];
  readonly checkedAt: Timestamp;
}

/** Returns a function that runs the checks, one run at a time, and returns their findings for {@link CACHE_MS}. */
export function createDiagnosis({
  diagnose,
  clock,
}: {
  diagnose: () => Promise<readonly Diagnosis[]>;
  clock: Clock;
}): () => Promise<Findings> {
  let running: Promise<Findings> | null = null;
  let last: Findings | null = null;

  async function run(): Promise<Findings> {
    const findings = await diagnose().catch((error: unknown): Diagnosis[] => [
      {
        check: 'doctor',
        level: 'unknown',
        message: `the checks have no result: ${errorMessage(error)}`,
        advice: 'run `hangup doctor` on the server',
      },
    ]);
    last = { findings, checkedAt: clock.now() };
    return last;
  }

  return () => {
    if (last !== null && Math.abs(clock.now() - last.checkedAt) < CACHE_MS) return Promise.resolve(last);
    running ??= run().finally(() => {
      running = null;
    });
    return running;
  };
}
