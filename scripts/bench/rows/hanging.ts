import { join } from 'node:path';
import type { Group } from '../group.ts';
import { createDatabase, expectCount, startHangup } from '../hangup.ts';
import { startLiveKitStub } from '../livekit.ts';
import { RequestFile } from '../load.ts';
import { callId } from '../names.ts';
import { seedInitiatedCalls } from '../seed.ts';

const CANCELS = 200;

export const hanging: Group = {
  rows: [
    {
      name: 'hanging-cancel',
      title: '200 cancels at once while LiveKit hangs: longest answer',
      unit: 'ms',
      measured: 'hangingCancel',
      against: 'answeringCancel',
      baseline: 'the same while LiveKit answers',
      // Clients end their request after 5 s.
      goal: { valueAtMost: 4_000 },
    },
    {
      name: 'hanging-read',
      title: 'list of 10, one at a time, beside 200 cancels while LiveKit hangs: p50',
      unit: 'ms',
      measured: 'hangingRead',
      against: 'answeringRead',
      baseline: 'the same while LiveKit answers',
      goal: null,
    },
  ],
  rounds: 3,
  hasWarmUp: false,
  async open(bench) {
    const livekit = await startLiveKitStub(bench);
    let round = 0;
    /** A new server each time, because an outage opens the circuit breaker. */
    const cancelAll = async (isHanging: boolean) => {
      round += 1;
      const database = createDatabase(bench, `hanging-${round}`);
      seedInitiatedCalls(database, 'cancel', CANCELS);
      const { port, headers, stop } = await startHangup(bench, { database, livekitPort: livekit.port });
      const cancels = new RequestFile(
        join(bench.folder, `cancels-${round}.requests`),
        Array.from({ length: CANCELS }, (_, i) => ({
          method: 'DELETE' as const,
          path: `/api/v1/calls/${callId('cancel', i)}`,
          headers,
        })),
        { isRepeatable: false },
      );
      const list = new RequestFile(
        join(bench.folder, `list-${round}.requests`),
        [{ method: 'GET', path: '/api/v1/calls?limit=10', headers }],
        { isRepeatable: true },
      );
      await livekit.request({ isHanging });
      const { seconds } = bench;
      const [cancelled, read] = await Promise.all([
        bench.generator.run({ port, requests: cancels, connections: CANCELS, seconds }),
        bench.generator.run({ port, requests: list, connections: 1, seconds }),
      ]);
      await livekit.request({ isHanging: false });
      await stop();
      expectCount(database.file, "SELECT count(*) FROM calls WHERE status = 'cancelled'", CANCELS);
      expectCount(database.file, 'SELECT count(*) FROM room_deletions', CANCELS);
      return { cancelMs: cancelled.longestMs, readMs: read.p50Ms };
    };
    return {
      hangingCancel: async () => (await cancelAll(true)).cancelMs,
      answeringCancel: async () => (await cancelAll(false)).cancelMs,
      hangingRead: async () => (await cancelAll(true)).readMs,
      answeringRead: async () => (await cancelAll(false)).readMs,
    };
  },
};
