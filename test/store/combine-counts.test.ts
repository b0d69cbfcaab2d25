import { expect, test } from 'vitest';
import { type Counted, combineCounts } from '../../src/store/postgres/combine-counts.ts';

/** Returns counts of which the test ends the statements. */
function start(maxStatements = 2) {
  const statements: { key: string; requests: number; end: PromiseWithResolvers<Counted> }[] = [];
  const totals = new Map<string, number>();
  const count = combineCounts((key, requests) => {
    const end = Promise.withResolvers<Counted>();
    statements.push({ key, requests, end });
    return end.promise;
  }, maxStatements);
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  return {
    count: async (key: string) => (await count(key)).consumedPoints,
    first: async (key: string) => (await count(key)).isFirstInDuration,
    sent: () => statements.map(({ key, requests }) => `${key}: ${requests}`),
    async end(index: number) {
      const { key = '', requests = 0, end } = statements[index] ?? {};
      const total = (totals.get(key) ?? 0) + requests;
      totals.set(key, total);
      end?.resolve({ consumedPoints: total, msBeforeNext: 1, isFirstInDuration: total === requests });
      await settle();
    },
    async fail(index: number) {
      statements[index]?.end.reject(new Error('no connection'));
      await settle();
    },
  };
}

test('requests of a key share a statement while another statement of the key runs, and each gets its own count', async () => {
  const { count, sent, end } = start();
  const first = count('a');
  const others = [count('a'), count('a'), count('a')];
  expect(sent()).toEqual(['a: 1']);
  await end(0);
  expect(await first).toBe(1);
  expect(sent()).toEqual(['a: 1', 'a: 3']);
  await end(1);
  expect(await Promise.all(others)).toEqual([2, 3, 4]);
});

test('only the first request of a window is the first', async () => {
  const { first, end } = start();
  const requests = [first('a'), first('a'), first('a')];
  await end(0);
  await end(1);
  expect(await Promise.all(requests)).toEqual([true, false, false]);
});

test('keys wait in the order of their first requests while the maximum number of statements runs', async () => {
  const { count, sent, end } = start(2);
  const counts = ['a', 'b', 'c', 'd', 'c'].map(count);
  expect(sent()).toEqual(['a: 1', 'b: 1']);
  await end(1);
  expect(sent()).toEqual(['a: 1', 'b: 1', 'c: 2']);
  for (const index of [0, 2, 3]) await end(index);
  expect(await Promise.all(counts)).toEqual([1, 1, 1, 1, 2]);
});

test('a failed statement fails its requests, and the next requests are counted', async () => {
  const { count, sent, end, fail } = start();
  const failed = expect(count('a')).rejects.toThrow('no connection');
  const next = count('a');
  await fail(0);
  await failed;
  expect(sent()).toEqual(['a: 1', 'a: 1']);
  await end(1);
  expect(await next).toBe(1);
});
