import { afterEach, expect, test, vi } from 'vitest';
import { systemTicks } from '../../src/reconciler/reconciler.ts';

const TZ = process.env.TZ;
afterEach(() => {
  vi.useRealTimers();
  if (TZ === undefined) delete process.env.TZ;
  else process.env.TZ = TZ;
});

test.each([
  ['goes through an hour twice', '2026-10-25T00:59:55Z'],
  ['leaves an hour out', '2027-03-28T00:59:55Z'],
])('schedules run while the local clock %s', async (_, now) => {
  process.env.TZ = 'Europe/Berlin';
  vi.useFakeTimers({ now: Date.parse(now) });
  const ticks = systemTicks({ now: () => Date.now() });
  const seen: Record<string, number> = {};
  const every = ['* * * * * *', '*/5 * * * * *', '11 * * * * *', '7 0 * * * *'];
  const tasks = every.map((cron) =>
    ticks.every(cron, () => {
      seen[cron] = (seen[cron] ?? 0) + 1;
    }),
  );
  await vi.advanceTimersByTimeAsync(60_000);
  expect(seen).toEqual({
    '* * * * * *': expect.closeTo(60, -1),
    '*/5 * * * * *': expect.closeTo(12, -1),
    '11 * * * * *': 1,
    '7 0 * * * *': 1,
  });
  for (const task of tasks) task.destroy();
});
