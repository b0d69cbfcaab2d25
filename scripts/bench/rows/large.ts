import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Bench } from '../context.ts';
import type { Group, Side } from '../group.ts';
import {
  createDatabase,
  createDatabaseFile,
  type Database,
  expectCount,
  type HangupServer,
  startHangup,
} from '../hangup.ts';
import { startLiveKitStub } from '../livekit.ts';
import { type HttpRequest, RequestFile } from '../load.ts';
import { readMemory, watchMemory } from '../memory.ts';
import { readMetric } from '../metrics.ts';
import { startPostgres } from '../postgres.ts';
import { makePostgresCalls } from '../postgres-calls.ts';
import { LIVE_CALLS, LIVE_PREFIX, MANY_CALLS, makeCalls, SECONDS_TO_MAKE } from '../seed.ts';

const FEW_CALLS = 5_000;
const SETTLE_MS = 20_000;
const PAGE = 50;
/** The API accepts no larger offset. */
const LARGEST_OFFSET = 1_000_000;
const OFFSETS = [1_000, 100_000, LARGEST_OFFSET];
const DAYS = [355, 270, 180, 90, 2].map(dayBefore);
const [, , MIDDLE = '', LATER = ''] = DAYS;

/** Every filter of the contract, alone and combined, with filters that match no call. */
const FILTERS = [
  '',
  'status=completed',
  'status=completed&status=cancelled',
  'status=active',
  'status=initiated&status=ringing',
  'direction=inbound',
  'direction=outbound&status=busy',
  'agentId=agent_7',
  'agentId=agent_7&status=failed',
  'agentId=agent_7&status=active&status=completed&direction=inbound',
  'phoneNumber=%2B15550104729',
  'phoneNumber=%2B15550104729&agentId=agent_7&status=failed&direction=outbound',
  `startDate=${MIDDLE}`,
  `endDate=${MIDDLE}`,
  `startDate=${MIDDLE}&endDate=${LATER}`,
  `status=no_answer&direction=outbound&startDate=${MIDDLE}`,
  `agentId=agent_7&status=completed&direction=outbound&startDate=${MIDDLE}&endDate=${LATER}`,
  `direction=inbound&endDate=${MIDDLE}`,
];
/** Every order of the contract, with lists of one call that begin at some depth. */
const ORDERS = [
  { order: 'sortOrder=desc', starts: DAYS.map((day) => `endDate=${day}`) },
  { order: 'sortOrder=asc', starts: DAYS.map((day) => `startDate=${day}`) },
  { order: 'sortBy=scheduledAt', starts: OFFSETS.map((offset) => `offset=${offset}`) },
  { order: 'sortBy=scheduledAt&sortOrder=asc', starts: OFFSETS.map((offset) => `offset=${offset}`) },
];

function dayBefore(days: number): string {
  return new Date(Date.now() - days * 86_400_000).toISOString().slice(0, 10);
}

/** Makes the database of 5 million calls once for all groups, unless `--large` names one. */
function largeDatabase({ hangup, largeFile, note }: Bench): Database {
  if (existsSync(largeFile)) return createDatabaseFile(hangup, largeFile);
  const beganAt = performance.now();
  const database = createDatabaseFile(hangup, `${largeFile}.new`);
  makeCalls(database, { calls: MANY_CALLS, live: LIVE_CALLS, prefix: LIVE_PREFIX });
  note(timeNote(beganAt));
  // Under its final name the database is complete.
  renameSync(database.file, largeFile);
  return { ...database, file: largeFile };
}

function timeNote(beganAt: number): string {
  const seconds = Math.round((performance.now() - beganAt) / 1_000);
  return `made ${MANY_CALLS.toLocaleString('en-US')} calls in ${seconds} s (goal: at most ${SECONDS_TO_MAKE} s)`;
}

export const list: Group = {
  rows: [
    {
      name: 'list-p99-5m',
      title: `list of ${PAGE}, every filter, any depth by cursor, 5 million calls, one at a time: p99`,
      unit: 'ms',
      measured: 'many',
      against: 'few',
      baseline: 'the same with 5,000 calls',
      goal: { ratioAtMost: 2 },
    },
  ],
  rounds: 3,
  async open(bench) {
    const few = createDatabase(bench, 'few');
    makeCalls(few, { calls: FEW_CALLS, live: 10, prefix: LIVE_PREFIX });
    const side = await listsOf(bench, { row: 'list-p99-5m' });
    return { few: await side('few', few), many: await side('many', largeDatabase(bench)) };
  },
};

export const postgresList: Group = {
  rows: [
    {
      name: 'postgres-list',
      title: `list of ${PAGE} on Postgres, every filter, any depth by cursor, 5 million calls, one at a time: p99`,
      unit: 'ms',
      measured: 'many',
      against: 'few',
      baseline: 'the same with 5,000 calls',
      goal: { ratioAtMost: 2 },
      isOnlyByName: true,
    },
  ],
  rounds: 3,
  async open(bench) {
    const server = await startPostgres(bench);
    const few = await server.createForHangup('few');
    await makePostgresCalls(few, { calls: FEW_CALLS, live: 10 });
    const many = await server.createForHangup('many');
    const beganAt = performance.now();
    await makePostgresCalls(many, { calls: MANY_CALLS });
    bench.note(timeNote(beganAt));
    const side = await listsOf(bench, { row: 'postgres-list' });
    return {
      few: await side('few', few, { DATABASE_URL: few.url }),
      many: await side('many', many, { DATABASE_URL: many.url }),
    };
  },
};

