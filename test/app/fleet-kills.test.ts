import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Emulator, Fault } from '../../src/emulator/emulator.ts';
import { readEventsAnywhere } from '../harness/event-reader.ts';
import { type Fleet, serveTraffic } from '../harness/fleet.ts';
import { expectAllEvents, expectNothingLost, expectRoomsGone, expectWhole } from '../harness/fleet-checks.ts';
import { expectOneSenderPerLease } from '../harness/lease-checks.ts';
import { postgresDatabase } from '../harness/postgres.ts';
import { query } from '../harness/postgres-server.ts';
import type { RecordedRequest } from '../harness/recording-proxy.ts';
import type { Traffic } from '../harness/traffic.ts';
import { Prng } from '../simulation/prng.ts';

/* Several processes on one Postgres, observed from outside: `npm run test:fleet`. */

const PROCESSES = 3;
const KILLS = 5;
const TAKEOVER_MS = 10_000;
const CALLS = Number(process.env.CALLS ?? 2_000);
const FIRST_SEED = Number(process.env.FIRST_SEED ?? 1);
const SEEDS = Array.from({ length: Number(process.env.SEEDS ?? 20) }, (_, i) => FIRST_SEED + i);

const FAULTS: readonly (Fault | null)[] = [
  null,
  null,
  { kind: 'slow', delayMs: 100 },
  { kind: 'slow', delayMs: 700 },
  { kind: 'status503' },
  { kind: 'applyThen503' },
  { kind: 'applyThenReset' },
  { kind: 'reset' },
  { kind: 'hang' },
];

/** Changes the fault of DeleteRoom now and then. */
function disturb(emulator: Emulator, prng: Prng) {
  const stopping = new AbortController();
  const { signal } = stopping;
  const run = async () => {
    while (!signal.aborted) {
      emulator.setFault('DeleteRoom', prng.of(FAULTS));
      await delay(prng.between(50, 1_000), undefined, { signal }).catch(() => {});
    }
    emulator.setFault('DeleteRoom', null);
  };
  const ended = run();
  return async () => {
    stopping.abort();
    await ended;
  };
}

/** A list of all rooms that a process requested from LiveKit, with the lease at the arrival of the request. */
interface Comparison {
  readonly request: RecordedRequest;
  readonly fence: number;
}

async function readFence(url: string): Promise<number> {
  const rows = await query<{ fence: number }>(
    url,
    `SELECT fence::float8 AS fence FROM pass_leases WHERE pass = 'reconciliation'`,
  );
  return rows[0]?.fence ?? 0;
}

/** Checks that only the holder of each lease compares rooms, and that a comparison ends before the next holder's. */
function expectOneComparer(comparisons: readonly Comparison[], { ends }: Fleet): void {
  const sorted = comparisons.toSorted((a, b) => a.request.arrivedAt - b.request.arrivedAt);
  const holders = new Map<number, string>();
  for (const { request, fence } of sorted) {
    expect(holders.get(fence) ?? request.sender, `holder of lease ${fence}`).toBe(request.sender);
    holders.set(fence, request.sender);
  }
  expect(
    sorted.map(({ fence }) => fence),
    'leases in the order of the comparisons',
  ).toEqual(sorted.map(({ fence }) => fence).toSorted((a, b) => a - b));
  for (const [index, { request: next }] of sorted.entries()) {
    const earlier = sorted.slice(0, index).map(({ request }) => request);
    const overlapping = earlier.filter(
      ({ sender, endedAt }) =>
        sender !== next.sender && Math.min(endedAt, ends.get(sender) ?? Infinity) > next.arrivedAt,
    );
    expect(overlapping, `comparisons while ${next.sender} compares`).toEqual([]);
  }
}

/** Kills a process, in half of the cases the one that compares rooms, and starts another. */
async function replaceProcess(
  { fleet, comparisons, url }: { fleet: Fleet; comparisons: readonly Comparison[]; url: string },
  prng: Prng,
): Promise<void> {
  const { sender: comparer = '', fence = 0 } = lastComparison(comparisons);
  const names = [...fleet.running.keys()];
  const others = names.filter((name) => name !== comparer);
  const victim = prng.happens(0.5) && fleet.running.has(comparer) ? comparer : prng.of(others);
  await fleet.kill(victim);
  const takeover =
    victim === comparer
      ? expect
          .poll(() => readFence(url), {
            timeout: TAKEOVER_MS,
            interval: 50,
            message: 'the lease of a killed process',
          })
          .toBeGreaterThan(fence)
      : null;
  await Promise.all([takeover, delay(prng.between(0, 1_500)).then(() => fleet.start())]);
}

function lastComparison(comparisons: readonly Comparison[]): { sender?: string; fence?: number } {
  const last = comparisons.at(-1);
  return last === undefined ? {} : { sender: last.request.sender, fence: last.fence };
}

/** Runs the calls in as many parts as there are kills. Each kill is at a random moment of its part. */
async function runWithKills(traffic: Traffic, kill: () => Promise<void>, prng: Prng): Promise<void> {
  const ids = Array.from({ length: CALLS }, (_, i) => `c${i}`);
  const size = Math.ceil(CALLS / KILLS);
  for (let start = 0; start < CALLS; start += size) {
    const part = ids.slice(start, start + size);
    const before = traffic.cancelled.size;
    const moment = before + prng.between(1, Math.floor(part.length / 2));
    const running = traffic.run(part);
    await Promise.race([
      running,
      expect.poll(() => traffic.cancelled.size, { timeout: 60_000 }).toBeGreaterThanOrEqual(moment),
    ]);
    await Promise.all([running, kill()]);
  }
}

test.each(SEEDS)(
  `with seed %i, ${CALLS} calls on ${PROCESSES} processes lose nothing while processes are killed`,
  async (seed) => {
    const prng = new Prng(seed);
    const url = await postgresDatabase();
    const comparisons: Comparison[] = [];
    const { key, organizationId, traffic, fleet } = await serveTraffic(url, {
      processes: PROCESSES,
      prng: prng.fork(),
      async onRequest(request) {
        if (request.method !== 'ListRooms' || request.room !== null) return;
        comparisons.push({ request, fence: await readFence(url) });
      },
    });
    const { servers } = fleet;
    await expect.poll(() => comparisons.length).toBeGreaterThan(0);
    const reader = readEventsAnywhere({ servers, key, prng: prng.fork() });
    const endFaults = disturb(traffic.emulator, prng.fork());

    const dice = prng.fork();
    await runWithKills(traffic, () => replaceProcess({ fleet, comparisons, url }, dice), dice);
    await endFaults();

    await expectRoomsGone(url, traffic);
    await expectNothingLost(url, traffic);
    await expectWhole(url);
    await expectOneSenderPerLease(url, fleet.requests);
    expectOneComparer(comparisons, fleet);
    await expectAllEvents(reader, url, organizationId);
    await reader.stop();
    expect(reader.connections()).toBeGreaterThan(KILLS);
    expect(traffic.created.size).toBe(CALLS);
  },
  600_000,
);
