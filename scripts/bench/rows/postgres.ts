import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Bench } from '../context.ts';
import type { Group, Row, Side } from '../group.ts';
import { type HangupServer, startHangup } from '../hangup.ts';
import { countFinished, EVENTS_PER_CALL, eventOf } from '../journey.ts';
import { CREDENTIALS, type LiveKitStub, signWebhook, startLiveKitStub } from '../livekit.ts';
import { RequestFile } from '../load.ts';
import { callId } from '../names.ts';
import {
  expectRows,
  type PostgresDatabase,
  type PostgresServer,
  seedPostgresCalls,
  startPostgres,
} from '../postgres.ts';
import { startProgram } from '../processes.ts';

const CONNECTIONS = 64;
const NODES = 2;
/** Enough for each request of all rounds: more than any side reaches. */
const PER_SECOND = { hangup: 8_000, express: 2_000, webhooks: 12_000, raw: 20_000 };
const DELETION_TIMEOUT_MS = 120_000;
const DELETION_POLL_MS = 5;

const cancelRows: readonly Row[] = [
  {
    name: 'postgres-cancel-64',
    title: 'DELETE, 64 at once, one process on Postgres, until the rooms are deleted',
    unit: '/s',
    measured: 'hangup',
    against: 'express',
    baseline:
      'Express 5, drizzle-orm, pg, livekit-server-sdk, and pg-boss for the deletions, on the same Postgres',
    goal: { ratioAtLeast: 5 },
  },
  {
    name: 'postgres-cancel-64-nodes',
    title: 'DELETE, 64 at once, two processes on one Postgres, until the rooms are deleted',
    unit: '/s',
    measured: 'nodes',
    against: 'hangup',
    baseline: 'one process',
    goal: { ratioAtLeast: 1 },
  },
];

const webhookRows: readonly Row[] = [
  {
    name: 'postgres-webhooks-64',
    title: 'webhooks on Postgres, 64 at once, signatures checked',
    unit: '/s',
    measured: 'hangup',
    against: 'raw',
    baseline: 'pg alone, 64 at once, one INSERT and one UPDATE in a transaction for each event',
    goal: { ratioAtLeast: 2 },
  },
];

export const postgres: readonly Group[] = [
  { rows: cancelRows, open: openCancels },
  { rows: webhookRows, open: openWebhooks },
];

async function openCancels(bench: Bench, wanted: ReadonlySet<string>): Promise<Record<string, Side>> {
  const server = await startPostgres(bench);
  const livekit = await startLiveKitStub(bench);
  const sides: Record<string, Side> = {};
  if (wanted.has('hangup')) sides['hangup'] = await openNodes(bench, { server, livekit, nodes: 1 });
  if (wanted.has('nodes')) sides['nodes'] = await openNodes(bench, { server, livekit, nodes: NODES });
  if (wanted.has('express')) sides['express'] = await openExpress(bench, { server, livekit });
  return sides;
}

/** Starts hangup on a database of its own, as several processes that share the load. */
async function openNodes(
  bench: Bench,
  { server, livekit, nodes }: { server: PostgresServer; livekit: LiveKitStub; nodes: number },
): Promise<Side> {
  const database = await server.createForHangup(`cancels_${nodes}`);
  const calls = Math.ceil((PER_SECOND.hangup * bench.seconds * bench.runs) / nodes);
  const loads = [];
  for (let node = 0; node < nodes; node += 1) {
    const prefix = `node${node}`;
    await seedPostgresCalls(database, prefix, calls);
    const { port, headers } = await startOn(bench, database, livekit);
    const requests = cancelRequests(bench, `cancels-${nodes}-${node}`, { calls, prefix, headers });
    loads.push({ port, requests });
  }
  return untilDeleted(bench, livekit, loads, async (sent) => {
    const { url } = database;
    await expectRows(url, "SELECT count(*) FROM calls WHERE status = 'cancelled'", sent);
    await expectRows(url, "SELECT count(*) FROM audit_log WHERE to_status = 'cancelled'", sent);
    await expectRows(url, "SELECT count(*) FROM room_deletions WHERE state = 'completed'", sent);
  });
}

async function openExpress(
  bench: Bench,
  { server, livekit }: { server: PostgresServer; livekit: LiveKitStub },
): Promise<Side> {
  const apiKey = 'express_bench_key';
  const prefix = 'express';
  const calls = Math.ceil(PER_SECOND.express * bench.seconds * bench.runs);
  const program = bench.resources.use(
    await startProgram('express-postgres-server', {
      core: bench.cores?.server ?? null,
      options: {
        ...{ url: await server.create('express'), calls, prefix, apiKey },
        livekit: { url: `http://127.0.0.1:${livekit.port}`, ...CREDENTIALS },
      },
      answer: z.object({ cancelled: z.number() }),
    }),
  );
  const requests = cancelRequests(bench, 'express', { calls, prefix, headers: { 'x-api-key': apiKey } });
  return untilDeleted(bench, livekit, [{ port: program.port, requests }], async (sent) => {
    const { cancelled } = await program.request({});
    if (cancelled !== sent) throw new Error(`${sent} answers, ${cancelled} cancelled calls`);
  });
}

