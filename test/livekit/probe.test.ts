import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { probeLiveKit } from '../../src/livekit/probe.ts';
import { API_KEY, API_SECRET, startLiveKit } from '../harness/livekit.ts';

const clock = { now: () => Date.now() };

/** Returns the clock skew that the probe measures on a LiveKit whose response has this Date header. */
async function measureSkew(date: string | null): Promise<number | null> {
  const server = createServer((_, response) => {
    response.sendDate = false;
    response.writeHead(200, date === null ? {} : { date }).end('{"rooms":[]}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const address = { url: `http://127.0.0.1:${port}`, apiKey: API_KEY, apiSecret: API_SECRET };
  const facts = await probeLiveKit(address, { timeoutMs: 5_000 }, clock);
  if (facts.kind !== 'answered') throw new Error(facts.detail);
  expect(facts.verdict).toEqual({ kind: 'accepted', roomNames: [] });
  return facts.clockSkewMs;
}

test("the probe returns LiveKit's rooms and the clock skew, and creates no room", async () => {
  const livekit = await startLiveKit();
  onTestFinished(() => livekit.stop());
  const facts = await probeLiveKit(livekit, { timeoutMs: 5_000 }, clock);
  expect(facts).toEqual({
    kind: 'answered',
    verdict: { kind: 'accepted', roomNames: [] },
    clockSkewMs: expect.any(Number),
  });
  expect(Math.abs((facts.kind === 'answered' && facts.clockSkewMs) || 0)).toBeLessThan(3_000);
  expect(await livekit.roomNames()).toEqual([]);
});

test.each([
  ['key', { apiKey: 'another' }],
  ['token', { apiSecret: 'wrong-wrong-wrong-wrong-wrong-wrong' }],
] as const)('the probe returns the reason %s when LiveKit refuses the credentials', async (reason, wrong) => {
  const livekit = await startLiveKit();
  onTestFinished(() => livekit.stop());
  const facts = await probeLiveKit({ ...livekit, ...wrong }, { timeoutMs: 5_000 }, clock);
  expect(facts).toMatchObject({ kind: 'answered', verdict: { kind: 'refused', reason } });
});

test('the clock skew is positive ahead, negative behind, and null without a valid Date header', async () => {
  const dateAfter = (ms: number) => new Date(Date.now() + ms).toUTCString();
  expect(await measureSkew(dateAfter(60_000))).toBeGreaterThan(55_000);
  expect(await measureSkew(dateAfter(-60_000))).toBeLessThan(-55_000);
  expect(await measureSkew(null)).toBeNull();
  expect(await measureSkew('noon')).toBeNull();
});
