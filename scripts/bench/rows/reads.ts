import { join } from 'node:path';
import { z } from 'zod';
import type { Bench } from '../context.ts';
import type { Group, Row, Side } from '../group.ts';
import { createDatabase, type HangupServer, startHangup } from '../hangup.ts';
import { startLiveKitStub } from '../livekit.ts';
import { type HttpRequest, RequestFile } from '../load.ts';
import { callId } from '../names.ts';
import { startProgram } from '../processes.ts';
import { seedEndedCalls } from '../seed.ts';

export const READ_PREFIX = 'ended';
export const READ_CALLS = 10_000;
const BARE = 'bare node:http with the same bytes';

const get: Row = {
  name: 'get',
  title: 'GET one ended call, 64 at once',
  unit: '/s',
  measured: 'hangup',
  against: 'bare',
  baseline: BARE,
  goal: { ratioAtLeast: 0.45 },
};
const list: Row = {
  name: 'list-50',
  title: 'list of 50 calls, 16 at once',
  unit: '/s',
  measured: 'hangup',
  against: 'bare',
  baseline: BARE,
  goal: { ratioAtLeast: 0.2 },
};

export const reads: readonly Group[] = [
  { rows: [get], open: (bench) => open(bench, 64, (server) => getRequests(server)) },
  {
    rows: [list],
    open: (bench) =>
      open(bench, 16, ({ headers }) => [{ method: 'GET', path: '/api/v1/calls?limit=50', headers }]),
  },
];

/** Reads of calls all over the table. */
export function getRequests({ headers }: Pick<HangupServer, 'headers'>): HttpRequest[] {
  return Array.from({ length: READ_CALLS }, (_, i) => ({
    method: 'GET',
    path: `/api/v1/calls/${callId(READ_PREFIX, (i * 7_919) % READ_CALLS)}`,
    headers,
  }));
}

/** Starts hangup with the ended calls that `getRequests` reads. */
async function startReads(bench: Bench): Promise<HangupServer> {
  const livekit = await startLiveKitStub(bench);
  const database = createDatabase(bench, 'reads');
  seedEndedCalls(database, READ_PREFIX, READ_CALLS);
  return startHangup(bench, { database, livekitPort: livekit.port });
}

/** Starts hangup with ended calls, and returns a function that reads them for the time of one measurement. */
export async function openGets(bench: Bench) {
  const server = await startReads(bench);
  const requests = new RequestFile(join(bench.folder, 'gets.requests'), getRequests(server), {
    isRepeatable: true,
  });
  return (load: { connections: number; perSecond?: number }) =>
    bench.generator.run({ ...load, port: server.port, requests, seconds: bench.seconds });
}

async function open(
  bench: Bench,
  connections: number,
  requestsOf: (server: HangupServer) => HttpRequest[],
): Promise<Record<string, Side>> {
  const server = await startReads(bench);
  const all = requestsOf(server);
  const requests = new RequestFile(join(bench.folder, 'reads.requests'), all, { isRepeatable: true });
  const bare = bench.resources.use(
    await startProgram('bare-server', {
      core: bench.cores?.server ?? null,
      options: await answerTo(server, all[0]?.path ?? '/'),
      answer: z.null(),
    }),
  );
  const measure = async (port: number) => {
    const { count, seconds } = await bench.generator.run({
      port,
      requests,
      connections,
      seconds: bench.seconds,
    });
    return count / seconds;
  };
  return { hangup: () => measure(server.port), bare: () => measure(bare.port) };
}

/** The bytes of hangup's answer, without the headers that node:http adds to each answer. */
async function answerTo({ url, headers }: HangupServer, path: string) {
  const response = await fetch(url + path, { headers });
  const body = await response.text();
  if (response.status !== 200) throw new Error(`GET ${path}: ${response.status} ${body}`);
  const added = new Set(['date', 'connection', 'keep-alive']);
  return { body, headers: Object.fromEntries([...response.headers].filter(([name]) => !added.has(name))) };
}
