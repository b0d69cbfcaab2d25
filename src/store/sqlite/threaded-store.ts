import { Worker } from 'node:worker_threads';
import { errorMessage, StoreBusyError } from '../../domain/errors.ts';
import { storeThread } from '../../platform/assets.ts';
import type { OpenStore } from '../../ports/store.ts';
import type { Clock } from '../../ports/system.ts';
import { createCallLists } from './call-list.ts';
import {
  closeDatabase,
  DatabaseError,
  isBusy,
  knownMigrations,
  makeReadOnly,
  type OnMigrate,
  openDatabase,
} from './database.ts';
import {
  call,
  type ReadMethod,
  readsOn,
  toAsync,
  type WriteMethod,
  withFileWatched,
  writesOn,
} from './sqlite-store.ts';
import {
  decodeError,
  encodeError,
  monotonicMs,
  type Reply,
  type Request,
  type ThreadData,
  type WriteReply,
  type WriteRequest,
} from './thread-messages.ts';

/** Clients of a cancel time out after 5 s, which includes LiveKit's response. */
const WRITE_TIMEOUT_MS = 3_000;
const WRITE_TIMEOUTS_MS: Readonly<Partial<Record<WriteMethod, number>>> = {
  // After LiveKit's response to a cancel. The reconciler repeats an attempt that was not settled.
  settleDeletion: 500,
  // Load balancers wait a second or two for /readyz.
  checkWritable: 1_000,
};
/** About as many writes as a slow disk commits in a second. In a longer queue, writes would time out. */
const MAX_UNANSWERED_WRITES = 2_000;
/** Time for the thread to reject an expired write itself. After a longer wait, a commit has stalled. */
const STALL_MARGIN_MS = 50;
/** Never refused: the attempt would be repeated, with more writes. */
const SETTLEMENTS: ReadonlySet<WriteMethod> = new Set(['settleDeletion', 'completeDeletions']);
const READ_RETRY_DELAY_MS = 15;

/** A write without a reply so far. */
interface PendingWrite {
  readonly method: WriteMethod;
  readonly sentAtMs: number;
  readonly timer: NodeJS.Timeout;
  resolve(result: unknown): void;
  reject(error: Error): void;
}

export interface ThreadedStore extends OpenStore {
  close(): Promise<void>;
}

/**
 * Opens the store of a server. This thread reads and another thread writes, so that another process's lock or a stalled
 * disk delays neither reads nor health checks. A write that does not start or end in time rejects with StoreBusyError.
 * @param onLate is called when a write succeeds after it was rejected because it took too long
 * @throws DatabaseError when the file cannot be used
 */
