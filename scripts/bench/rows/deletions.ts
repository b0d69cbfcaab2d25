import { z } from 'zod';
import type { Group } from '../group.ts';
import { copyDatabase, createDatabase, startHangup, waitForCount } from '../hangup.ts';
import { CREDENTIALS, type LiveKitStub, startLiveKitStub } from '../livekit.ts';
import { startProgram } from '../processes.ts';
import { seedDueDeletions } from '../seed.ts';

const PREFIX = 'due';
const DELETIONS = 10_000;
/** The default of RETRY_CONCURRENCY. */
const CONCURRENCY = 16;
const COMPLETED = "SELECT count(*) FROM room_deletions WHERE state = 'completed'";

export const deletions: Group = {
  rows: [
    {
      name: 'due-deletions',
      title: `${DELETIONS.toLocaleString('en-US')} due deletions`,
      unit: '/s',
      measured: 'hangup',
      against: 'loop',
      baseline: `a loop of DeleteRoom with node:http, ${CONCURRENCY} at once`,
      goal: { ratioAtLeast: 0.9 },
    },
  ],
  // Each round starts a new process on both sides.
  hasWarmUp: false,
  rounds: 3,
  async open(bench) {
    const livekit = await startLiveKitStub(bench);
    const database = createDatabase(bench, 'deletions');
    seedDueDeletions(database, PREFIX, DELETIONS);
    let round = 0;
    return {
      async hangup() {
        round += 1;
        const copy = copyDatabase(database, String(round));
        await livekit.request({ reset: true });
        const settings = { RETRY_CONCURRENCY: String(CONCURRENCY) };
        const { stop } = await startHangup(bench, { database: copy, livekitPort: livekit.port, settings });
        await waitForCount(copy.file, COMPLETED, DELETIONS);
        await stop();
        return rate(livekit);
      },
      async loop() {
        await livekit.request({ reset: true });
        await using program = await startProgram('delete-rooms', {
          core: bench.cores?.server ?? null,
          options: {
            ...{ port: livekit.port, prefix: PREFIX, rooms: DELETIONS, concurrency: CONCURRENCY },
            ...CREDENTIALS,
          },
          answer: z.null(),
        });
        await program.request({});
        return rate(livekit);
      },
    };
  },
};

/** Deleted rooms for each second between the first and the last request that LiveKit received. */
async function rate(livekit: LiveKitStub): Promise<number> {
  const { deletedRooms, deletionMs } = await livekit.request({ reset: false });
  if (deletedRooms !== DELETIONS) throw new Error(`${deletedRooms} rooms were deleted, not ${DELETIONS}`);
  return deletedRooms / (deletionMs / 1_000);
}
