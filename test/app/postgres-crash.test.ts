import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { answerOf } from '../harness/answers.ts';
import { serveTraffic } from '../harness/fleet.ts';
import {
  CLIENT_TIMEOUT_MS,
  expectAnswersInTime,
  expectNothingLost,
  expectRetryable,
  expectRoomsGone,
  expectWhole,
  unavailable,
} from '../harness/fleet-checks.ts';
import { ownPostgres } from '../harness/own-postgres.ts';
import type { PostgresServer } from '../harness/postgres-server.ts';
import { postWebhook, roomWebhooks } from '../harness/webhooks.ts';
import { Prng } from '../simulation/prng.ts';

/* Outages of Postgres: `npm run test:fleet`. */

const KILLS = Number(process.env.KILLS ?? 50);
const CALLS_PER_KILL = 40;
/** Fewer than the calls, so that calls are created and cancelled at any moment. */
const CLIENTS = 12;
/** Of the creation, the cancel and the webhooks of each call. */
const ANSWERS_PER_KILL = 3 * CALLS_PER_KILL;

test(`acknowledged requests survive ${KILLS} kills of Postgres, and hangup continues without a restart`, async () => {
  const postgres = await ownPostgres();
  const prng = new Prng(1);
  const { traffic, fleet } = await serveTraffic(postgres.url, {
    processes: 1,
    clients: CLIENTS,
    prng: prng.fork(),
  });
  const [hangup] = fleet.running.values();
  for (let kill = 0; kill < KILLS; kill += 1) {
    const ids = Array.from({ length: CALLS_PER_KILL }, (_, i) => `c${kill}_${i}`);
    const moment = traffic.answers.length + prng.between(1, ANSWERS_PER_KILL);
    const running = traffic.run(ids);
    await expect.poll(() => traffic.answers.length, { interval: 1 }).toBeGreaterThanOrEqual(moment);
    const refused = unavailable(traffic).length;
    await postgres.crash();
    await expect.poll(() => unavailable(traffic).length).toBeGreaterThan(refused);
    await delay(prng.between(0, 300));
    await postgres.restart();
    await running;
    await expectWhole(postgres.url);
  }
  await expectRoomsGone(postgres.url, traffic);
  await expectNothingLost(postgres.url, traffic);
  await expectWhole(postgres.url);
  expectRetryable(traffic);
  expectAnswersInTime(traffic);
  expect(new Set(unavailable(traffic).map(({ kind }) => kind))).toEqual(
    new Set(['create', 'cancel', 'webhook']),
  );
  expect(hangup?.child.exitCode).toBeNull();
}, 600_000);

const OUTAGES = [
  {
    name: 'is killed',
    begin: (server: PostgresServer) => server.crash(),
    end: (server: PostgresServer) => server.restart(),
  },
  {
    name: 'hangs',
    begin: async (server: PostgresServer) => server.suspend(),
    end: async (server: PostgresServer) => server.resume(),
  },
];

test.each(OUTAGES)(
  'each request gets 503 within 5 s after Postgres $name, and 200 when Postgres is back',
  async ({ begin, end }) => {
    const postgres = await ownPostgres();
    const { key, fleet, traffic } = await serveTraffic(postgres.url, { processes: 1, prng: new Prng(1) });
    const [server = ''] = fleet.servers();
    // A request that was answered 503 can have been committed: the outcome of its commit is then unknown.
    const headersOf = (name: string) => ({
      'x-api-key': key,
      'content-type': 'application/json',
      'idempotency-key': name,
    });
    const create = (id: string) =>
      answerOf('create', `${server}/api/v1/calls`, {
        method: 'POST',
        headers: headersOf(`create ${id}`),
        body: JSON.stringify({ id }),
      });
    const cancel = (id: string) =>
      answerOf('cancel', `${server}/api/v1/calls/${id}`, {
        method: 'DELETE',
        headers: headersOf(`cancel ${id}`),
      });
    expect(await create('first')).toMatchObject({ status: 201 });
    traffic.emulator.join('first', { identity: 'caller' });
    const started = roomWebhooks('other').started();

    await begin(postgres);
    const startedAt = performance.now();
    const [created, cancelled, webhook] = await Promise.all([
      create('second'),
      cancel('first'),
      postWebhook(server, started),
    ]);
    const busy = { status: 503, retryAfter: expect.any(String) };
    expect([created, cancelled, webhook]).toMatchObject([busy, busy, busy]);
    expect(performance.now() - startedAt).toBeLessThan(CLIENT_TIMEOUT_MS);
    expect((await fetch(`${server}/healthz`)).status).toBe(200);
    await expect.poll(async () => (await fetch(`${server}/readyz`)).status).toBe(503);

    await end(postgres);
    await expect.poll(async () => (await fetch(`${server}/readyz`)).status).toBe(200);
    expect((await create('second'))?.status).toBe(201);
    expect(await cancel('first')).toMatchObject({ status: 200 });
    expect(await postWebhook(server, started)).toMatchObject({ status: 200 });
    await expect.poll(() => traffic.emulator.roomNames()).not.toContain('first');
  },
);
