import type { Scheduler } from '../../src/reconciler/scheduler.ts';

/** Returns a scheduler. The test starts a run by the name of the schedule, such as `every 5000`. */
export function manualScheduler() {
  const schedules = new Set<{ readonly name: string; readonly run: () => void }>();
  const add = (name: string, run: () => void) => {
    const schedule = { name, run };
    schedules.add(schedule);
    return () => void schedules.delete(schedule);
  };
  const scheduler: Scheduler = {
    cron: (expression, run) => add(`cron ${expression}`, run),
    every: (intervalMs, run) => add(`every ${intervalMs}`, run),
    after(delayMs, run) {
      const cancel = add(`after ${delayMs}`, () => {
        cancel();
        run();
      });
      return cancel;
    },
  };
  return {
    scheduler,
    names: () => [...schedules].map(({ name }) => name),
    fire(name: string) {
      for (const schedule of [...schedules]) if (schedule.name === name) schedule.run();
    },
  };
}
