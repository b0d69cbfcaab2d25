import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../../test/harness/ports.ts';
import type { Bench } from '../context.ts';
import type { Group } from '../group.ts';
import { createDatabase, expectCount, startHangup, startServer } from '../hangup.ts';
import { startLiveKitStub } from '../livekit.ts';
import { RequestFile } from '../load.ts';
import { readMemory, watchMemory } from '../memory.ts';
import { seedActiveCalls } from '../seed.ts';

const SETTLE_MS = 20_000;
const LIVE_CALLS = 100_000;
const PREFIX = 'live';
const BARE = 'node -e with a bare HTTP server';
const DEFAULT_SCHEDULE = { RECONCILE_SCHEDULE: '*/15 * * * * *' };

async function startBare({ cores }: Bench) {
  const port = await freePort();
  const code = `require('node:http').createServer((_, r) => r.end('x')).listen(${port}, '127.0.0.1')`;
  return startServer({
    core: cores?.server ?? null,
    command: process.execPath,
    args: ['-e', code],
    env: {},
    stdio: 'ignore',
    url: `http://127.0.0.1:${port}/`,
  });
}

/** The figures of release 0.2.0 are the goals: a start of 3.2 times the bare server's, and 112 MB. */
export const start: Group = {
  rows: [
    {
      name: 'start',
      title: 'from the start of the process to the first answer',
      unit: 'ms',
      measured: 'hangup',
      against: 'bare',
      baseline: BARE,
      goal: { ratioAtMost: 3.2 },
    },
  ],
  rounds: 9,
  async open(bench) {
    const livekit = await startLiveKitStub(bench);
    const database = createDatabase(bench, 'start');
    return {
      async hangup() {
        const { startMs, stop } = await startHangup(bench, { database, livekitPort: livekit.port });
        await stop();
        return startMs;
      },
      async bare() {
        const { startMs, stop } = await startBare(bench);
        await stop();
        return startMs;
      },
    };
  },
};

export const idleMemory: Group = {
  rows: [
    {
      name: 'memory-idle',
      title: 'RSS 20 s after the start',
      unit: 'MB',
      measured: 'hangup',
      against: 'bare',
      baseline: BARE,
      goal: { valueAtMost: 112 },
    },
    {
      name: 'memory-100k',
      title: '100,000 live calls, LiveKit lists their rooms: largest RSS in 20 s',
      unit: 'MB',
      measured: 'listed',
      against: 'hangup',
      baseline: 'idle',
      goal: null,
    },
    {
      name: 'memory-100k-unreachable',
      title: '100,000 live calls, LiveKit is unreachable: largest RSS in 20 s',
      unit: 'MB',
      measured: 'unreachable',
      against: 'hangup',
      baseline: 'idle',
      goal: null,
    },
  ],
  rounds: 1,
  hasWarmUp: false,
  async open(bench, wanted) {
    const livekit = await startLiveKitStub(bench);
    const database = createDatabase(bench, 'memory');
    const fullLiveKit = wanted.has('listed')
      ? await startLiveKitStub(bench, { prefix: PREFIX, rooms: LIVE_CALLS })
      : livekit;
    const full = createDatabase(bench, 'full');
    if (wanted.has('listed') || wanted.has('unreachable')) seedActiveCalls(full, PREFIX, LIVE_CALLS);
    const probe = new RequestFile(
      join(bench.folder, 'probe.requests'),
      [{ method: 'GET', path: '/healthz', headers: {} }],
      { isRepeatable: true },
    );
    const peak = async (name: string, livekitPort: number) => {
      const options = { database: full, livekitPort, settings: DEFAULT_SCHEDULE };
      const { pid, port, stop } = await startHangup(bench, options);
      const load = { port, requests: probe, connections: 16, seconds: SETTLE_MS / 1_000, perSecond: 20 };
      const [peakMb, { longestMs }] = await Promise.all([
        watchMemory(pid, SETTLE_MS),
        bench.generator.run(load),
      ]);
      await stop();
      expectCount(full.file, "SELECT count(*) FROM calls WHERE status = 'active'", LIVE_CALLS);
      bench.note(`${name}: longest answer of /healthz ${longestMs.toFixed(0)} ms`);
      return peakMb;
    };
    return {
      async hangup() {
        const options = { database, livekitPort: livekit.port, settings: DEFAULT_SCHEDULE };
        const { pid, stop } = await startHangup(bench, options);
        await sleep(SETTLE_MS);
        const { rssMb, ownMb } = readMemory(pid);
        await stop();
        bench.note(`memory-idle: ${ownMb.toFixed(0)} MB are not shared with the executable`);
        return rssMb;
      },
      async bare() {
        const { child, stop } = await startBare(bench);
        await sleep(SETTLE_MS / 10);
        const { rssMb } = readMemory(child.pid ?? 0);
        await stop();
        return rssMb;
      },
      listed: () => peak('memory-100k', fullLiveKit.port),
      async unreachable() {
        return peak('memory-100k-unreachable', await freePort());
      },
    };
  },
};
