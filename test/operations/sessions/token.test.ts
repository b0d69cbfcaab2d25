import { describe, expect, test } from 'vitest';
import {
  deriveSigningKey,
  formatToken,
  isAuthentic,
  parseToken,
} from '../../../src/operations/sessions/token.ts';

const KEY = deriveSigningKey('secret');
const HASH = 'a'.repeat(64);
const TOKEN = formatToken(KEY, { keyId: 'key_1', keyHash: HASH, expiresAt: 1_000 });

const verify = (text: string, { key = KEY, hash = HASH } = {}) => {
  const token = parseToken(text);
  return token !== null && isAuthentic(key, token, hash);
};

test('a token names the key and the expiry, and verifies with the same secret', () => {
  expect(parseToken(TOKEN)).toEqual({
    keyId: 'key_1',
    expiresAt: 1_000,
    signature: expect.stringMatching(/^[A-Za-z0-9_-]{43}$/),
  });
  expect(verify(TOKEN)).toBe(true);
  expect(verify(TOKEN, { key: deriveSigningKey('secret') })).toBe(true);
  expect(TOKEN).not.toContain(HASH);
});

test('the signature does not change between versions', () => {
  expect(TOKEN).toMatchInlineSnapshot(`"key_1.1000.FNdiX4sr_d8KM7MVwEyXThC5Wh7KghcP4Fq4ySQ51QU"`);
});

describe('a token does not verify', () => {
  const [keyId, expiresAt, signature = ''] = TOKEN.split('.');
  test.each([
    ['with another key id', `key_2.${expiresAt}.${signature}`],
    ['with a later expiry', `${keyId}.1001.${signature}`],
    ['with the same expiry in other digits', `${keyId}.01000.${signature}`],
    ['with a moved separator', `${keyId}.100.0.${signature}`],
    ['when it is cut', TOKEN.slice(0, -1)],
    ['when it is longer', `${TOKEN}A`],
    ['without a signature', `${keyId}.${expiresAt}.`],
    ['when it is empty', ''],
    ['with a line break', `${TOKEN}\n`],
  ])('%s', (_, text) => {
    expect(verify(text)).toBe(false);
  });

  test('with any other last character, also one that decodes to the same bytes', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const valid = [...alphabet].filter((last) => verify(TOKEN.slice(0, -1) + last));
    expect(valid).toEqual([TOKEN.at(-1)]);
  });

  test('with another secret, or for another key', () => {
    expect(verify(TOKEN, { key: deriveSigningKey('other') })).toBe(false);
    expect(verify(TOKEN, { hash: 'b'.repeat(64) })).toBe(false);
  });
});
