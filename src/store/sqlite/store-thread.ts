import { parentPort, workerData } from 'node:worker_threads';
import { isBusy, openWriter } from './database.ts';
import { call, writesOn } from './sqlite-store.ts';
import { encodeError, monotonicMs, type Reply, type Request } from './thread-messages.ts';
import { createWriteQueue } from './write-queue.ts';

/* The thread that owns the connection that writes: what a commit waits for, no request of another kind waits for. */

if (parentPort === null) throw new Error('this is the code of a thread');
const port = parentPort;
const { file } = workerData as { file: string };
const db = openWriter(file);
const writes = writesOn(db);
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
  const { id, method, args, expiresAtMs } = request;
  queue.push({
    expiresAtMs,
    run: () => call(writes, method, args),
    done: (result) => reply({ id, result }),
    failed: (error) => reply({ id, error: encodeError(error) }),
  });
});
reply('ready');
