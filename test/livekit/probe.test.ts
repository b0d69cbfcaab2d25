import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { probeLiveKit } from '../../src/livekit/probe.ts';
import { API_KEY, API_SECRET, startLiveKit } from '../harness/livekit.ts';

const clock = { now: () => Date.now() };

/** Something that answers as a LiveKit without rooms, and tells this time. */
async function anAnswerAt(date: string | null): Promise<number | null> {
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
  return facts.clockAheadMs;
}

test('LiveKit tells its rooms and its time, and the probe makes no room', async () => {
  const livekit = await startLiveKit();
  onTestFinished(() => livekit.stop());
  const seen = await probeLiveKit(livekit, { timeoutMs: 5_000 }, clock);
  expect(seen).toEqual({
    kind: 'answered',
    verdict: { kind: 'accepted', roomNames: [] },
    clockAheadMs: expect.any(Number),
  });
  expect(Math.abs((seen.kind === 'answered' && seen.clockAheadMs) || 0)).toBeLessThan(3_000);
  expect(await livekit.roomNames()).toEqual([]);
});

test.each([
  ['key', { apiKey: 'another' }],
  ['token', { apiSecret: 'wrong-wrong-wrong-wrong-wrong-wrong' }],
] as const)('LiveKit says what it refuses: the %s', async (by, wrong) => {
  const livekit = await startLiveKit();
  onTestFinished(() => livekit.stop());
  const seen = await probeLiveKit({ ...livekit, ...wrong }, { timeoutMs: 5_000 }, clock);
  expect(seen).toMatchObject({ kind: 'answered', verdict: { kind: 'refused', by } });
});

test('a clock that is ahead, behind, or not told', async () => {
  const at = (ms: number) => new Date(Date.now() + ms).toUTCString();
  expect(await anAnswerAt(at(60_000))).toBeGreaterThan(55_000);
  expect(await anAnswerAt(at(-60_000))).toBeLessThan(-55_000);
  expect(await anAnswerAt(null)).toBeNull();
  expect(await anAnswerAt('noon')).toBeNull();
});
