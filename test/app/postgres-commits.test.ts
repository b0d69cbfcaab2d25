import { expect, test } from 'vitest';
import { type BreakMoment, startCommitForwarder } from '../harness/commit-forwarder.ts';
import { serveTraffic } from '../harness/fleet.ts';
import {
  expectNothingLost,
  expectRetryable,
  expectRoomsGone,
  expectWhole,
  unavailable,
} from '../harness/fleet-checks.ts';
import { postgresDatabase } from '../harness/postgres.ts';
import { Prng } from '../simulation/prng.ts';

/* Connections to Postgres that break at a COMMIT, with an outcome that does not reach hangup: `npm run test:fleet`. */

const CALLS = 400;
const PROCESSES = 2;
const MOMENTS = ['before', 'sent', 'committed'] as const;
/** The part of the commits whose connection breaks. */
const BROKEN = 0.2;

test('acknowledged requests survive connections that break at a COMMIT, and no request takes effect twice', async () => {
  const databaseUrl = await postgresDatabase();
  const prng = new Prng(1);
  const dice = prng.fork();
  const breaks: BreakMoment[] = [];
  let isBreaking = false;
  const url = await startCommitForwarder(databaseUrl, () => {
    if (!isBreaking || !dice.happens(BROKEN)) return 'never';
    const moment = dice.of(MOMENTS);
    breaks.push(moment);
    return moment;
  });
  const { traffic, fleet } = await serveTraffic(url, { processes: PROCESSES, prng });
  isBreaking = true;
  await traffic.run(Array.from({ length: CALLS }, (_, i) => `c${i}`));
  isBreaking = false;
  expect(new Set(breaks)).toEqual(new Set(MOMENTS));
  expect(unavailable(traffic).length).toBeGreaterThan(0);
  await expectRoomsGone(databaseUrl, traffic);
  await expectNothingLost(databaseUrl, traffic);
  await expectWhole(databaseUrl);
  expectRetryable(traffic);
  for (const { child } of fleet.running.values()) expect(child.exitCode).toBeNull();
}, 300_000);
