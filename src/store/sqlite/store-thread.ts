import { parentPort, workerData } from 'node:worker_threads';
import { isBusy, openWriter } from './database.ts';
import { call, writesOn } from './sqlite-store.ts';
import { encodeError, monotonicMs, type Reply, type Request } from './thread-messages.ts';
import { createWriteQueue } from './write-queue.ts';

/* The thread with the writing connection. Requests that only read never wait for a commit. */

if (parentPort === null) throw new Error('store-thread.ts runs in a worker thread only');
const port = parentPort;
const { file } = workerData as { file: string };
const db = openWriter(file);
/** The time of the current write, by the main thread's clock, so that an injected clock has effect in this thread too. */
let now = 0;
const writes = writesOn(db, { now: () => now });
const queue = createWriteQueue({
  nowMs: monotonicMs,
  after: (delayMs, run) => setTimeout(run, delayMs),
  isBusy,
});
const reply = (message: Reply) => port.postMessage(message);

port.on('message', (request: Request) => {
  if (request === 'close') {
    void queue.drained().then(() => {
      db.$client.close();
      port.close();
    });
    return;
  }
  const { id, method, args, now: sentAt, expiresAtMs } = request;
  queue.push({
    expiresAtMs,
    run: () => {
      now = sentAt;
      return call(writes, method, args);
    },
    done: (result) => reply({ id, result }),
    failed: (error) => reply({ id, error: encodeError(error) }),
  });
});
reply('ready');
