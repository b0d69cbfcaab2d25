import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { isBusy, openWriter, setKnownMigrations } from './database.ts';
import { call, findUnchanged, sharesCommit, writesOn } from './sqlite-store.ts';
import {
  encodeError,
  monotonicMs,
  type Reply,
  type Request,
  type ThreadData,
  type WriteRequest,
} from './thread-messages.ts';
import { sharedTransaction } from './transaction.ts';
import { createWriteQueue, type Outcome, type Write } from './write-queue.ts';

/* The thread with the writing connection. Requests that only read never wait for a commit. */

if (parentPort === null) throw new Error('store-thread.ts runs in a worker thread only');
const port = parentPort;
const { file, migrations } = workerData as ThreadData;
setKnownMigrations(migrations);
const db = openWriter(file);
/** The time of the current write, by the main thread's clock, so that an injected clock has effect in this thread too. */
let now = 0;
const writes = writesOn(db, { now: () => now });
const queue = createWriteQueue<QueuedWrite>({
  nowMs: monotonicMs,
  after: (delayMs, run) => setTimeout(run, delayMs),
  isBusy,
  transaction: sharedTransaction(db),
  receive() {
    const received: WriteRequest[] = [];
    for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
      received.push(...requestsIn(next.message));
    }
    return withoutUnchanged(received).map(toWrite);
  },
  reply: (outcomes) => send(outcomes.map(toReply)),
});
const send = (message: Reply) => port.postMessage(message);

interface QueuedWrite extends Write {
  readonly id: number;
}

function toWrite({ id, method, args, now: sentAt, expiresAtMs }: WriteRequest): QueuedWrite {
  const run = () => {
    now = sentAt;
    return call(writes, method, args);
  };
  return { id, expiresAtMs, isAlone: !sharesCommit(method), run };
}

const toReply = (outcome: Outcome<QueuedWrite>) =>
  'result' in outcome
    ? { id: outcome.write.id, result: outcome.result }
    : { id: outcome.write.id, error: encodeError(outcome.error) };

/** Replies to the writes that change nothing, which need no lock, and returns the other writes. */
function withoutUnchanged(requests: readonly WriteRequest[]): WriteRequest[] {
  return requests.filter(({ id, method, args, now: sentAt }) => {
    try {
      const result = findUnchanged(db, { method, args, now: sentAt });
      if (result !== null) send([{ id, result }]);
      return result === null;
    } catch {
      // The queue repeats the read, and waits for a lock or replies with the error.
      return true;
    }
  });
}

function requestsIn(message: Request): readonly WriteRequest[] {
  if (message !== 'close') return message;
  void queue.drained().then(() => {
    db.$client.close();
    port.close();
  });
  return [];
}

port.on('message', (message: Request) => {
  queue.push(withoutUnchanged(requestsIn(message)).map(toWrite));
});
send('ready');
