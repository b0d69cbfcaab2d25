import { expect, test } from 'vitest';
import { createBoundedCache } from '../../src/store/sqlite/bounded-cache.ts';

function makeCache(limit: number) {
  const made: string[] = [];
  const cache = createBoundedCache<string>(limit, (value) => value.length);
  const get = (key: string) =>
    cache.get(key, () => {
      made.push(key);
      return key;
    });
  return { cache, get, made };
}

test('a value is made once while it is in the cache', () => {
  const { get, made } = makeCache(4);
  expect([get('aa'), get('bb'), get('aa')]).toEqual(['aa', 'bb', 'aa']);
  expect(made).toEqual(['aa', 'bb']);
});

test('the values that were used least recently make room for a new value', () => {
  const { get, made } = makeCache(4);
  for (const key of ['a', 'b', 'cc', 'a', 'dd', 'a', 'cc']) get(key);
  expect(made).toEqual(['a', 'b', 'cc', 'dd', 'cc']);
});

test('a value above the limit replaces all others', () => {
  const { get, made } = makeCache(4);
  for (const key of ['a', 'bbbbb', 'bbbbb', 'a']) get(key);
  expect(made).toEqual(['a', 'bbbbb', 'a']);
});

test('a cleared cache has its complete limit again', () => {
  const { cache, get, made } = makeCache(4);
  get('aaaa');
  cache.clear();
  for (const key of ['bb', 'cc', 'bb']) get(key);
  expect(made).toEqual(['aaaa', 'bb', 'cc']);
});
