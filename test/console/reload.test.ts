import { QueryClient, QueryObserver } from '@tanstack/react-query';
import { expect, test, vi } from 'vitest';
import { reloadQueries } from '../../src/console/api/reload.ts';
import { createThrottle } from '../../src/console/api/throttle.ts';

/** Requests whose responses the test sends. */
function createRequests() {
  const responses: ((value: number) => void)[] = [];
  const send = () => new Promise<number>((resolve) => responses.push(resolve));
  return {
    send,
    count: () => responses.length,
    answer: (index: number, value: number) => responses[index]?.(value),
  };
}

test('a reload during a request loads once more after its response', async () => {
  const client = new QueryClient();
  const requests = createRequests();
  const queryKey = ['one'];
  const observer = new QueryObserver(client, { queryKey, queryFn: requests.send });
  const unsubscribe = observer.subscribe(() => {});
  for (const [value, newer] of [
    [1, 2],
    [3, 4],
  ] as const) {
    const first = requests.count() - 1;
    const done = reloadQueries(client, queryKey);
    expect(requests.count()).toBe(first + 1);
    requests.answer(first, value);
    await vi.waitFor(() => expect(requests.count()).toBe(first + 2));
    expect(observer.getCurrentResult().data).toBe(value);
    requests.answer(first + 1, newer);
    await done;
    expect(observer.getCurrentResult().data).toBe(newer);
    void client.invalidateQueries({ queryKey });
  }
  unsubscribe();
});

test('a reload without an open request loads at once', async () => {
  const client = new QueryClient();
  const requests = createRequests();
  const queryKey = ['one'];
  const unsubscribe = new QueryObserver(client, { queryKey, queryFn: requests.send }).subscribe(() => {});
  requests.answer(0, 1);
  await vi.waitFor(() => expect(client.getQueryData(queryKey)).toBe(1));
  const done = reloadQueries(client, queryKey);
  await vi.waitFor(() => expect(requests.count()).toBe(2));
  requests.answer(1, 2);
  await done;
  expect(client.getQueryData(queryKey)).toBe(2);
  unsubscribe();
});

test('calls of a throttled function run once more, after the action and its interval', async () => {
  vi.useFakeTimers();
  try {
    const requests = createRequests();
    const throttle = createThrottle(1_000);
    throttle.action = requests.send;
    throttle.call();
    throttle.call();
    throttle.call();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(requests.count()).toBe(1);
    requests.answer(0, 0);
    await vi.advanceTimersByTimeAsync(0);
    expect(requests.count()).toBe(2);
    requests.answer(1, 0);
    await vi.advanceTimersByTimeAsync(999);
    throttle.call();
    expect(requests.count()).toBe(2);
    await vi.advanceTimersByTimeAsync(1);
    expect(requests.count()).toBe(3);
    requests.answer(2, 0);
    await vi.advanceTimersByTimeAsync(1_000);
    throttle.call();
    expect(requests.count()).toBe(4);
  } finally {
    vi.useRealTimers();
  }
});

test('a call after the component has left the page runs nothing', async () => {
  const requests = createRequests();
  const throttle = createThrottle(0);
  throttle.action = requests.send;
  throttle.call();
  throttle.call();
  throttle.action = null;
  requests.answer(0, 0);
  throttle.call();
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(requests.count()).toBe(1);
});
