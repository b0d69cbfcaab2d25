import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { ServerStore } from '../../src/ports/server-store.ts';
import { openPostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { insertApiKey } from '../harness/calls.ts';
import { ownPostgres } from '../harness/own-postgres.ts';
import { postgresDatabase } from '../harness/postgres.ts';
import { hasPostgres, query } from '../harness/postgres-server.ts';

const LISTENERS = `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;

describe.skipIf(!hasPostgres())('signals of events on Postgres', () => {
  async function openOne(url: string) {
    const failures: unknown[] = [];
    const store = await openPostgresStore({ url, onNotListening: (error) => failures.push(error) });
    onTestFinished(() => store.close());
    return { store, failures };
  }

  /** Appends one event. */
  let prefixes = 0;
  async function append(store: ServerStore): Promise<void> {
    prefixes += 1;
    const names = { organizationName: 'acme', organizationIdIfNew: 'org_1' };
    await store.addAdoptionPrefix({ prefix: `prefix-${prefixes}`, ...names, now: 1 });
  }

  /** Counts the signals of a store. */
  function watch(store: ServerStore) {
    const signals = { count: 0 };
    store.watchEvents(() => {
      signals.count += 1;
    });
    return signals;
  }

  const listenersOf = (url: string) => query<{ pid: number }>(url, LISTENERS);

  test('a process learns of an event of its own and of another process before a poll', async () => {
    const url = await postgresDatabase();
    const [{ store: writer }, { store: reader }] = [await openOne(url), await openOne(url)];
    await insertApiKey(writer);
    const [own, other] = [watch(writer), watch(reader)];
    await expect.poll(() => listenersOf(url)).toHaveLength(2);
    // The writer then counts the listeners again.
    await delay(2_100);
    const before = [own.count, other.count];
    await append(writer);
    await expect.poll(() => [own.count, other.count]).toEqual(before.map((count) => count + 1));
    await delay(100);
    // No notification of its own.
    expect([own.count, other.count]).toEqual(before.map((count) => count + 1));
  });

  test('many commits are few signals, and without a listener no process sends notifications', async () => {
    const url = await postgresDatabase();
    const { store: writer } = await openOne(url);
    const reader = await openPostgresStore({ url });
    const observer = new pg.Client(url);
    await observer.connect();
    onTestFinished(() => observer.end());
    const notifications: unknown[] = [];
    observer.on('notification', (notification) => notifications.push(notification));
    await observer.query('LISTEN hangup_events');
    const signals = watch(reader);
    await expect.poll(() => listenersOf(url)).toHaveLength(1);
    const started = performance.now();
    const isEnough = () => notifications.length > 5 && signals.count > 5;
    while (performance.now() - started < 2_000 || !isEnough()) await append(writer);
    await delay(100);
    const intervals = Math.ceil((performance.now() - started) / 20);
    expect(notifications.length).toBeLessThanOrEqual(intervals);
    expect(signals.count).toBeLessThanOrEqual(intervals);
    await reader.close();
    await expect.poll(() => listenersOf(url)).toEqual([]);
    await delay(2_100);
    await append(writer);
    const sent = notifications.length;
    for (let i = 0; i < 20; i += 1) await append(writer);
    await delay(100);
    expect(notifications).toHaveLength(sent);
  });

  test('a lost connection is reported once, and replaced', async () => {
    const url = await postgresDatabase();
    const { store, failures } = await openOne(url);
    const { store: writer } = await openOne(url);
    const signals = watch(store);
    await expect.poll(() => listenersOf(url)).toHaveLength(1);
    const [first] = await listenersOf(url);
    await query(url, 'SELECT pg_terminate_backend($1)', [first?.pid]);
    await expect.poll(() => failures).toHaveLength(1);
    await expect
      .poll(async () => (await listenersOf(url))[0]?.pid)
      .toSatisfy((pid) => pid !== undefined && pid !== first?.pid);
    await expect
      .poll(async () => {
        await append(writer);
        await delay(100);
        return signals.count;
      })
      .toBeGreaterThan(0);
    expect(failures).toHaveLength(1);
  });

  test('a store that listens closes while the server does not respond', async () => {
    const server = await ownPostgres();
    const store = await openPostgresStore({ url: server.url });
    watch(store);
    await expect.poll(() => listenersOf(server.url)).toHaveLength(1);
    server.suspend();
    let isClosed = false;
    void (async () => {
      await store.close();
      isClosed = true;
    })();
    await expect.poll(() => isClosed).toBe(true);
  });
});
