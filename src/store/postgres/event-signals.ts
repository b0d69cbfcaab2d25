import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from './database.ts';
import { prepareSql } from './session.ts';

/*
 * Signals that events were appended, by LISTEN and NOTIFY. They only make event streams faster: a process that gets none
 * finds the events with its next poll.
 */

const CHANNEL = 'hangup_events';
/** The shortest time between two signals, and between two notifications of a process. */
const INTERVAL_MS = 20;
/** A process that begins to listen gets notifications after this time at the latest. */
const COUNT_INTERVAL_MS = 2_000;
const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;
/** Each process that listens holds this lock in its session: without one, no process sends notifications. */
const LISTENERS = { class: 1_751_215_719, object: 'hashtext(current_database())' };
/** The server may end idle sessions. */
const LISTEN = `SET idle_session_timeout = 0; LISTEN ${CHANNEL};
  SELECT pg_advisory_lock_shared(${LISTENERS.class}, ${LISTENERS.object})`;

const countListeners = prepareSql<{ n: number }>(`
  SELECT count(*) AS n FROM pg_locks
  WHERE locktype = 'advisory' AND granted AND objsubid = 2
    AND classid = ${LISTENERS.class} AND objid = ${LISTENERS.object}::oid`);
const notify = prepareSql(`SELECT pg_notify('${CHANNEL}', $1)`);

/** Nothing is lost without it, so the commit does not wait for the disk or a standby. */
const NOT_DURABLE = 'SET LOCAL synchronous_commit = off';

export interface EventSignals {
  /** Calls `wake` soon after any process appended events, at most once in 20 ms. Some events have no signal. */
  watch(wake: () => void): void;
  /** Ends without a response of the server, which may be unreachable. */
  close(): void;
}

/**
 * Notifies the other processes after commits of this one. Listens from the first watcher on, on a connection of its own,
 * unless a pooler gives each transaction another session.
 * @param onNotListening is called once when the connection fails, until it is replaced
 */
export function createEventSignals(
  db: Database,
  { onNotListening }: { onNotListening: (error: unknown) => void },
): EventSignals {
  const sender = db.random.fraction().toString(36);
  const closing = new AbortController();
  const watchers = new Set<() => void>();
  let isListening = false;
  let hasStarted = false;
  let others = 0;
  let countedAtMs = Number.NEGATIVE_INFINITY;

  const signal = atIntervals(() => {
    for (const wake of watchers) wake();
  });

  const notifyOthers = atIntervals(async () => {
    if (performance.now() - countedAtMs > COUNT_INTERVAL_MS) {
      countedAtMs = performance.now();
      others = ((await countListeners.get(db, []))?.n ?? 0) - (isListening ? 1 : 0);
    }
    if (others <= 0) return;
    await db.connection((connection) =>
      Promise.all([
        connection.begin(undefined, [NOT_DURABLE]),
        notify.run(connection, [sender]),
        connection.commit(),
      ]),
    );
  });

  /** Returns a function that runs at once, or after the interval. Several calls meanwhile are one run. */
  function atIntervals(run: () => void | Promise<void>): () => void {
    let isRunning = false;
    let isRequested = false;
    const runRequests = async () => {
      isRunning = true;
      while (isRequested && !closing.signal.aborted) {
        isRequested = false;
        try {
          await run();
        } catch {
          // The readers poll.
        }
        await delay(INTERVAL_MS, undefined, { ref: false });
      }
      isRunning = false;
    };
    return () => {
      isRequested = true;
      if (!isRunning) void runRequests();
    };
  }

  db.onAppended(() => {
    signal();
    notifyOthers();
  });

  /** Listens until the connection ends. @throws the cause of the end */
  async function listenOnce(onListening: () => void): Promise<void> {
    const client = db.createClient();
    if (client === null) return;
    let failure: unknown = new Error('the connection ended');
    const ended = new Promise<void>((resolve) => client.once('end', resolve));
    client.on('error', (error) => {
      failure = error;
    });
    const end = () => void client.end();
    closing.signal.addEventListener('abort', end, { once: true });
    try {
      await client.connect();
      client.on('notification', ({ payload }) => {
        if (payload !== sender) signal();
      });
      await client.query(LISTEN);
      isListening = true;
      onListening();
      await ended;
    } finally {
      isListening = false;
      closing.signal.removeEventListener('abort', end);
      end();
    }
    throw failure;
  }

  async function listen(): Promise<void> {
    let retryMs = FIRST_RETRY_MS;
    let isReported = false;
    while (!closing.signal.aborted) {
      try {
        return await listenOnce(() => {
          retryMs = FIRST_RETRY_MS;
          isReported = false;
        });
      } catch (error) {
        if (closing.signal.aborted) return;
        if (!isReported) onNotListening(error);
        isReported = true;
        await delay(retryMs, undefined, { ref: false, signal: closing.signal }).catch(() => {});
        retryMs = Math.min(2 * retryMs, MAX_RETRY_MS);
      }
    }
  }

  return {
    watch(wake) {
      watchers.add(wake);
      if (!hasStarted) void listen();
      hasStarted = true;
    },
    close: () => closing.abort(),
  };
}
