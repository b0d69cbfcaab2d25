import SqliteDatabase from 'better-sqlite3';
import { expect, onTestFinished, test } from 'vitest';
import { type BreakMoment, startCommitForwarder } from '../harness/commit-forwarder.ts';
import { onPostgres, onSqlite } from '../harness/hangup.ts';
import { prepareCalls } from '../harness/live-calls.ts';

/* Requests that repeat an Idempotency-Key to another process, or after a crash. */

interface Reply {
  readonly status: number;
  readonly text: string;
  readonly isReplay: boolean;
}

/** Prepares a database without calls. */
async function prepare(options: Parameters<typeof prepareCalls>[1] = {}) {
  const { key, file, sql, serve, blockWrites } = await prepareCalls(0, options);
  const send = async (url: string, idempotencyKey: string, body: object): Promise<Reply> => {
    const response = await fetch(`${url}/api/v1/calls`, {
      method: 'POST',
      headers: { 'x-api-key': key, 'idempotency-key': idempotencyKey, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const isReplay = response.headers.get('idempotent-replayed') === 'true';
    return { status: response.status, text: await response.text(), isReplay };
  };
  /** Registers a call of the agent `idempotencyKey`. */
  const register = (url: string, idempotencyKey: string) =>
    send(url, idempotencyKey, { agentId: idempotencyKey });
  const idsOf = async (agentId: string) => {
    const rows = (await sql(`SELECT id FROM calls WHERE agent_id = '${agentId}'`)) as { id: string }[];
    return rows.map(({ id }) => id);
  };
  return { file, serve, register, idsOf, blockWrites };
}

test('a repeated request gets the first response after a restart, and from another process', async () => {
  const { serve, register, idsOf } = await prepare();
  const [first, second] = await Promise.all([serve(), serve()]);
  const reply = await register(first.url, 'k');
  expect(reply).toMatchObject({ status: 201, isReplay: false });
  expect(await register(second.url, 'k')).toEqual({ ...reply, isReplay: true });
  expect(await first.kill('SIGTERM')).toBe(0);
  const restarted = await serve();
  expect(await register(restarted.url, 'k')).toEqual({ ...reply, isReplay: true });
  expect(await idsOf('k')).toHaveLength(1);
});

test('of equal requests at once to two processes, one runs and the others are its replays', async () => {
  const { serve, register, idsOf, blockWrites } = await prepare();
  const [first, second] = await Promise.all([serve(), serve()]);
  const keys = Array.from({ length: 20 }, (_, i) => `k${i}`);
  // Both processes wait for the lock, and then write as soon as they can.
  const allowWrites = await blockWrites();
  const pending = keys.map((key) =>
    Promise.all([first, second, first, second].map(({ url }) => register(url, key))),
  );
  // The check of the store waits for a second after the registrations, which are then queued.
  const checks = await Promise.all([first, second].map(({ url }) => fetch(`${url}/readyz`)));
  expect(checks.map(({ status }) => status)).toEqual([503, 503]);
  await allowWrites();
  for (const [i, replies] of (await Promise.all(pending)).entries()) {
    const [ran, ...others] = replies.toSorted((a, b) => Number(a.isReplay) - Number(b.isReplay));
    expect(ran).toMatchObject({ status: 201, isReplay: false });
    expect(others).toEqual(others.map(() => ({ ...ran, isReplay: true })));
    expect(await idsOf(`k${i}`)).toHaveLength(1);
  }
});

onSqlite(
  'after kill -9 between the commit and the response, the retry gets the replay, and there is one call',
  async () => {
    const { file, serve, register, idsOf } = await prepare();
    const other = new SqliteDatabase(file, { timeout: 5_000 });
    onTestFinished(() => {
      other.close();
    });
    const isRegistered = other.prepare<[string], number>('SELECT 1 FROM calls WHERE agent_id = ?').pluck();
    let hangup = await serve();
    for (let round = 0; round < 5; round += 1) {
      const key = `k${round}`;
      other.exec('BEGIN IMMEDIATE');
      const reply = register(hangup.url, key).catch(() => null);
      // The check of the store waits for a second after the registration, which is then queued.
      expect((await fetch(`${hangup.url}/readyz`)).status).toBe(503);
      const deadline = performance.now() + 2_000;
      other.exec('ROLLBACK');
      // Without a pause: most rounds end hangup before it sends the response.
      while (isRegistered.get(key) === undefined && performance.now() < deadline);
      const ended = hangup.kill('SIGKILL');
      const [first, [id]] = [await reply, await idsOf(key)];
      await ended;
      hangup = await serve();
      const retry = await register(hangup.url, key);
      expect(retry).toMatchObject({ status: 201, isReplay: true });
      expect(JSON.parse(retry.text)).toMatchObject({ data: { id } });
      expect(await idsOf(key)).toEqual([id]);
      if (first !== null) expect(retry).toEqual({ ...first, isReplay: true });
    }
  },
);

onPostgres(
  'after kill -9 between the commit of Postgres and its response, the retry gets the replay, and there is one call',
  async () => {
    let moment: BreakMoment = 'never';
    let broken = () => {};
    const { serve, register, idsOf } = await prepare({
      network: (url) =>
        startCommitForwarder(
          url,
          () => moment,
          () => broken(),
        ),
    });
    for (const next of ['committed', 'sent', 'committed', 'sent'] as const) {
      const hangup = await serve();
      const key = `${next} ${hangup.child.pid}`;
      const ended = new Promise((resolve) => {
        broken = () => {
          broken = () => {};
          moment = 'never';
          resolve(hangup.kill('SIGKILL'));
        };
      });
      // Another write of hangup can end it before the registration.
      const first = register(hangup.url, key).catch(() => null);
      moment = next;
      await ended;
      expect(await first).toBeNull();
      const restarted = await serve();
      // Postgres commits what it received.
      const retry = await register(restarted.url, key);
      expect(retry.status).toBe(201);
      expect(await register(restarted.url, key)).toEqual({ ...retry, isReplay: true });
      expect(await idsOf(key)).toHaveLength(1);
      await restarted.kill('SIGKILL');
    }
  },
);
