import { join } from 'node:path';
import { z } from 'zod';
import type { Bench } from '../context.ts';
import type { Group, Row, Side } from '../group.ts';
import { copyDatabase, createDatabase, expectCount, startHangup } from '../hangup.ts';
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
  options: Options,
): Promise<Record<string, Side>> {
  const livekit = await startLiveKitStub(bench);
  const calls = (side: keyof typeof CALLS_PER_SECOND) =>
    Math.ceil(CALLS_PER_SECOND[side] * bench.seconds * bench.runs);
  const database = createDatabase(bench, 'cancels');
  const sides: Record<string, Side> = {};
  if (wanted.has('raw')) {
    const copy = copyDatabase(database, 'raw');
    seedInitiatedCalls(copy, PREFIX, calls('raw'));
    const program = bench.resources.use(
      await startProgram('raw-cancels', {
        core: bench.cores?.server ?? null,
        options: { file: copy.file, prefix: PREFIX },
        answer: z.object({ count: z.number(), seconds: z.number() }),
      }),
    );
    let done = 0;
    sides['raw'] = async () => {
      const { count, seconds } = await program.request({ seconds: bench.seconds });
      done += count;
      expectCount(copy.file, "SELECT count(*) FROM calls WHERE status = 'cancelled'", done);
      return count / seconds;
    };
  }
  if (wanted.has('hangup')) {
    seedInitiatedCalls(database, PREFIX, calls('hangup'));
    const { port, headers } = await startHangup(bench, { database, livekitPort: livekit.port });
    const requests = cancelRequests(bench, 'hangup', calls('hangup'), headers);
    sides['hangup'] = () =>
      measure(bench, livekit, { port, requests }, options, async () => {
        const { file } = database;
        expectCount(file, "SELECT count(*) FROM calls WHERE status = 'cancelled'", requests.next);
        expectCount(file, "SELECT count(*) FROM room_deletions WHERE state = 'completed'", requests.next);
        expectCount(file, "SELECT count(*) FROM audit_log WHERE to_status = 'cancelled'", requests.next);
      });
  }
  if (wanted.has('express')) {
    const { port, requests, countCancelled } = await startExpress(bench, livekit, calls('express'));
    sides['express'] = () =>
      measure(bench, livekit, { port, requests }, options, async () => {
        const cancelled = await countCancelled();
        if (cancelled !== requests.next)
          throw new Error(`${requests.next} answers, ${cancelled} cancelled calls`);
      });
  }
  return sides;
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

/** Cancels under load, then counts the rows and the deleted rooms. */
async function measure(
  bench: Bench,
  livekit: LiveKitStub,
  { port, requests }: { port: number; requests: RequestFile },
  { connections, measured }: Options,
  countRows: () => Promise<void>,
): Promise<number> {
  await livekit.request({ reset: true });
  const report = await bench.generator.run({ port, requests, connections, seconds: bench.seconds });
  const { deletedRooms } = await livekit.request({ reset: false });
  if (deletedRooms !== report.count)
    throw new Error(`${report.count} cancels, ${deletedRooms} deleted rooms`);
  await countRows();
  return measured(report);
}