const startOn = (bench: Bench, database: PostgresDatabase, livekit: LiveKitStub): Promise<HangupServer> =>
  startHangup(bench, {
    database,
    livekitPort: livekit.port,
    settings: { DATABASE_URL: database.url },
  });

const cancelRequests = (
  { folder }: Bench,
  name: string,
  { calls, prefix, headers }: { calls: number; prefix: string; headers: Readonly<Record<string, string>> },
) =>
  new RequestFile(
    join(folder, `${name}.requests`),
    Array.from({ length: calls }, (_, i) => ({
      method: 'DELETE' as const,
      path: `/api/v1/calls/${callId(prefix, i)}`,
      headers,
    })),
    { isRepeatable: false },
  );

/** Returns a side that sends cancels for some time: cancels a second, from the first request to the last deleted room. */
function untilDeleted(
  bench: Bench,
  livekit: LiveKitStub,
  loads: readonly { port: number; requests: RequestFile }[],
  countRows: (sent: number) => Promise<void>,
): Side {
  return async () => {
    await livekit.request({ reset: true });
    const beganAt = performance.now();
    const connections = CONNECTIONS / loads.length;
    const reports = await Promise.all(
      loads.map((load) => bench.generator.run({ ...load, connections, seconds: bench.seconds })),
    );
    const sent = reports.reduce((sum, { count }) => sum + count, 0);
    const giveUpAt = performance.now() + DELETION_TIMEOUT_MS;
    while ((await livekit.request({ reset: false })).deletedRooms < sent) {
      if (performance.now() > giveUpAt) throw new Error(`not all of ${sent} rooms were deleted`);
      await sleep(DELETION_POLL_MS);
    }
    const seconds = (performance.now() - beganAt) / 1_000;
    await countRows(loads.reduce((sum, { requests }) => sum + requests.next, 0));
    return sent / seconds;
  };
}

async function openWebhooks(bench: Bench, wanted: ReadonlySet<string>): Promise<Record<string, Side>> {
  const server = await startPostgres(bench);
  const sides: Record<string, Side> = {};
  if (wanted.has('hangup')) sides['hangup'] = await openHangupWebhooks(bench, server);
  if (wanted.has('raw')) sides['raw'] = await openRawEvents(bench, server);
  return sides;
}

const callsFor = (events: number) => Math.ceil(events / EVENTS_PER_CALL) + 256;

async function openHangupWebhooks(bench: Bench, server: PostgresServer): Promise<Side> {
  const prefix = 'hook';
  const livekit = await startLiveKitStub(bench);
  const database = await server.createForHangup('webhooks');
  const events = Math.ceil(PER_SECOND.webhooks * bench.seconds * bench.runs);
  await seedPostgresCalls(database, prefix, callsFor(events));
  const { port } = await startOn(bench, database, livekit);
  const startedAtMs = Date.now();
  const signed = Array.from({ length: events }, (_, i) => signWebhook(eventOf(prefix, i, startedAtMs)));
  const requests = new RequestFile(join(bench.folder, 'webhooks.requests'), signed, { isRepeatable: false });
  return async () => {
    const load = { port, requests, connections: CONNECTIONS, seconds: bench.seconds };
    const { count, seconds } = await bench.generator.run(load);
    await expectRows(database.url, 'SELECT count(*) FROM livekit_events', requests.next);
    const completed = "SELECT count(*) FROM calls WHERE status = 'completed'";
    await expectRows(database.url, completed, countFinished(requests.next));
    return count / seconds;
  };
}

async function openRawEvents(bench: Bench, server: PostgresServer): Promise<Side> {
  const prefix = 'raw';
  const database = await server.createForHangup('raw_events');
  await seedPostgresCalls(database, prefix, callsFor(PER_SECOND.raw * bench.seconds * bench.runs));
  const program = bench.resources.use(
    await startProgram('raw-postgres-events', {
      core: bench.cores?.server ?? null,
      options: { url: database.url, prefix, connections: CONNECTIONS },
      answer: z.object({ count: z.number(), seconds: z.number() }),
    }),
  );
  let written = 0;
  return async () => {
    const { count, seconds } = await program.request({ seconds: bench.seconds });
    written += count;
    await expectRows(database.url, 'SELECT count(*) FROM livekit_events', written);
    return count / seconds;
  };
}
