import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Bench } from '../context.ts';
import type { Group, Side } from '../group.ts';
import {
  copyDatabase,
  createDatabase,
  type Database,
  expectCount,
  type HangupServer,
  startHangup,
  waitForCount,
  withDatabase,
} from '../hangup.ts';
import { CREDENTIALS } from '../livekit.ts';
import { RequestFile } from '../load.ts';
import { readMetric } from '../metrics.ts';
import { type Program, startProgram } from '../processes.ts';
import { seedActiveCalls, seedEndedCalls } from '../seed.ts';
import { getRequests, READ_CALLS, READ_PREFIX } from './reads.ts';

const PREFIX = 'live';
const CALLS = 10_000;
/** A LiveKit in the same region: the way to the server, to the room's node and back. */
const DELETE_DELAY_MS = 20;
const TITLE = 'cancelling 10,000 live calls by one request';
const LOOP = 'a client that lists 100 live calls, sends a DELETE for each, 10 in flight, and repeats';

const LIVE_CALLS = 'SELECT count(*) FROM calls WHERE ended_at IS NULL';
const COMPLETED_DELETIONS = "SELECT count(*) FROM room_deletions WHERE state = 'completed'";
const CANCELLED_CALLS = "SELECT count(*) FROM calls WHERE status = 'cancelled'";
const POLL_MS = 10;
const CONNECTIONS = 64;
const GETS_PER_SECOND = 200;

export const stop: readonly Group[] = [
  {
    rows: [
      {
        name: 'stop',
        title: `${TITLE}: until the last room is gone`,
        unit: 'ms',
        measured: 'stop',
        against: 'loop',
        baseline: LOOP,
        goal: { ratioAtMost: 0.1 },
      },
      {
        name: 'stop-cpu',
        title: `${TITLE}: CPU time of hangup until all are recorded`,
        unit: 'ms',
        measured: 'stopCpu',
        against: 'loopCpu',
        baseline: 'the same client',
        goal: { valueAtMost: 1_000 },
      },
    ],
    rounds: 3,
    hasWarmUp: false,
    open: openStops,
  },
  {
    rows: [
      {
        name: 'stop-get-p99',
        title: `GET one, ${GETS_PER_SECOND} a second: p99 while hangup cancels 10,000 live calls`,
        unit: 'ms',
        measured: 'beside',
        against: 'idle',
        baseline: 'the same before the cancellation',
        goal: { ratioAtMost: 3 },
      },
      {
        name: 'stop-get-p99-64',
        title: 'GET one, 64 at once: p99 while hangup cancels 10,000 live calls',
        unit: 'ms',
        measured: 'besideFull',
        against: 'idleFull',
        baseline: 'the same before the cancellation',
        goal: { ratioAtMost: 3 },
      },
    ],
    rounds: 3,
    hasWarmUp: false,
    open: openReads,
  },
];

async function openStops(bench: Bench): Promise<Record<string, Side>> {
  const run = await openStage(bench);
  const measure = (cancelAll: (server: HangupServer, database: Database) => Promise<() => Promise<void>>) =>
    together(async () => {
      const { cpuMs, beganAt, lastEndAt } = await run(async (server, database) => {
        const start = await cancelAll(server, database);
        const beforeMs = readCpuMs(server.pid);
        const beganAt = Date.now();
        const [cpuMs] = await Promise.all([
          waitForCount(database.file, LIVE_CALLS, 0).then(() => readCpuMs(server.pid) - beforeMs),
          start(),
        ]);
        return { cpuMs, beganAt };
      });
      return { cpuMs, goneMs: lastEndAt - beganAt };
    });
  const stopped = measure(async (server) => () => startCancellation(server));
  const looped = measure(async (server, { apiKey }) => {
    const client = bench.resources.use(
      await startProgram('cancel-loop', {
        core: bench.cores?.load ?? null,
        options: { url: server.url, apiKey },
        answer: z.object({ cancelled: z.number() }),
      }),
    );
    return async () => {
      const { cancelled } = await client.request({});
      if (cancelled !== CALLS) throw new Error(`the client cancelled ${cancelled} calls, not ${CALLS}`);
    };
  });
  return {
    stop: stopped('goneMs'),
    stopCpu: stopped('cpuMs'),
    loop: looped('goneMs'),
    loopCpu: looped('cpuMs'),
  };
}

