import { join } from 'node:path';
import { z } from 'zod';
import type { Bench } from '../context.ts';
import type { Group, Row, Side } from '../group.ts';
import { createDatabase, expectCount, startHangup, waitForCount } from '../hangup.ts';
import { CREDENTIALS, type LiveKitStub, startLiveKitStub } from '../livekit.ts';
import { type Report, RequestFile } from '../load.ts';
import { callId } from '../names.ts';
import { startProgram } from '../processes.ts';
import { seedInitiatedCalls } from '../seed.ts';

const PREFIX = 'cancel';
const EXPRESS =
  'Express 5, drizzle-orm, better-sqlite3, livekit-server-sdk; one transaction each, no durable retry';
/** Enough for each cancel of all rounds: more than any side reaches. */
const CALLS_PER_SECOND = { hangup: 20_000, express: 3_000, raw: 80_000 };

const rows64: readonly Row[] = [
  {
    name: 'cancel-64',
    title: 'DELETE, 64 at once',
    unit: '/s',
    measured: 'hangup',
    against: 'express',
    baseline: EXPRESS,
    goal: { ratioAtLeast: 6 },
  },
  {
    name: 'cancel-64-raw',
    title: 'DELETE, 64 at once',
    unit: '/s',
    measured: 'hangup',
    against: 'raw',
    baseline: 'better-sqlite3 alone, synchronous=FULL, the same rows, 32 cancels a commit',
    goal: { ratioAtLeast: 0.3 },
  },
];

const rowsOne: readonly Row[] = [
  {
    name: 'cancel-1',
    title: 'DELETE, one at a time: p50',
    unit: 'ms',
    measured: 'hangup',
    against: 'express',
    baseline: 'the same Express server',
    goal: { ratioAtMost: 1.2 },
  },
];

const perSecond = ({ count, seconds }: Report) => count / seconds;

export const cancels: readonly Group[] = [
  { rows: rows64, open: (bench, wanted) => open(bench, wanted, { connections: 64, measured: perSecond }) },
  {
    rows: rowsOne,
    open: (bench, wanted) => open(bench, wanted, { connections: 1, measured: ({ p50Ms }) => p50Ms }),
  },
];

interface Options {
  readonly connections: number;
  readonly measured: (report: Report) => number;
}

async function open(
  bench: Bench,
  wanted: ReadonlySet<string>,
  { connections, measured }: Options,
): Promise<Record<string, Side>> {
  const servers = Object.entries(await openCancels(bench, wanted));
  const sides: Record<string, Side> = Object.fromEntries(
    servers.map(([name, cancel]) => [name, async () => measured(await cancel({ connections }))]),
  );
  if (wanted.has('raw')) sides['raw'] = await openRaw(bench);
  return sides;
}

async function openRaw(bench: Bench): Promise<Side> {
  const database = createDatabase(bench, 'raw');
  seedInitiatedCalls(database, PREFIX, callsFor(bench, 'raw'));
  const program = bench.resources.use(
    await startProgram('raw-cancels', {
      core: bench.cores?.server ?? null,
      options: { file: database.file, prefix: PREFIX },
      answer: z.object({ count: z.number(), seconds: z.number() }),
    }),
  );
  let done = 0;
  return async () => {
    const { count, seconds } = await program.request({ seconds: bench.seconds });
    done += count;
    expectCount(database.file, "SELECT count(*) FROM calls WHERE status = 'cancelled'", done);
    return count / seconds;
  };
}

const callsFor = ({ seconds, runs }: Bench, side: keyof typeof CALLS_PER_SECOND) =>
  Math.ceil(CALLS_PER_SECOND[side] * seconds * runs);

/** Sends cancels to a server for the time of one measurement, and counts the written rows and deleted rooms. */
type Cancel = (load: { connections: number; perSecond?: number }) => Promise<Report>;

/** Starts the wanted servers, `hangup` and `express`, with enough calls for all runs. */
export async function openCancels(
  bench: Bench,
  wanted: ReadonlySet<string>,
): Promise<Readonly<Record<string, Cancel>>> {
  const livekit = await startLiveKitStub(bench);
  const servers: Record<string, Cancel> = {};
  if (wanted.has('hangup')) {
    const database = createDatabase(bench, 'cancels');
    const calls = callsFor(bench, 'hangup');
    seedInitiatedCalls(database, PREFIX, calls);
    const { port, headers } = await startHangup(bench, { database, livekitPort: livekit.port });
    const requests = cancelRequests(bench, 'hangup', calls, headers);
    servers['hangup'] = (load) =>
      measure(bench, livekit, { port, requests, ...load }, async () => {
        const { file } = database;
        expectCount(file, "SELECT count(*) FROM calls WHERE status = 'cancelled'", requests.next);
        expectCount(file, "SELECT count(*) FROM audit_log WHERE to_status = 'cancelled'", requests.next);
        // A response does not depend on the room's deletion, which hangup retries after a timeout.
        const completed = "SELECT count(*) FROM room_deletions WHERE state = 'completed'";
        await waitForCount(file, completed, requests.next);
        const events = `SELECT count(*) FROM audit_log
          WHERE action = 'call.room_deletion' AND json_extract(details, '$.state') = 'completed'`;
        expectCount(file, events, requests.next);
      });
  }
  if (wanted.has('express')) {
    const { port, requests, countCancelled } = await startExpress(bench, livekit, callsFor(bench, 'express'));
    servers['express'] = (load) =>
      measure(bench, livekit, { port, requests, ...load }, async () => {
        const cancelled = await countCancelled();
        if (cancelled !== requests.next) {
          throw new Error(`${requests.next} answers, ${cancelled} cancelled calls`);
        }
      });
  }
  return servers;
}

async function startExpress(bench: Bench, livekit: LiveKitStub, calls: number) {
  const apiKey = 'express_bench_key';
  const program = bench.resources.use(
    await startProgram('express-server', {
      core: bench.cores?.server ?? null,
      options: {
        file: join(bench.folder, 'express.db'),
        calls,
        prefix: PREFIX,
        apiKey,
        livekit: { url: `http://127.0.0.1:${livekit.port}`, ...CREDENTIALS },
      },
      answer: z.object({ cancelled: z.number() }),
    }),
  );
  return {
    port: program.port,
    requests: cancelRequests(bench, 'express', calls, { 'x-api-key': apiKey }),
    countCancelled: async () => (await program.request({})).cancelled,
  };
}

const cancelRequests = (
  bench: Bench,
  name: string,
  calls: number,
  headers: Readonly<Record<string, string>>,
) =>
  new RequestFile(
    join(bench.folder, `${name}.requests`),
    Array.from({ length: calls }, (_, i) => ({
      method: 'DELETE' as const,
      path: `/api/v1/calls/${callId(PREFIX, i)}`,
      headers,
    })),
    { isRepeatable: false },
  );

async function measure(
  bench: Bench,
  livekit: LiveKitStub,
  load: { port: number; requests: RequestFile; connections: number; perSecond?: number },
  countRows: () => Promise<void>,
): Promise<Report> {
  await livekit.request({ reset: true });
  const report = await bench.generator.run({ ...load, seconds: bench.seconds });
  await countRows();
  const { deletedRooms } = await livekit.request({ reset: false });
  if (deletedRooms !== report.count)
    throw new Error(`${report.count} cancels, ${deletedRooms} deleted rooms`);
  return report;
}
