import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Group } from '../group.ts';
import { createDatabase, expectCount, startHangup } from '../hangup.ts';
import { startLiveKitStub } from '../livekit.ts';
import { RequestFile } from '../load.ts';
import { readMetric } from '../metrics.ts';
import { startProgram } from '../processes.ts';
import { seedActiveCalls } from '../seed.ts';

const PREFIX = 'live';
const CALLS = 10_000;
const PASSES = 5;
const PROBES_PER_SECOND = 500;

/**
 * A comparison each second. With this rate limit hangup compares the participants of 2 calls in a pass, not of 50, and
 * no request waits: the pass sends 5 of the 20 requests that the limit allows in a second.
 */
const SETTINGS = { RECONCILE_SCHEDULE: '* * * * * *', LIVEKIT_REQUESTS_PER_MINUTE: '1200' };

export const comparison: Group = {
  rows: [
    {
      name: 'compare',
      title: 'comparing 10,000 rooms with 10,000 calls: mean of a pass',
      unit: 'ms',
      measured: 'pass',
      against: 'list',
      baseline: 'node:http and @livekit/protocol, which read and decode the same list',
      goal: { ratioAtMost: 2 },
    },
    {
      name: 'compare-pause',
      title: 'comparing 10,000 rooms with 10,000 calls: longest answer of /healthz meanwhile',
      unit: 'ms',
      measured: 'pause',
      against: 'idle',
      baseline: 'the longest answer while no comparison runs',
      goal: { valueAtMost: 20 },
    },
  ],
  rounds: 3,
  hasWarmUp: false,
  async open(bench) {
    const livekit = await startLiveKitStub(bench, { prefix: PREFIX, rooms: CALLS });
    const database = createDatabase(bench, 'comparison');
    seedActiveCalls(database, PREFIX, CALLS);
    const idleDatabase = createDatabase(bench, 'idle');
    const idle = await startHangup(bench, { database: idleDatabase, livekitPort: livekit.port });
    const list = bench.resources.use(
      await startProgram('list-rooms', {
        core: bench.cores?.server ?? null,
        options: { port: livekit.port },
        answer: z.object({ rooms: z.number(), meanMs: z.number() }),
      }),
    );
    const probes = new RequestFile(
      join(bench.folder, 'probes.requests'),
      [{ method: 'GET', path: '/healthz', headers: {} }],
      { isRepeatable: true },
    );
    const longestAnswer = async (port: number, seconds: number) => {
      const load = { port, requests: probes, connections: 64, seconds, perSecond: PROBES_PER_SECOND };
      return (await bench.generator.run(load)).longestMs;
    };
    /** A server that compares; others are not disturbed by it. */
    const compare = async <Result>(run: (port: number) => Promise<Result>): Promise<Result> => {
      const server = await startHangup(bench, { database, livekitPort: livekit.port, settings: SETTINGS });
      try {
        await sleep(2_000);
        return await run(server.port);
      } finally {
        await server.stop();
        // A comparison that ends a call of a listed room is wrong.
        expectCount(database.file, "SELECT count(*) FROM calls WHERE status = 'active'", CALLS);
      }
    };
    return {
      pass: () =>
        compare(async (port) => {
          const before = await readPasses(port);
          let now = before;
          while (now.count < before.count + PASSES) {
            await sleep(200);
            now = await readPasses(port);
          }
          return ((now.sum - before.sum) / (now.count - before.count)) * 1_000;
        }),
      async list() {
        const { rooms, meanMs } = await list.request({ lists: PASSES, pauseMs: 200 });
        if (rooms !== CALLS) throw new Error(`${rooms} rooms were listed, not ${CALLS}`);
        return meanMs;
      },
      pause: () => compare((port) => longestAnswer(port, PASSES)),
      idle: () => longestAnswer(idle.port, PASSES),
    };
  },
};

async function readPasses(port: number) {
  const labels = { loop: 'rooms' };
  const [sum, count] = await Promise.all([
    readMetric(port, 'hangup_reconcile_duration_seconds_sum', labels),
    readMetric(port, 'hangup_reconcile_duration_seconds_count', labels),
  ]);
  return { sum, count };
}