/** Returns a function that starts hangup on a database and returns a side, which sends every list and returns the p99. */
async function listsOf(bench: Bench, { row }: { row: string }) {
  // Each list several times, so that a pause of the machine is not the p99.
  const seconds = Math.max(bench.seconds, 5);
  const livekit = await startLiveKitStub(bench, { prefix: LIVE_PREFIX, rooms: LIVE_CALLS });
  return async (
    name: string,
    database: Database,
    settings: Readonly<Record<string, string>> = {},
  ): Promise<Side> => {
    const server = await startHangup(bench, { database, livekitPort: livekit.port, settings });
    const pages = await collectPages(server);
    const requests = new RequestFile(join(bench.folder, `${name}.requests`), pages, { isRepeatable: true });
    bench.note(`${row}: ${pages.length} different pages of ${name} calls`);
    return async () => {
      const load = { port: server.port, requests, connections: 1, seconds, atLeast: pages.length };
      const before = await storeTimes(server);
      const { p99Ms } = await bench.generator.run(load);
      const after = await storeTimes(server);
      const quick = ((after.quick - before.quick) / (after.all - before.all)) * 100;
      bench.note(`${row}: of ${name} calls, the store took at most 1 ms for ${quick.toFixed(2)} % of lists`);
      return p99Ms;
    };
  };
}

const ListPage = z.object({
  data: z.object({
    calls: z.array(z.unknown()),
    pagination: z.object({ nextCursor: z.string().nullish() }),
  }),
});

/** Returns requests for the first page of every filter and order, and for pages at every depth. */
async function collectPages({ url, headers }: HangupServer): Promise<HttpRequest[]> {
  const queries: string[] = [];
  for (const { order, starts } of ORDERS) {
    const cursors: string[] = [];
    for (const start of starts) {
      const response = await fetch(`${url}/api/v1/calls?${order}&${start}&limit=1`, { headers });
      if (response.status !== 200) throw new Error(`${start}: ${response.status} ${await response.text()}`);
      const { nextCursor } = ListPage.parse(await response.json()).data.pagination;
      if (nextCursor != null) cursors.push(`&cursor=${nextCursor}`);
    }
    for (const filter of FILTERS) {
      for (const cursor of ['', ...cursors]) queries.push(`${order}&limit=${PAGE}&${filter}${cursor}`);
    }
  }
  // Neighbours have nothing in common, so that no page is in the cache because of the one before.
  return queries.map((_, i) => ({
    method: 'GET',
    path: `/api/v1/calls?${queries[(i * 89) % queries.length] ?? ''}`.replace('&&', '&').replace(/&$/, ''),
    headers,
  }));
}

async function storeTimes({ port }: HangupServer): Promise<{ quick: number; all: number }> {
  const method = 'listCalls';
  const [quick, all] = await Promise.all([
    readMetric(port, 'hangup_store_operation_duration_seconds_bucket', { method, le: '0.001' }),
    readMetric(port, 'hangup_store_operation_duration_seconds_count', { method }),
  ]);
  return { quick, all };
}

export const memory: Group = {
  rows: [
    {
      name: 'memory-5m',
      title: '5 million calls on record, 10,000 live: largest RSS in 20 s of comparisons and lists',
      unit: 'MB',
      measured: 'many',
      against: 'empty',
      baseline: 'an empty database',
      goal: { valueAtMost: 200 },
    },
  ],
  rounds: 1,
  hasWarmUp: false,
  async open(bench) {
    const livekit = await startLiveKitStub(bench, { prefix: LIVE_PREFIX, rooms: LIVE_CALLS });
    const idleLiveKit = await startLiveKitStub(bench);
    // The default schedule.
    const settings = { RECONCILE_SCHEDULE: '*/15 * * * * *' };
    return {
      async many() {
        const database = largeDatabase(bench);
        const server = await startHangup(bench, { database, livekitPort: livekit.port, settings });
        const requests = new RequestFile(join(bench.folder, 'pages.requests'), await collectPages(server), {
          isRepeatable: true,
        });
        const load = {
          port: server.port,
          requests,
          connections: 1,
          seconds: SETTLE_MS / 1_000,
          perSecond: 20,
        };
        const [peakMb] = await Promise.all([watchMemory(server.pid, SETTLE_MS), bench.generator.run(load)]);
        await server.stop();
        expectCount(database.file, "SELECT count(*) FROM calls WHERE status = 'active'", LIVE_CALLS);
        return peakMb;
      },
      async empty() {
        const database = createDatabase(bench, 'empty');
        const { pid, stop } = await startHangup(bench, { database, livekitPort: idleLiveKit.port, settings });
        await sleep(SETTLE_MS);
        const { rssMb } = readMemory(pid);
        await stop();
        return rssMb;
      },
    };
  },
};
