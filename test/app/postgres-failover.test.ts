import { expect, test } from 'vitest';
import { serveTraffic } from '../harness/fleet.ts';
import {
  expectAnswersInTime,
  expectNothingLost,
  expectRetryable,
  expectRoomsGone,
  expectWhole,
} from '../harness/fleet-checks.ts';
import { startPostgresPair } from '../harness/own-postgres.ts';
import { Prng } from '../simulation/prng.ts';

/* Failovers of Postgres to a synchronous standby: `npm run test:fleet`. */

const FAILOVERS = Number(process.env.FAILOVERS ?? 10);
const CALLS_PER_FAILOVER = 60;

test(`acknowledged requests survive ${FAILOVERS} failovers to a synchronous standby, and hangup continues without a restart`, async () => {
  const prng = new Prng(1);
  const pair = await startPostgresPair();
  const { traffic, fleet } = await serveTraffic(pair.url, { processes: 1, prng: prng.fork() });
  const [hangup] = fleet.running.values();
  for (let failover = 0; failover < FAILOVERS; failover += 1) {
    const ids = Array.from({ length: CALLS_PER_FAILOVER }, (_, i) => `c${failover}_${i}`);
    const moment = traffic.cancelled.size + prng.between(1, CALLS_PER_FAILOVER / 2);
    const running = traffic.run(ids);
    await expect.poll(() => traffic.cancelled.size, { interval: 1 }).toBeGreaterThanOrEqual(moment);
    await pair.failOver();
    // Before the rebuild, the new primary has exactly what its standby had.
    await expectNothingLost(pair.primaryUrl(), traffic);
    await pair.rebuild();
    await running;
    await expectWhole(pair.primaryUrl());
  }
  await expectRoomsGone(pair.primaryUrl(), traffic);
  await expectNothingLost(pair.primaryUrl(), traffic);
  expectRetryable(traffic);
  expectAnswersInTime(traffic);
  expect(hangup?.child.exitCode).toBeNull();
}, 600_000);
