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
      measured: 'hanging',
      against: 'answering',
      baseline: 'the same while LiveKit answers',
      // Clients end their request after 5 s.
      goal: { valueAtMost: 4_000 },
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
        bench.generator.run({ port, requests: cancels, connections: CANCELS, seconds, isComplete: true }),
        bench.generator.run({ port, requests: list, connections: 1, seconds }),
      ]);
      await livekit.request({ isHanging: false });
      await stop();
      expectCount(database.file, "SELECT count(*) FROM calls WHERE status = 'cancelled'", CANCELS);
      expectCount(database.file, 'SELECT count(*) FROM room_deletions', CANCELS);
      const state = isHanging ? 'hangs' : 'answers';
      bench.note(`hanging-cancel: list of 10 while LiveKit ${state}: p50 ${read.p50Ms.toFixed(2)} ms`);
      return cancelled.longestMs;
    };
    return { hanging: () => cancelAll(true), answering: () => cancelAll(false) };
  },
};
