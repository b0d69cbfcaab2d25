import { InfiniteQueryObserver, QueryClient, QueryObserver } from '@tanstack/react-query';
import { expect, test, vi } from 'vitest';
import { loadNextPage, reloadQueries } from '../../src/console/api/reload.ts';
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

test('a reload that the next page interrupts follows the next page', async () => {
  const client = new QueryClient();
  const requests = createRequests();
  const queryKey = ['pages'];
  const observer = new InfiniteQueryObserver(client, {
    queryKey,
    queryFn: requests.send,
    initialPageParam: 0,
    getNextPageParam: (_last, pages) => (pages.length < 2 ? pages.length : null),
  });
  const unsubscribe = observer.subscribe(() => {});
  const pages = () => observer.getCurrentResult().data?.pages;
  requests.answer(0, 1);
  await vi.waitFor(() => expect(pages()).toEqual([1]));
  const reloaded = reloadQueries(client, queryKey);
  await vi.waitFor(() => expect(requests.count()).toBe(2));
  const loaded = loadNextPage(client, queryKey, () => observer.fetchNextPage());
  await vi.waitFor(() => expect(requests.count()).toBe(3));
  requests.answer(2, 2);
  await vi.waitFor(() => expect(requests.count()).toBe(4));
  requests.answer(3, 11);
  await vi.waitFor(() => expect(requests.count()).toBe(5));
  requests.answer(4, 12);
  await Promise.all([reloaded, loaded]);
  expect(pages()).toEqual([11, 12]);
  unsubscribe();
});

test('the next page alone sends one request', async () => {
  const client = new QueryClient();
  const requests = createRequests();
  const fetchNextPage = () => requests.send();
  const loaded = loadNextPage(client, ['pages'], fetchNextPage);
  requests.answer(0, 1);
  await loaded;
  expect(requests.count()).toBe(1);
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
