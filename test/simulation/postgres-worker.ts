import { type MessagePort, workerData } from 'node:worker_threads';
import pg from 'pg';
import { z } from 'zod';
import { StoreBusyError } from '../../src/domain/errors.ts';
import type { ServerStore } from '../../src/ports/server-store.ts';
import { openPostgresStore } from '../../src/store/postgres/postgres-store.ts';
import type { WorkerRequest, WorkerResponse } from './postgres-database.ts';

/* The thread with the stores of a simulation on Postgres: see postgres-database.ts. */

interface WorkerData {
  readonly url: string;
  readonly port: MessagePort;
  readonly hasAnswered: Int32Array<SharedArrayBuffer>;
}

const { url, port, hasAnswered } = workerData as WorkerData;
const stores = new Map<number, ServerStore>();
const reader = new pg.Client(url);
let hasConnected = false;
/** By the number of the store. */
const clocks = new Map<number, number>();

async function run(request: WorkerRequest): Promise<unknown> {
  switch (request.kind) {
    case 'open': {
      const clock = { now: () => clocks.get(request.store) ?? 0 };
      const store = await openPostgresStore({ url, clock });
      stores.set(request.store, store);
      return Object.keys(store).filter(
        (name) => !['close', 'countConnections', 'createRateLimiter'].includes(name),
      );
    }
    case 'call': {
      clocks.set(request.store, request.now);
      const method = z.function().parse(Reflect.get(stores.get(request.store) ?? {}, request.method));
      return Reflect.apply(method, null, [...request.args]);
    }
    case 'close':
      await stores.get(request.store)?.close();
      stores.delete(request.store);
      return null;
    case 'query': {
      if (!hasConnected) await reader.connect();
      hasConnected = true;
      return (await reader.query(request.sql, [...request.values])).rows;
    }
    case 'end':
      await Promise.all([...stores.values()].map((store) => store.close()));
      await reader.end();
      return null;
  }
}

port.on('message', async (request: WorkerRequest) => {
  let response: WorkerResponse;
  try {
    response = { kind: 'result', value: await run(request) };
  } catch (error) {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    response = { kind: 'error', isBusy: error instanceof StoreBusyError, message };
  }
  port.postMessage(response);
  Atomics.store(hasAnswered, 0, 1);
  Atomics.notify(hasAnswered, 0);
});
