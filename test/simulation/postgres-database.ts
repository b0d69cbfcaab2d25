import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { StoreBusyError } from '../../src/domain/errors.ts';
import type { Clock } from '../../src/ports/system.ts';
import type { LocalStore } from '../../src/store/sqlite/sqlite-store.ts';
import { fastestFolder } from '../harness/fastest-folder.ts';
import { query, startPostgresServer } from '../harness/postgres-server.ts';
import type { DatabaseClock, SimulatedDatabase } from './database.ts';

/*
 * Postgres for a simulation. A thread runs the stores, and this thread blocks until each call has ended, so that a simulation is
 * deterministic and its checks run at each commit. Calls never overlap: `npm run test:fleet` and
 * test/store/postgres-concurrency.test.ts test concurrent transactions.
 */

export type WorkerRequest =
  | { readonly kind: 'open'; readonly store: number }
  | {
      readonly kind: 'call';
      readonly store: number;
      readonly method: string;
      readonly args: readonly unknown[];
      readonly now: number;
    }
  | { readonly kind: 'close'; readonly store: number }
  | { readonly kind: 'query'; readonly sql: string; readonly values: readonly unknown[] }
  | { readonly kind: 'end' };

export type WorkerResponse =
  | { readonly kind: 'result'; readonly value: unknown }
  | { readonly kind: 'error'; readonly isBusy: boolean; readonly message: string };

/** Longer than any call takes. */
const TIMEOUT_MS = 60_000;
let databases = 0;

/** Starts a server, unless TEST_POSTGRES_URL names one. Returns the URL of a new database. */
async function createDatabase(): Promise<{ readonly url: string; remove(): Promise<void> }> {
  databases += 1;
  const given = process.env.TEST_POSTGRES_URL;
  if (given !== undefined) {
    const name = `hangup_simulation_${process.pid}_${databases}`;
    await query(given, `CREATE DATABASE ${name}`);
    const url = new URL(given);
    url.pathname = `/${name}`;
    return {
      url: url.href,
      async remove() {
        await query(given, `DROP DATABASE ${name} WITH (FORCE)`);
      },
    };
  }
  const folder = mkdtempSync(join(fastestFolder(), 'hangup-simulation-'));
  // Postgres runs as another user than root.
  chmodSync(folder, 0o711);
  const server = await startPostgresServer(join(folder, 'postgres'));
  return {
    url: server.url,
    async remove() {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export async function startPostgresDatabase(virtualClock: {
  readonly now: number;
}): Promise<SimulatedDatabase> {
  const { url, remove } = await createDatabase();
  const { port1: port, port2 } = new MessageChannel();
  const hasAnswered = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(new URL('./postgres-worker.ts', import.meta.url), {
    workerData: { url, port: port2, hasAnswered },
    transferList: [port2],
  });
  worker.unref();

  /** Runs a request to its end. @throws the error of the request */
  function run(request: WorkerRequest): unknown {
    port.postMessage(request);
    // The notification of the answer before, which was read without waiting, can end this wait.
    do {
      if (Atomics.wait(hasAnswered, 0, 0, TIMEOUT_MS) === 'timed-out')
        throw new Error('Postgres does not answer');
    } while (Atomics.exchange(hasAnswered, 0, 0) === 0);
    const response = receiveMessageOnPort(port)?.message as WorkerResponse;
    if (response.kind === 'result') return response.value;
    throw response.isBusy ? new StoreBusyError(response.message) : new Error(response.message);
  }

  let stores = 0;
  const clock: DatabaseClock = {
    offsetMs: 0,
    now: () => virtualClock.now + clock.offsetMs,
  };
  return {
    clock,
    openStore: (storeClock) => {
      stores += 1;
      return openStore(run, stores, storeClock);
    },
    query: (sql, values = []) => {
      let parameters = 0;
      const numbered = sql.replaceAll('?', () => {
        parameters += 1;
        return `$${parameters}`;
      });
      return run({ kind: 'query', sql: numbered, values }) as unknown[];
    },
    // The creation times of the calls of a room increase, also when clocks jump.
    creationOrder: 'created_at, id',
    async close() {
      run({ kind: 'end' });
      await worker.terminate();
      await remove();
    },
  };
}

/** Opens a store in the thread. */
function openStore(run: (request: WorkerRequest) => unknown, store: number, clock: Clock): LocalStore {
  const methods = run({ kind: 'open', store }) as readonly string[];
  const call = (method: string, args: readonly unknown[]) => {
    try {
      return Promise.resolve(run({ kind: 'call', store, method, args, now: clock.now() }));
    } catch (error) {
      return Promise.reject(error);
    }
  };
  const entries = methods.map((method) => [method, (...args: unknown[]) => call(method, args)]);
  return { ...Object.fromEntries(entries), close: () => run({ kind: 'close', store }) };
}
