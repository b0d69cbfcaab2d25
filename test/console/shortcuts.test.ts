import { expect, test } from 'vitest';
import { createShortcuts, type KeyPress } from '../../src/console/shell/shortcuts.ts';

const press = (key: string, parts: Partial<KeyPress> = {}): KeyPress => ({
  key,
  hasModifier: false,
  isTaken: false,
  at: 0,
  ...parts,
});

/** Returns the last action of key presses. */
const lastOf = (...presses: readonly KeyPress[]) => presses.map(createShortcuts()).at(-1);

test('/ searches, and ? opens the help', () => {
  expect(lastOf(press('/'))).toEqual({ kind: 'search' });
  expect(lastOf(press('Shift'), press('?'))).toEqual({ kind: 'help' });
});

test.each([
  ['c', '/calls'],
  ['s', '/stop'],
  ['h', '/health'],
  ['k', '/keys'],
])('g then %s opens %s', (key, path) => {
  expect(lastOf(press('g'), press(key, { at: 1_500 }))).toEqual({ kind: 'page', path });
});

test('the key of a page alone, late, or after another key does nothing', () => {
  expect(lastOf(press('s'))).toBeNull();
  expect(lastOf(press('g'), press('s', { at: 1_501 }))).toBeNull();
  expect(lastOf(press('g'), press('x'), press('s'))).toBeNull();
  expect(lastOf(press('g'), press('s'), press('s'))).toBeNull();
  expect(lastOf(press('g'), press('toString'))).toBeNull();
  expect(lastOf(press('g'), press('g'), press('s'))).toMatchObject({ path: '/stop' });
});

test.each<Partial<KeyPress>>([{ hasModifier: true }, { isTaken: true }])(
  'keys with %j do nothing',
  (parts) => {
    for (const key of ['/', '?']) expect(lastOf(press(key, parts))).toBeNull();
    expect(lastOf(press('g', parts), press('s'))).toBeNull();
    expect(lastOf(press('g'), press('s', parts))).toBeNull();
  },
);
