import { once } from 'node:events';
import { join } from 'node:path';
import type { Group } from '../group.ts';
import { copyDatabase, createDatabase, expectCount, startHangup } from '../hangup.ts';
import { startLiveKitStub } from '../livekit.ts';
import { RequestFile } from '../load.ts';
import { startPinned } from '../processes.ts';
import { seedOldCalls } from '../seed.ts';

const CALLS = 10_000;
const WRITES_PER_SECOND = 100;
const KEEP = { CALL_RETENTION_DAYS: '30', AUDIT_RETENTION_DAYS: '30' };

export const prune: Group = {
  rows: [
    {
      name: 'prune-pause',
      title: 'POST /calls, 100 a second: longest answer while `hangup prune` deletes 10,000 calls',
      unit: 'ms',
      measured: 'pruning',
      against: 'idle',
      baseline: 'the same without pruning',
      goal: { valueAtMost: 50 },
    },
  ],
  rounds: 3,
  // Each round warms its own server up.
  hasWarmUp: false,
  async open(bench) {
    const livekit = await startLiveKitStub(bench);
    const database = createDatabase(bench, 'prune');
    seedOldCalls(database, 'old', CALLS);
    const template = copyDatabase(database, 'template');
    let round = 0;
    const post = async (prunes: boolean) => {
      round += 1;
      const copy = copyDatabase(template, String(round));
      const { port, headers, stop } = await startHangup(bench, { database: copy, livekitPort: livekit.port });
      const requests = new RequestFile(
        join(bench.folder, 'posts.requests'),
        [
          {
            method: 'POST',
            path: '/api/v1/calls',
            headers: { ...headers, 'content-type': 'application/json' },
            body: '{}',
          },
        ],
        { isRepeatable: true },
      );
      const load = { port, requests, connections: 64, perSecond: WRITES_PER_SECOND, status: 201 };
      // Warms the path up.
      await bench.generator.run({ ...load, seconds: 1 });
      const { command, args } = bench.hangup;
      const env = { PATH: process.env['PATH'], DATABASE_URL: `file:${copy.file}`, ...KEEP };
      const pruning = prunes
        ? startPinned(bench.cores?.server ?? null, command, [...args, 'prune'], { env, stdio: 'ignore' })
        : null;
      const ended = pruning === null ? null : once(pruning.child, 'exit');
      const { longestMs } = await bench.generator.run({ ...load, seconds: bench.seconds + 2 });
      if (ended !== null) {
        const [code]: unknown[] = await ended;
        if (code !== 0) throw new Error(`hangup prune ended with ${code}`);
        expectCount(copy.file, "SELECT count(*) FROM calls WHERE id LIKE 'old%'", 0);
      }
      await stop();
      return longestMs;
    };
    return { pruning: () => post(true), idle: () => post(false) };
  },
};