async function openReads(bench: Bench): Promise<Record<string, Side>> {
  const run = await openStage(bench);
  const p99s = (pace: { perSecond?: number }) =>
    together(async () => {
      const { idle, beside, endedAt, lastEndAt } = await run(async (server) => {
        const file = join(bench.folder, 'stop-reads.requests');
        const requests = new RequestFile(file, getRequests(server), { isRepeatable: true });
        const load = { port: server.port, requests, connections: CONNECTIONS, seconds: bench.seconds };
        await bench.generator.run(load);
        const { p99Ms: idle } = await bench.generator.run({ ...load, ...pace });
        await startCancellation(server);
        const { p99Ms: beside } = await bench.generator.run({ ...load, ...pace });
        return { idle, beside, endedAt: Date.now() };
      });
      if (lastEndAt < endedAt) bench.note('GETs also ran after the cancellation: choose fewer --seconds');
      return { idle, beside };
    });
  const paced = p99s({ perSecond: GETS_PER_SECOND });
  const full = p99s({});
  return {
    beside: paced('beside'),
    idle: paced('idle'),
    besideFull: full('beside'),
    idleFull: full('idle'),
  };
}

/** Returns sides that share runs: a run measures a value for each side. */
function together<Name extends string>(
  run: () => Promise<Readonly<Record<Name, number>>>,
): (name: Name) => Side {
  const left = new Map<Name, number>();
  return (name) => async () => {
    if (!left.has(name)) {
      const values = await run();
      for (const key in values) left.set(key, values[key]);
    }
    const value = left.get(name) ?? Number.NaN;
    left.delete(name);
    return value;
  };
}

/**
 * Starts the emulator, and makes a database of live calls. Returns a function that measures a new hangup on a copy of the
 * database, and then waits until all calls are cancelled and all rooms are gone.
 */
async function openStage(bench: Bench) {
  const emulator: Emulator = bench.resources.use(
    await startProgram('emulator', {
      core: bench.cores?.load ?? null,
      options: { prefix: PREFIX, rooms: CALLS, deleteDelayMs: DELETE_DELAY_MS, ...CREDENTIALS },
      answer: EmulatorState,
    }),
  );
  const database = createDatabase(bench, 'stop');
  seedActiveCalls(database, PREFIX, CALLS);
  seedEndedCalls(database, READ_PREFIX, READ_CALLS);
  let round = 0;
  return async <Values extends object>(
    measure: (server: HangupServer, database: Database) => Promise<Values>,
  ): Promise<Values & { lastEndAt: number }> => {
    round += 1;
    const copy = copyDatabase(database, String(round));
    await openRooms(emulator, copy);
    const server = await startHangup(bench, { database: copy, livekitPort: emulator.port });
    await whenCompared(server);
    const values = await measure(server, copy);
    const lastEndAt = await whenRoomsGone(emulator);
    await waitForCount(copy.file, COMPLETED_DELETIONS, CALLS);
    await server.stop();
    expectCount(copy.file, CANCELLED_CALLS, CALLS);
    return { ...values, lastEndAt };
  };
}

async function startCancellation({ url, headers }: HangupServer): Promise<void> {
  const response = await fetch(`${url}/api/v1/cancellations`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify({ all: true, reason: 'benchmark' }),
  });
  const text = await response.text();
  if (response.status !== 202) throw new Error(`POST /api/v1/cancellations: ${response.status} ${text}`);
}

const EmulatorState = z.object({
  rooms: z.number(),
  /** When the last room ended, in Unix time. */
  lastEndAt: z.number(),
  /** By room name. */
  sids: z.record(z.string(), z.string()),
});
type Emulator = Program<z.infer<typeof EmulatorState>>;

/** Opens the rooms of all calls, and writes their ids into the calls. */
async function openRooms(emulator: Emulator, { file }: Database): Promise<void> {
  const { sids } = await emulator.request({ opensRooms: true });
  const written = withDatabase(file, (db) => {
    const write = db.prepare(`
      UPDATE calls SET room_id = sids.value FROM json_each(?) AS sids WHERE calls.id = sids.key`);
    return write.run(JSON.stringify(sids)).changes;
  });
  if (written !== CALLS) throw new Error(`${written} rooms were opened, not ${CALLS}`);
}

/** Resolves after the comparison of rooms at the start, so that the measurement has none. */
async function whenCompared({ port }: HangupServer): Promise<void> {
  const labels = { loop: 'rooms' };
  const readRuns = () => readMetric(port, 'hangup_reconcile_duration_seconds_count', labels);
  while ((await readRuns()) === 0) await sleep(POLL_MS);
}

/** Returns when the last room ended. */
async function whenRoomsGone(emulator: Emulator): Promise<number> {
  for (;;) {
    const { rooms, lastEndAt } = await emulator.request({ opensRooms: false });
    if (rooms === 0) return lastEndAt;
    await sleep(POLL_MS);
  }
}

const TICKS_PER_SECOND = 100;

/** Returns the CPU time of all threads of a process, from its fields utime and stime. */
function readCpuMs(pid: number): number {
  const [utime, stime] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ').slice(11) ?? [];
  return ((Number(utime) + Number(stime)) * 1_000) / TICKS_PER_SECOND;
}
