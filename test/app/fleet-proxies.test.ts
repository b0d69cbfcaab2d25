import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { parseEnvFile } from '../../src/platform/env-file.ts';
import { readEventsAnywhere } from '../harness/event-reader.ts';
import { createKey } from '../harness/fleet.ts';
import { expectAllEvents, expectNothingLost, expectRoomsGone, expectWhole } from '../harness/fleet-checks.ts';
import { startForwarder } from '../harness/forwarder.ts';
import { readMetrics } from '../harness/metrics.ts';
import { freePort } from '../harness/ports.ts';
import { postgresDatabase } from '../harness/postgres.ts';
import { type RunningHangup, serveHangup } from '../harness/process.ts';
import { type ProxyName, startFleetProxy } from '../harness/proxies.ts';
import { temporaryFolder } from '../harness/temporary.ts';
import { startTraffic } from '../harness/traffic.ts';
import { Prng } from '../simulation/prng.ts';

/* Three processes on one Postgres behind the examples for Caddy and nginx: `npm run test:proxies`. */

const PROCESSES = 3;
const CALLS = 100;
/** A health check, its timeout, and the time in which a proxy tries no failed process. */
const TAKEN_OUT_MS = 3_000;
const EXAMPLE = resolve(import.meta.dirname, '../../docs/fleet.env');

interface FleetProcess {
  readonly port: number;
  readonly url: string;
  start(): Promise<RunningHangup>;
  /** Ends the connections of the process to Postgres, and accepts no new ones. */
  disconnect(): void;
  reconnect(): void;
}

/** Prepares a process with the settings of the example, and with its own network to Postgres. */
async function prepareProcess(databaseUrl: string, livekitUrl: string): Promise<FleetProcess> {
  const example = parseEnvFile(readFileSync(EXAMPLE), () => true)?.values;
  const port = await freePort();
  const network = await startForwarder(databaseUrl);
  const database = new URL(databaseUrl);
  database.port = new URL(network.url).port;
  const cwd = temporaryFolder();
  const env = {
    ...example,
    HOST: '127.0.0.1',
    PORT: String(port),
    TRUSTED_PROXIES: '127.0.0.1',
    DATABASE_URL: database.href,
    LIVEKIT_URL: livekitUrl,
    // An attempt that a killed process began is due when its lease ends.
    LIVEKIT_CANCEL_TIMEOUT_MS: '500',
    LIVEKIT_BACKGROUND_TIMEOUT_MS: '500',
    RECONCILE_SCHEDULE: '* * * * * *',
  };
  const closed = `http://127.0.0.1:${await freePort()}`;
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    start: () => serveHangup({ env, cwd }),
    disconnect() {
      network.forwardTo(closed);
      network.cut();
    },
    reconnect: () => network.forwardTo(databaseUrl),
  };
}

/** The number of requests that a process received from the proxy. */
const countWebhooks = async (url: string) => (await readMetrics(url)).sum('hangup_webhooks_total');

async function expectReadiness({ url }: FleetProcess, status: number): Promise<void> {
  await expect.poll(async () => (await fetch(`${url}/readyz`)).status).toBe(status);
}

test.each<ProxyName>(['Caddy', 'nginx'])(
  'behind %s, nothing is lost while one process is killed, one stops, and one loses Postgres',
  async (proxyName) => {
    const databaseUrl = await postgresDatabase();
    const { key, organizationId } = await createKey(databaseUrl);
    const prng = new Prng(1);
    let proxyUrl = '';
    const servers = () => [proxyUrl];
    const traffic = await startTraffic({ servers, key, prng: prng.fork() });
    const processes = await Promise.all(
      Array.from({ length: PROCESSES }, () => prepareProcess(databaseUrl, traffic.emulator.url)),
    );
    const [killed, stopped, disconnected] = processes as [FleetProcess, FleetProcess, FleetProcess];
    const [toKill, toStop] = await Promise.all(processes.map((prepared) => prepared.start()));
    proxyUrl = await startFleetProxy(
      proxyName,
      processes.map(({ port }) => port),
    );
    const reader = readEventsAnywhere({ servers, key, prng: prng.fork() });
    const countAll = () => Promise.all(processes.map(({ url }) => countWebhooks(url)));
    let parts = 0;
    /** Runs calls, and a disturbance after the first cancels. */
    const run = async (disturb: () => Promise<unknown> = async () => {}) => {
      parts += 1;
      const before = traffic.cancelled.size;
      const running = traffic.run(Array.from({ length: CALLS }, (_, i) => `c${parts}_${i}`));
      await expect.poll(() => traffic.cancelled.size - before).toBeGreaterThan(CALLS / 10);
      await Promise.all([running, disturb()]);
    };

    await run();
    for (const { url } of processes) expect(await countWebhooks(url)).toBeGreaterThan(CALLS / 10);

    await run(() => toKill?.kill('SIGKILL') ?? Promise.reject());
    await killed.start();
    await delay(TAKEN_OUT_MS);

    const beforeStop = traffic.answers.length;
    await run(async () => expect(await toStop?.kill('SIGTERM')).toBe(0));
    expect(traffic.answers.slice(beforeStop).filter(({ status }) => status >= 500)).toEqual([]);
    await stopped.start();
    await delay(TAKEN_OUT_MS);

    await run(async () => disconnected.disconnect());
    await expectReadiness(disconnected, 503);
    await delay(TAKEN_OUT_MS);
    const whenTakenOut = await countAll();
    await run();
    const received = (await countAll()).map((count, i) => count - (whenTakenOut[i] ?? 0));
    // nginx has no health checks. Now and then it sends a request, and then repeats it on another process.
    const [first = 0, second = 0, third = 0] = received;
    expect(third, `webhooks of the processes: ${received}`).toBeLessThanOrEqual(
      proxyName === 'Caddy' ? 0 : Math.min(first, second) / 2,
    );

    disconnected.reconnect();
    await expectReadiness(disconnected, 200);
    await delay(TAKEN_OUT_MS);
    await run();
    expect(await countWebhooks(disconnected.url)).toBeGreaterThan(
      (whenTakenOut[2] ?? 0) + third + CALLS / 10,
    );

    await expectRoomsGone(databaseUrl, traffic);
    await expectNothingLost(databaseUrl, traffic);
    await expectWhole(databaseUrl);
    await expectAllEvents(reader, databaseUrl, organizationId);
    await reader.stop();
    expect(reader.connections()).toBeGreaterThan(2);
  },
  180_000,
);