export async function openThreadedStore(
  file: string,
  {
    clock,
    thread = storeThread(),
    onMigrating,
    onLate,
  }: {
    clock: Clock;
    thread?: ReturnType<typeof storeThread>;
    onMigrating: OnMigrate;
    onLate: (method: string, tookMs: number) => void;
  },
): Promise<ThreadedStore> {
  const db = openDatabase(file, onMigrating);
  const lists = createCallLists(db);
  const reads = readsOn(db, lists, clock);
  const workerData: ThreadData = { file, migrations: knownMigrations() };
  const worker = new Worker(thread.entry, { ...thread.options, workerData });
  const pending = new Map<number, PendingWrite>();
  /** Writes that were rejected because they took too long. */
  const rejected = new Map<number, PendingWrite>();
  const send = (request: Request) => worker.postMessage(request);
  let unsent: WriteRequest[] = [];

  try {
    await new Promise<void>((resolve, reject) =>
      worker.once('message', () => resolve()).once('error', reject),
    );
    makeReadOnly(db);
    // At once: the first list must also succeed after the file was removed, like every other read.
    lists.open();
  } catch (error) {
    closeDatabase(db);
    throw new DatabaseError(
      `Cannot use the database ${file}: its thread did not start: ${errorMessage(error)}.`,
    );
  }
  // Without the thread no cancel can be recorded: the process exits, and the supervisor restarts it.
  worker.on('error', (error) => {
    throw error;
  });
  worker.on('message', (reply: Reply) => {
    if (reply !== 'ready') for (const one of reply) finish(one);
  });

  function finish(reply: WriteReply): void {
    const late = rejected.get(reply.id);
    if (late !== undefined) {
      rejected.delete(reply.id);
      if ('result' in reply) onLate(late.method, Math.round(monotonicMs() - late.sentAtMs));
      return;
    }
    const write = pending.get(reply.id);
    if (write === undefined) return;
    pending.delete(reply.id);
    clearTimeout(write.timer);
    if ('result' in reply) write.resolve(reply.result);
    else write.reject(decodeError(reply.error));
  }

  /** Sends the writes of this turn of the event loop in one message. */
  function sendAll(): void {
    const requests = unsent;
    unsent = [];
    try {
      if (requests.length > 0) send(requests);
    } catch {
      // One write that cannot be cloned must not stop the others.
      for (const request of requests) sendAlone(request);
    }
  }

  function sendAlone(request: WriteRequest): void {
    try {
      send([request]);
    } catch (error) {
      finish({ id: request.id, error: encodeError(error) });
    }
  }

  let lastId = 0;
  function write(method: WriteMethod, args: readonly unknown[]): Promise<unknown> {
    const isFull = pending.size + rejected.size >= MAX_UNANSWERED_WRITES;
    if (isFull && !SETTLEMENTS.has(method)) {
      return Promise.reject(new StoreBusyError('too many writes wait for the database'));
    }
    lastId += 1;
    const id = lastId;
    const timeoutMs = WRITE_TIMEOUTS_MS[method] ?? WRITE_TIMEOUT_MS;
    const sentAtMs = monotonicMs();
    return new Promise((resolve, reject) => {
      const giveUp = () => {
        const late = pending.get(id);
        if (late === undefined) return;
        pending.delete(id);
        rejected.set(id, late);
        reject(new StoreBusyError());
      };
      // A reply that arrived while this thread was busy is read first.
      const timer = setTimeout(() => setImmediate(giveUp), timeoutMs + STALL_MARGIN_MS);
      pending.set(id, { method, sentAtMs, timer, resolve, reject });
      if (unsent.length === 0) setImmediate(sendAll);
      unsent.push({ id, method, args, now: clock.now(), expiresAtMs: sentAtMs + timeoutMs });
    });
  }

  /** Reads wait for a lock only while another process repairs the database after a crash, or locks it exclusively. */
  function read(method: ReadMethod, args: readonly unknown[]): Promise<unknown> {
    try {
      return Promise.resolve(call(reads, method, args));
    } catch (error) {
      return isBusy(error) ? readLater(method, args) : Promise.reject(error);
    }
  }

  async function readLater(method: ReadMethod, args: readonly unknown[]): Promise<unknown> {
    const deadlineMs = monotonicMs() + WRITE_TIMEOUT_MS;
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, READ_RETRY_DELAY_MS));
      try {
        return call(reads, method, args);
      } catch (error) {
        if (!isBusy(error)) throw error;
        if (monotonicMs() > deadlineMs) throw new StoreBusyError();
      }
    }
  }

  const keyUsesInFlight = new Map<string, Promise<void>>();
  const writes = toAsync(writesOn(db, clock), write);
  return {
    ...withFileWatched({ ...toAsync(reads, read), ...writes }, file),
    // At most one write in flight for each key: a second write would record nearly the same time.
    recordApiKeyUse(input) {
      const recorded =
        keyUsesInFlight.get(input.id) ??
        writes.recordApiKeyUse(input).finally(() => {
          keyUsesInFlight.delete(input.id);
        });
      keyUsesInFlight.set(input.id, recorded);
      return recorded;
    },
    async close() {
      const ended = new Promise((resolve) => worker.once('exit', resolve));
      sendAll();
      send('close');
      await ended;
      lists.close();
      closeDatabase(db);
    },
  };
}
