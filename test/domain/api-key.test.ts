import { expect, test } from 'vitest';
import {
  type ApiKey,
  formatKey,
  isActive,
  isApiKeyFormat,
  shouldRecordUse,
} from '../../src/domain/api-key.ts';

const KEY: ApiKey = {
  id: 'key_1',
  organizationId: 'org_1',
  organizationName: 'acme',
  name: 'test',
  scopes: [],
  createdAt: 0,
  expiresAt: null,
  revokedAt: null,
  lastUsedAt: null,
};

test('isApiKeyFormat accepts only the format of a key', () => {
  expect(isApiKeyFormat(formatKey('a'.repeat(43)))).toBe(true);
  for (const text of ['', 'hangup_live_', formatKey('a'.repeat(42)), formatKey(`${'a'.repeat(42)}\n`)]) {
    expect(isApiKeyFormat(text), JSON.stringify(text)).toBe(false);
  }
});

test('a key is active until its revocation or expiry', () => {
  expect(isActive(KEY, 1_000)).toBe(true);
  expect(isActive({ ...KEY, expiresAt: 1_000 }, 999)).toBe(true);
  expect(isActive({ ...KEY, expiresAt: 1_000 }, 1_000)).toBe(false);
  expect(isActive({ ...KEY, revokedAt: 2_000 }, 1_000)).toBe(false);
});

test('the use of a key is recorded once a minute, also after the clock was set back', () => {
  expect(shouldRecordUse(KEY, 0)).toBe(true);
  expect(shouldRecordUse({ ...KEY, lastUsedAt: 100_000 }, 159_999)).toBe(false);
  expect(shouldRecordUse({ ...KEY, lastUsedAt: 100_000 }, 160_000)).toBe(true);
  expect(shouldRecordUse({ ...KEY, lastUsedAt: 100_000 }, 40_000)).toBe(true);
});
