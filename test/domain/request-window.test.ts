import { expect, test } from 'vitest';
import { EMPTY_WINDOW, takeSlot, waitForSlotMs } from '../../src/domain/request-window.ts';

/** Returns the times of the requests that are sent as soon as the rate allows, until the end. */
function sendUntil(endMs: number, rateAt: (nowMs: number) => number): number[] {
  const times: number[] = [];
  let window = EMPTY_WINDOW;
  for (let nowMs = 0; nowMs <= endMs; nowMs += 1) {
    const rate = rateAt(nowMs);
    while (waitForSlotMs(window, rate, nowMs) === 0) {
      window = takeSlot(window, rate, nowMs);
      times.push(nowMs);
    }
  }
  return times;
}

test('a minute has as many requests as the rate, at most the limit per second at once', () => {
  const times = sendUntil(59_999, () => 600);
  expect(times).toHaveLength(600);
  expect(times.filter((time) => time < 1_000)).toHaveLength(10);
});

test('a rate below one request per second spreads the requests', () => {
  expect(sendUntil(59_999, () => 4)).toEqual([0, 15_000, 30_000, 45_000]);
  expect(sendUntil(600_000, () => 1 / 3)).toEqual([0, 180_000, 360_000, 540_000]);
});

test('a smaller rate has effect in the present window', () => {
  const times = sendUntil(1_999, (nowMs) => (nowMs < 1 ? 600 : 300));
  expect(times.filter((time) => time < 1_000)).toHaveLength(10);
  expect(times.filter((time) => time >= 1_000)).toHaveLength(5);
});

test('no request is sent at the rate 0, and the next one as soon as the rate is larger', () => {
  expect(waitForSlotMs(EMPTY_WINDOW, 0, 5)).toBe(Number.POSITIVE_INFINITY);
  expect(sendUntil(3_000, (nowMs) => (nowMs < 500 || nowMs >= 600 ? 0 : 60))).toEqual([500]);
});

test('the wait ends with the window', () => {
  const window = takeSlot(EMPTY_WINDOW, 60, 100);
  expect(waitForSlotMs(window, 60, 400)).toBe(700);
  expect(waitForSlotMs(window, 60, 1_100)).toBe(0);
});
