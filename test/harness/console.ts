import { expect } from 'vitest';
import type { Hangup } from './hangup.ts';

/** The header that the console sends with each request that changes something. */
export const CONSOLE = { 'x-hangup-console': '1' };

/** The attributes of a cookie, by their lower-case names. */
export interface Cookie {
  readonly pair: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** Returns the only cookie that a response sets; null if there is none. */
export function cookieOf(headers: Headers): Cookie | null {
  const cookies = headers.getSetCookie();
  expect(cookies.length).toBeLessThanOrEqual(1);
  const [pair = '', ...attributes] = cookies[0]?.split('; ') ?? [];
  if (pair === '') return null;
  const entries = attributes.map((text) => text.split('=')).map(([name = '', value = '']) => [name, value]);
  return { pair, attributes: Object.fromEntries(entries) };
}

/** Sends an API key to the sign-in of the console. */
export function postSession(
  hangup: Pick<Hangup, 'send'>,
  apiKey: unknown,
  headers: Record<string, string> = {},
) {
  const body = { apiKey };
  return hangup.send('POST', '/console/session', { key: null, body, headers: { ...CONSOLE, ...headers } });
}

/** Signs in, and returns the header of the cookie as a browser sends it. */
export async function signIn(hangup: Pick<Hangup, 'send' | 'key'>, key = hangup.key): Promise<string> {
  const { status, headers } = await postSession(hangup, key);
  expect(status).toBe(200);
  return cookieOf(headers)?.pair ?? '';
}
