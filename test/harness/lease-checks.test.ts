import { expect, test } from 'vitest';
import { canAssignSenders } from './lease-checks.ts';

const lease = (attempt: number, startedAt: number, endedAt: number) => ({
  callId: 'c1',
  attempt,
  startedAt,
  endedAt,
  isEnded: true,
  sender: null,
});
const request = (sender: string, arrivedAt: number) => ({
  sender,
  method: 'DeleteRoom',
  room: 'c1',
  arrivedAt,
  endedAt: arrivedAt + 100,
});

// From a fleet on a loaded machine.
const LEASES = [lease(1, 210, 777), lease(2, 1_042, 5_299), lease(3, 6_793, 9_402)];

test('a request can arrive after a request of the next lease', () => {
  const requests = [request('p4', 1_036), request('p5', 6_990), request('p4', 8_376), request('p5', 9_423)];
  expect(canAssignSenders(requests, LEASES)).toBe(true);
});

test('one lease has one sender', () => {
  expect(canAssignSenders([request('p4', 300), request('p5', 400)], LEASES)).toBe(false);
  expect(canAssignSenders([request('p4', 300), request('p4', 400)], LEASES)).toBe(true);
});

test('a request before each lease, or long after it, has none', () => {
  expect(canAssignSenders([request('p4', 200)], LEASES)).toBe(false);
  expect(canAssignSenders([request('p4', 13_403)], LEASES)).toBe(false);
});
