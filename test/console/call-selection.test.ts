import { expect, test } from 'vitest';
import { isSelected, NOTHING, prune, type Selection, toggle } from '../../src/console/calls/selection.ts';

const selectable = ['a', 'b', 'c', 'd', 'e'];
const some = (...ids: string[]): Selection => ({ kind: 'some', ids: new Set(ids) });

test('a click selects one call, and a second click deselects it', () => {
  const one = toggle(NOTHING, { id: 'b', from: null, selectable });
  expect(one).toEqual(some('b'));
  expect(toggle(one, { id: 'b', from: null, selectable })).toEqual(NOTHING);
});

test('a shift-click selects the calls since the last click, in both directions', () => {
  expect(toggle(some('b'), { id: 'd', from: 'b', selectable })).toEqual(some('b', 'c', 'd'));
  expect(toggle(some('d'), { id: 'b', from: 'd', selectable })).toEqual(some('d', 'b', 'c'));
});

test('a shift-click on a selected call deselects the range', () => {
  expect(toggle(some(...selectable), { id: 'd', from: 'b', selectable })).toEqual(some('a', 'e'));
});

test('a range from a call that has left the list is one call', () => {
  expect(toggle(NOTHING, { id: 'd', from: 'gone', selectable })).toEqual(some('d'));
});

test('a click while all calls are selected leaves the other loaded calls selected', () => {
  expect(isSelected({ kind: 'all' }, 'not loaded')).toBe(true);
  expect(toggle({ kind: 'all' }, { id: 'c', from: null, selectable })).toEqual(some('a', 'b', 'd', 'e'));
});

test('ended calls leave the selection', () => {
  const selection = some('a', 'b');
  expect(prune(selection, () => true)).toBe(selection);
  expect(prune(selection, (id) => id === 'b')).toEqual(some('b'));
});
