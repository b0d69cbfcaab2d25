import { Worker } from 'node:worker_threads';
import { StoreBusyError } from '../../domain/errors.ts';
import { storeThread } from '../../platform/assets.ts';
import {
  closeDatabase,
  DatabaseError,
  isBusy,
  type OnMigrating,
  openDatabase,
  readOnly,
} from './database.ts';
import {
  call,
  readsOn,
  type SqliteStore,
  type WriteMethod,
  type Writes,
  withPlaceWatched,
  wrapped,
  writesOn,
} from './sqlite-store.ts';
import { decodeError, monotonicMs, type Reply, type Request } from './thread-messages.ts';

/** A cancel is answered within 5 s, LiveKit's part included. */
const WAIT_MS = 3_000;
const WAITS_MS: Readonly<Partial<Record<WriteMethod, number>>> = {
  // After LiveKit's part of a cancel; the reconciler makes good one that is not written.
  settleDeletion: 500,
  // Load balancers wait a second or two for /readyz.
  checkWritable: 1_000,
};
/** The thread answers by itself unless its commit stalls. */
const GRACE_MS = 50;
const READ_AGAIN_MS = 15;

interface Pending {
  readonly method: WriteMethod;
  readonly sentAtMs: number;
  readonly timer: NodeJS.Timeout;
  resolve(result: unknown): void;
  reject(error: Error): void;
}

export interface ThreadedStore extends SqliteStore {
  /** Resolves when the writes that wait are done or have failed. */
  close(): Promise<void>;
}

/**
 * The store of a server. This thread reads; a thread of its own writes, so that a lock of another process or a stalled disk
 * holds up neither reads nor health. A write that does not begin, or end, in time rejects with StoreBusyError.
 * @param onLate is called when a write ends that was rejected because it had begun and took too long
 * @throws DatabaseError when the file cannot be used
 */
export async function openThreadedStore(
  file: string,
  {
    thread = storeThread(),
    onMigrating,
    onLate,
  }: {
    thread?: ReturnType<typeof storeThread>;
    onMigrating: OnMigrating;
    onLate: (method: string, tookMs: number) => void;
  },
): Promise<ThreadedStore> {
  const db = openDatabase(file, onMigrating);
  const reads = readsOn(db);
  const worker = new Worker(thread.entry, { ...thread.options, workerData: { file } });
  const pending = new Map<number, Pending>();
  const late = new Map<number, Pending>();
  const send = (request: Request) => worker.postMessage(request);

  try {
    await new Promise<void>((resolve, reject) =>
      worker.once('message', () => resolve()).once('error', reject),
    );
    readOnly(db);
  } catch (error) {
    closeDatabase(db);
    const why = error instanceof Error ? error.message : String(error);
    throw new DatabaseError(`Cannot use the database ${file}: its thread did not start: ${why}.`);
  }
  // Without it no cancel is recorded ever again: the process ends, and is started anew.
  worker.on('error', (error) => {
    throw error;
  });
  worker.on('message', (reply: Reply) => {
    if (reply === 'ready') return;
    const overdue = late.get(reply.id);
    if (overdue !== undefined) {
      late.delete(reply.id);
      if ('result' in reply) onLate(overdue.method, Math.round(monotonicMs() - overdue.sentAtMs));
      return;
    }
    const asked = pending.get(reply.id);
    if (asked === undefined) return;
    pending.delete(reply.id);
    clearTimeout(asked.timer);
    if ('result' in reply) asked.resolve(reply.result);
    else asked.reject(decodeError(reply.error));
  });

  let lastId = 0;
  function write(method: WriteMethod, args: readonly unknown[]): Promise<unknown> {
    lastId += 1;
    const id = lastId;
    const waitMs = WAITS_MS[method] ?? WAIT_MS;
    const sentAtMs = monotonicMs();
    return new Promise((resolve, reject) => {
      const giveUp = () => {
        const asked = pending.get(id);
        if (asked === undefined) return;
        pending.delete(id);
        late.set(id, asked);
        reject(new StoreBusyError());
      };
      // An answer that came while this thread was busy is read first.
      const timer = setTimeout(() => setImmediate(giveUp), waitMs + GRACE_MS);
      pending.set(id, { method, sentAtMs, timer, resolve, reject });
      send({ id, method, args, expiresAtMs: sentAtMs + waitMs });
    });
  }

  /** A read meets a lock only while another process repairs the database after a crash, or takes it for itself. */
  async function read(method: keyof typeof reads, args: readonly unknown[]): Promise<unknown> {
    const giveUpAtMs = monotonicMs() + WAIT_MS;
    for (;;) {
      try {
        return call(reads, method, args);
      } catch (error) {
        if (!isBusy(error)) throw error;
        if (monotonicMs() > giveUpAtMs) throw new StoreBusyError();
        await new Promise((resolve) => setTimeout(resolve, READ_AGAIN_MS));
      }
    }
  }

  const recording = new Map<string, Promise<void>>();
  const writes = wrapped<Writes>(writesOn(db), write);
  return {
    ...withPlaceWatched({ ...wrapped(reads, read), ...writes }, file),
    // A key's requests while one is on its way have nothing to add.
    recordApiKeyUse(input) {
      const recorded =
        recording.get(input.id) ??
        writes.recordApiKeyUse(input).finally(() => {
          recording.delete(input.id);
        });
      recording.set(input.id, recorded);
      return recorded;
    },
    async close() {
      const ended = new Promise((resolve) => worker.once('exit', resolve));
      send('close');
      await ended;
      closeDatabase(db);
    },
  };
}
