import { TokenVerifier } from 'livekit-server-sdk';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createAccessTokens } from '../../../src/livekit/transport/access-tokens.ts';

const KEYS = { apiKey: 'k', apiSecret: 's'.repeat(32) };
const START = 1_795_000_000_000;
const MINUTE_MS = 60_000;

/** Returns tokens by a clock that the test sets. The SDK dates tokens by the same clock. */
function start() {
  vi.useFakeTimers({ now: START, toFake: ['Date'] });
  onTestFinished(() => void vi.useRealTimers());
  return createAccessTokens(KEYS, { now: () => Date.now() });
}

const verify = (token: string) => new TokenVerifier(KEYS.apiKey, KEYS.apiSecret).verify(token, 0);

test('a token has the grant, and is valid for two hours', async () => {
  const token = await start()({ roomCreate: true });
  expect(await verify(token)).toMatchObject({
    iss: 'k',
    video: { roomCreate: true },
    nbf: START / 1_000,
    exp: START / 1_000 + 7_200,
  });
});

test('a token without a room is reused for ten minutes, by grant', async () => {
  const accessToken = start();
  const first = await accessToken({ roomCreate: true });
  const list = await accessToken({ roomList: true });
  expect(list).not.toBe(first);
  vi.setSystemTime(START + 10 * MINUTE_MS - 1);
  expect(await accessToken({ roomCreate: true })).toBe(first);
  expect(await accessToken({ roomList: true })).toBe(list);
  vi.setSystemTime(START + 10 * MINUTE_MS);
  expect(await accessToken({ roomCreate: true })).not.toBe(first);
});

test.each([
  ['back', -MINUTE_MS],
  ['ahead', 3 * 60 * MINUTE_MS],
])('a token is valid after the clock was set %s', async (_, jumpMs) => {
  const accessToken = start();
  await accessToken({ roomCreate: true });
  vi.setSystemTime(START + jumpMs);
  const { nbf = 0 } = await verify(await accessToken({ roomCreate: true }));
  expect(nbf * 1_000).toBe(START + jumpMs);
});

test('a token for a room is signed for that room', async () => {
  const accessToken = start();
  for (const room of ['a', 'b', 'a']) {
    expect((await verify(await accessToken({ roomAdmin: true, room }))).video).toEqual({
      roomAdmin: true,
      room,
    });
  }
});
