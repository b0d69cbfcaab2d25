import { afterEach, expect, test } from 'vitest';
import { compareClocks, currentTime } from '../../src/console/api/clock.ts';

const HOUR_MS = 3_600_000;
const headerOf = (time: number) => new Date(time).toUTCString();
/** How far the time of the console is from the clock of this machine, in seconds. */
const offsetS = () => Math.round((currentTime() - Date.now()) / 1_000);

afterEach(() => compareClocks(headerOf(Date.now()), Date.now(), Date.now()));

test('the time is that of the server if the clock of the machine is wrong', () => {
  const now = Date.now();
  compareClocks(headerOf(now - 3 * HOUR_MS), now - 50, now);
  expect(Math.abs(offsetS() + 3 * 3_600)).toBeLessThanOrEqual(1);
  compareClocks(headerOf(now), now - 50, now);
  expect(offsetS()).toBe(0);
});

test('a difference of seconds, a response without a date and one after a pause of the machine change nothing', () => {
  const now = Date.now();
  compareClocks(headerOf(now - 5_000), now - 50, now);
  compareClocks(null, now - 50, now);
  compareClocks('yesterday', now - 50, now);
  compareClocks(headerOf(now - HOUR_MS), now - HOUR_MS, now);
  expect(offsetS()).toBe(0);
});
