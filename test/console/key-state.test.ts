import { expect, test } from 'vitest';
import { expiryOf, keyStateOf } from '../../src/console/keys/key-state.ts';

const NOW = Date.parse('2026-11-26T12:00:00.000Z');

test('a key is active until it expires or is revoked', () => {
  const state = (expiresAt: string | null, revokedAt: string | null = null) =>
    keyStateOf({ expiresAt, revokedAt }, NOW);
  expect(state(null)).toBe('active');
  expect(state('2026-11-26T12:00:00.001Z')).toBe('active');
  expect(state('2026-11-26T12:00:00.000Z')).toBe('expired');
  expect(state(null, '2026-11-26T11:00:00.000Z')).toBe('revoked');
  expect(state('2026-11-01T00:00:00.000Z', '2026-10-01T00:00:00.000Z')).toBe('revoked');
});

test('the expiry is never, in days, or at a time in the future', () => {
  expect(expiryOf('never', '', NOW)).toBeNull();
  expect(expiryOf('30', '', NOW)).toBe('2026-12-26T12:00:00.000Z');
  expect(expiryOf('date', '2026-11-26T12:00:01Z', NOW)).toBe('2026-11-26T12:00:01.000Z');
  for (const date of ['', '2026-11-26T12:00:00Z', 'tomorrow']) {
    expect(expiryOf('date', date, NOW)).toBeUndefined();
  }
});
