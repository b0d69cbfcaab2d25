import { setTimeout as delay } from 'node:timers/promises';
import { StoreBusyError } from '../../domain/errors.ts';
import type { Timestamp } from '../../domain/time.ts';
import { appendEvents, type NewAuditEvent } from './audit.ts';
import type { Connection, Connections, Database } from './database.ts';
import { isConflict, isConnectionLost, TransactionConflict } from './errors.ts';
import { type Lock, takeLocks } from './locks.ts';
import { SNAPSHOT } from './read-transaction.ts';
import { prepareSql, type Session } from './session.ts';

/*
 * Transactions that write. READ COMMITTED: each statement sees everything that was committed before it started, so also
 * before the locks were granted. Nothing else may append to the audit log.
 */

const MAX_ATTEMPTS = 6;
/** The longest pause before the second attempt. Each further pause is up to twice as long. */
const FIRST_PAUSE_MS = 5;

export interface Transaction extends Session {
  /** The time by the store's clock, after the locks were granted. */
  readonly now: Timestamp;
  /** Appends an event to the audit log at the end of the transaction, in the order of the calls. */
  appendAudit(event: NewAuditEvent): void;
}

const readClock = prepareSql<{ now: Timestamp }>(
  'SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now',
);

/**
 * Runs work in a transaction that first takes the locks, and returns its result after the commit. An error undoes the work.
 * After a deadlock, a serialization failure, a row that another transaction inserted first, or a lost connection, the work
 * runs again: it must change nothing outside of the transaction.
 * @throws StoreBusyError when the database cannot be used, or when the outcome of the commit is unknown
 */
export function transaction<T>(
  db: Database,
  work: (tx: Transaction) => Promise<T>,
  {
    locks = [],
    timeoutMs,
    connections = db,
  }: {
    locks?: readonly Lock[];
    /** The longest time of one statement, if not the default. */
    timeoutMs?: number;
    connections?: Connections;
  } = {},
): Promise<T> {
  return withRetries(db, () =>
    connections.connection(async (connection) => {
      const now = await beginLocked(db, connection, { locks, timeoutMs });
      return commitAfter(db, connection, now, work);
    }),
  );
}

/** What a decision writes. */
export interface Plan<T> {
  readonly result: T;
  /** Starts the statements, without waiting between them. */
  write(session: Session): readonly Promise<unknown>[];
  readonly events: readonly NewAuditEvent[];
}

/**
 * Runs a transaction in two round trips: the first takes locks and loads rows, the second writes what was decided on them.
 * Runs again like {@link transaction}.
 * @param load takes locks and then loads rows, without waiting between its statements
 * @param decide may throw TransactionConflict when the locks do not cover the rows
 */
export function decideInTransaction<Loaded, T>(
  db: Database,
  connections: Connections,
  load: (session: Session) => Promise<Loaded>,
  decide: (loaded: Loaded, now: Timestamp) => Plan<T>,
): Promise<T> {
  return withRetries(db, () =>
    connections.connection(async (connection) => {
      try {
        const [, loaded, now] = await Promise.all([
          connection.begin(),
          load(connection),
          readNow(db, connection),
        ]);
        const { result, write, events } = decide(loaded, now);
        await finish(db, connection, write(connection), events);
        return result;
      } catch (error) {
        await connection.rollback();
        throw error;
      }
    }),
  );
}

/**
 * Runs reads on one snapshot of the database, without locks.
 * @param read starts its statements without waiting between them
 */
export function readSnapshot<T>(
  db: Database,
  read: (session: Session) => Promise<T>,
): Promise<{ readonly rows: T; readonly now: Timestamp }> {
  return withRetries(db, () =>
    db.connection(async (connection) => {
      try {
        const [, rows, now] = await Promise.all([
          connection.begin(undefined, [SNAPSHOT]),
          read(connection),
          readNow(db, connection),
          connection.commit(),
        ]);
        return { rows, now };
      } catch (error) {
        await connection.rollback();
        throw error;
      }
    }),
  );
}

async function readNow({ clock }: Database, session: Session): Promise<Timestamp> {
  if (clock !== null) return clock.now();
  const row = await readClock.get(session);
  if (row === undefined) throw new Error('the clock has no time');
  return row.now;
}

/** Begins a transaction, takes the locks and returns the time after that, all in one round trip. */
async function beginLocked(
  db: Database,
  connection: Connection,
  { locks, timeoutMs }: { locks: readonly Lock[]; timeoutMs: number | undefined },
): Promise<Timestamp> {
  try {
    const [, , now] = await Promise.all([
      connection.begin(timeoutMs),
      takeLocks(connection, locks),
      readNow(db, connection),
    ]);
    return now;
  } catch (error) {
    await connection.rollback();
    throw error;
  }
}

/** Runs work in the transaction that the connection has begun, writes its audit events and commits. */
async function commitAfter<T>(
  db: Database,
  connection: Connection,
  now: Timestamp,
  work: (tx: Transaction) => Promise<T>,
): Promise<T> {
  const events: NewAuditEvent[] = [];
  const tx: Transaction = {
    now,
    execute: connection.execute,
    appendAudit: (event) => events.push(event),
  };
  try {
    const result = await work(tx);
    await finish(db, connection, [], events);
    return result;
  } catch (error) {
    await connection.rollback();
    throw error;
  }
}

/**
 * Waits for statements that were started, appends the events and commits, in one round trip. An error of the commit alone
 * can leave the outcome unknown.
 */
async function finish(
  db: Database,
  connection: Connection,
  started: readonly Promise<unknown>[],
  events: readonly NewAuditEvent[],
): Promise<void> {
  const ends = await Promise.allSettled([...started, appendEvents(connection, events), connection.commit()]);
  const committed = ends.at(-1);
  if (committed?.status !== 'rejected') {
    if (events.length > 0) db.appended();
    return;
  }
  // After a failed statement Postgres rolls back, whatever happens to the connection afterwards.
  const failed = ends.find((end) => end.status === 'rejected');
  const isUndone = failed !== undefined && failed !== committed && !isConnectionLost(failed.reason);
  throw isUndone ? failed.reason : committed.reason;
}

const toBusy = (error: Error) => new StoreBusyError(error.message, { cause: error });

/** Runs an attempt again while another transaction is the cause of its failure. */
async function withRetries<T>(db: Database, attempt: () => Promise<T>): Promise<T> {
  for (let number = 1; ; number += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!(isConflict(error) || isConnectionLost(error))) throw error;
      if (number === MAX_ATTEMPTS) throw error instanceof TransactionConflict ? toBusy(error) : error;
      await delay(db.random.fraction() * FIRST_PAUSE_MS * 2 ** number);
    }
  }
}
