/*
 * `node scripts/bench/plot.ts [FOLDER]`: measures cancels and webhooks per second against concurrency, and the p99 of
 * cancels and reads against load, and writes throughput.svg and latency.svg into the folder, docs by default. Takes about
 * 3 minutes.
 */
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { drawChart, type Series, ticksAround } from './chart.ts';
import type { Bench } from './context.ts';
import type { Report } from './load.ts';
import { median } from './measure.ts';
import { openCancels } from './rows/cancels.ts';
import { openGets } from './rows/reads.ts';
import { openWebhooks } from './rows/webhooks.ts';
import { startSession } from './session.ts';

const SECONDS = 1;
const ROUNDS = 3;
const CONCURRENCY = [1, 2, 4, 8, 16, 32, 64, 128];
/** Shares of the rate at 64 connections. */
const LOADS = [0.1, 0.3, 0.5, 0.7, 0.8, 0.9];
const CONNECTIONS = 64;
const COLORS: Readonly<Record<string, string>> = {
  hangup: '#0b62d6',
  express: '#c2570c',
  get: '#1a7f37',
  webhooks: '#8250df',
};
const NAMES: Readonly<Record<string, string>> = {
  hangup: 'DELETE, hangup',
  express: 'DELETE, Express baseline',
  get: 'GET, hangup',
  webhooks: 'webhooks, hangup',
};

type Measure = (load: { connections: number; perSecond?: number }) => Promise<Report>;

const folder = resolve(process.argv[2] ?? join(import.meta.dirname, '../../docs'));
const log = (text: string) => process.stderr.write(`${text}\n`);
const perSecond = ({ count, seconds }: Report) => count / seconds;

/** Measures each server at each value, in interleaved rounds; returns the medians. */
async function sweep(
  servers: Readonly<Record<string, Measure>>,
  values: (name: string) => readonly { x: number; connections: number; perSecond?: number }[],
  read: (report: Report) => number,
): Promise<Series[]> {
  const found = new Map<string, Map<number, number[]>>();
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [name, measure] of Object.entries(servers)) {
      const points = found.get(name) ?? new Map<number, number[]>();
      found.set(name, points);
      for (const { x, ...load } of values(name)) {
        const value = read(await measure(load));
        points.set(x, [...(points.get(x) ?? []), value]);
        log(`round ${round + 1} of ${ROUNDS}: ${NAMES[name] ?? name}, ${x}: ${Number(value.toPrecision(3))}`);
      }
    }
  }
  return [...found].map(([name, points]) => ({
    name: NAMES[name] ?? name,
    color: COLORS[name] ?? '#222',
    points: [...points].map(([x, ys]) => [x, median(ys)] as const),
  }));
}

/** Measures requests per second at each concurrency, after a first measurement that warms the servers up. */
async function measureThroughput(servers: Readonly<Record<string, Measure>>): Promise<Series[]> {
  for (const measure of Object.values(servers)) await measure({ connections: CONNECTIONS });
  const loads = () => CONCURRENCY.map((connections) => ({ x: connections, connections }));
  return sweep(servers, loads, perSecond);
}

function writeThroughput(series: readonly Series[]): void {
  write('throughput.svg', {
    title: 'Requests per second against concurrency, LiveKit at 0 ms',
    xTitle: 'connections, each with one request at a time',
    yTitle: 'requests per second',
    xTicks: CONCURRENCY,
    yTicks: ticksAround(series.flatMap(({ points }) => points.map(([, y]) => y))),
    series,
  });
}

async function plotLatency(bench: Bench): Promise<void> {
  const servers: Record<string, Measure> = {
    ...(await openCancels(bench, new Set(['hangup', 'express']))),
    get: await openGets(bench),
  };
  const rates = new Map<string, number>();
  for (const [name, measure] of Object.entries(servers)) {
    await measure({ connections: CONNECTIONS });
    rates.set(name, perSecond(await measure({ connections: CONNECTIONS })));
  }
  const loads = (name: string) =>
    LOADS.map((share) => Math.max(1, Math.round(share * (rates.get(name) ?? 0)))).map((rate) => ({
      x: rate,
      connections: CONNECTIONS,
      perSecond: rate,
    }));
  const series = await sweep(servers, loads, ({ p99Ms }) => p99Ms);
  const points = series.flatMap((one) => one.points);
  write('latency.svg', {
    title: 'p99 against load, up to 90 % of the rate at 64 connections',
    xTitle: 'requests per second',
    yTitle: 'p99 in ms',
    xTicks: ticksAround(points.map(([x]) => x)),
    yTicks: ticksAround(points.map(([, y]) => y)),
    series,
  });
}

function write(name: string, chart: Parameters<typeof drawChart>[0]): void {
  writeFileSync(join(folder, name), drawChart(chart));
  log(`wrote ${join(folder, name)}`);
}

await using session = await startSession({ isSource: false, seconds: SECONDS, largeFile: null });
for (const [name, value] of Object.entries(session.machine)) log(`${name}: ${value}`);
const throughput = await session.withBench(CONCURRENCY.length * ROUNDS + 1, async (bench) =>
  measureThroughput(await openCancels(bench, new Set(['hangup', 'express']))),
);
// Few connections send few webhooks: with events for half of the runs, none is missing.
const webhookRuns = (CONCURRENCY.length * ROUNDS) / 2 + 1;
throughput.push(
  ...(await session.withBench(webhookRuns, async (bench) =>
    measureThroughput({ webhooks: await openWebhooks(bench) }),
  )),
);
writeThroughput(throughput);
await session.withBench(LOADS.length * ROUNDS + 2, plotLatency);
