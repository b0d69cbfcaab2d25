import { onTestFinished } from 'vitest';
import { startHangup, type TestSettings } from './hangup.ts';
import { startEmulated } from './livekit.ts';
import { movableClock, quickScheduler } from './time.ts';

/** Starts hangup on an emulator, with a clock that the test moves and schedules that run 20 times a second. */
export async function startTimedHangup(
  settings: TestSettings = {},
  { webhookUrls = [] }: { webhookUrls?: string[] } = {},
) {
  const livekit = await startEmulated({ webhookUrls });
  onTestFinished(() => livekit.stop());
  const clock = movableClock();
  const hangup = await startHangup({
    livekit,
    settings: { reconcileSchedule: '* * * * * *', ...settings },
    clock,
    scheduler: quickScheduler(clock),
  });
  onTestFinished(() => hangup.stop());
  return { hangup, clock, emulator: livekit.emulator };
}
