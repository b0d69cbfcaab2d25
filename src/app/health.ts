import type { TrafficMeter } from '../metrics/traffic.ts';
import type { Health } from '../operations/dependencies.ts';
import { createDiagnosis } from '../operations/health/diagnose.ts';
import { createOrganizationCounts } from '../operations/health/get.ts';
import { createHistory, HISTORY_INTERVAL_MS } from '../operations/health/history.ts';
import { runSelf } from '../platform/run-self.ts';
import type { Diagnosis, ProcessHealth } from '../ports/health.ts';
import type { Store } from '../ports/store.ts';
import type { Clock, Timers } from '../ports/system.ts';

/** The check of integrity reads the complete database. */
const DOCTOR_TIMEOUT_MS = 60_000;

/** Runs `hangup doctor --json`, and returns its output. */
export type RunDoctor = () => Promise<string>;

/** In a process of its own: a check can take longer than requests can wait. */
export const runDoctorProcess: RunDoctor = () =>
  runSelf(['doctor', '--json'], { timeoutMs: DOCTOR_TIMEOUT_MS });

/** Returns the health of the process. It records the history until `stop`. */
export function startHealth({
  store,
  clock,
  timers,
  traffic,
  runDoctor,
  ...facts
}: Pick<ProcessHealth, 'version' | 'storeKind' | 'isLiveKitUp' | 'liveKitSince'> & {
  store: Pick<Store, 'readActivity' | 'countOrganization'>;
  clock: Clock;
  timers: Timers;
  traffic: TrafficMeter;
  runDoctor: RunDoctor;
}): { health: Health; stop: () => void } {
  const history = createHistory({ store, clock, takeTraffic: traffic.take });
  const diagnose = async () => readFindings(await runDoctor());
  void history.record();
  return {
    health: {
      ...facts,
      startedAt: clock.now(),
      countOrganization: createOrganizationCounts({ store, clock }),
      history,
      diagnose: createDiagnosis({ diagnose, clock }),
    },
    stop: timers.every(HISTORY_INTERVAL_MS, () => void history.record()),
  };
}

function readFindings(output: string): Diagnosis[] {
  const { findings } = JSON.parse(output) as {
    findings: readonly (Omit<Diagnosis, 'advice'> & Partial<Diagnosis>)[];
  };
  return findings.map(({ check, level, message, advice = null }) => ({ check, level, message, advice }));
}
