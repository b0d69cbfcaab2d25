import { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { errorCode, StoreBusyError } from '../../domain/errors.ts';
import { systemRandom } from '../../platform/clock.ts';
import { describeDatabase } from '../../platform/database-address.ts';
import type { Host } from '../../platform/postgres-url.ts';
import type { ConnectionCounts } from '../../ports/diagnostics.ts';
import type { Clock, Random } from '../../ports/system.ts';
import { incompleteCopyError } from '../copy/copy-mark.ts';
import type { OnMigrate, OnWait } from '../database-error.ts';
import { checkServer } from './check-server.ts';
import { type ConnectionUrl, parseConnectionUrl } from './connection-url.ts';
import {
  isConflict,
  isOfPreparedStatement,
  isOfStandby,
  isRefusal,
  refusesSettings,
  toConnectError,
  toOpenError,
  toRefusal,
  toStandbyError,
  toStoreError,
} from './errors.ts';
import { isIncompleteCopy, migrate } from './migrations.ts';
import { isConnectionLimit, limitPool, type PoolLimit } from './pool-limit.ts';
import { type Result, type Session, type Statement, toStoredText, type Value } from './session.ts';
import { localSettings, SESSION_OPTIONS, STATEMENT_TIMEOUT_MS } from './session-settings.ts';

/** Longer than the server's bound: the server's error is clearer, and keeps the connection. */
const RESPONSE_MARGIN_MS = 500;
const CONNECT_TIMEOUT_MS = 1_500;
const CONNECT_PAUSE_MS = 20;
const OPEN_TIMEOUT_MS = 30_000;
const MAX_WAITING = 1_000;
/** Connections of the write lanes: one for changes of calls, one for settled deletions. */
const LANE_SIZE = 2;
/** After this time a connection is replaced, so that changed settings of the server take effect. */
const MAX_LIFETIME_S = 600;
const INT8 = 20;

/** One connection, for the statements of one transaction at a time. */
export interface Connection extends Session {
  /**
   * Begins a transaction. Statements that follow without waiting travel in the same packet.
   * @param settings SQL that sets settings of the transaction
   */
  begin(timeoutMs?: number, settings?: readonly string[]): Promise<void>;
  /** @throws StoreBusyError when the outcome is unknown, or when the transaction had failed before */
  commit(): Promise<void>;
  rollback(): Promise<void>;
}

export interface Connections {
  /** Runs work on a connection that no other work uses meanwhile. @throws StoreBusyError when none is available in time */
  connection<T>(work: (connection: Connection) => Promise<T>): Promise<T>;
}

/** A pool of connections. As a session, each statement is a transaction of its own. */
export interface Database extends Session, Connections {
  /**
   * Runs statements on one connection.
   * @param work starts its statements without waiting between them
   */
  read<T>(work: (session: Session) => Promise<T>): Promise<T>;
  /** The connections that only the write lanes use, so that reads never delay a cancel. */
  readonly lane: Connections;
  /** Null: the clock of the database. */
  readonly clock: Clock | null;
  readonly random: Pick<Random, 'fraction'>;
  /** Counts all connections, those of the lane included. */
  countConnections(): ConnectionCounts;
  /** Returns a connection outside of the pools, for the caller to open and to end; null: a pooler shares the sessions. */
  createClient(): pg.Client | null;
  /** Runs a function after each commit that appended events. */
  onAppended(run: () => void): void;
  /** Call this after a commit that appended events. */
  appended(): void;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  readonly url: string;
  /** In tests, instead of the clock of the database. */
  readonly clock?: Clock | undefined;
  readonly random?: Pick<Random, 'fraction'> | undefined;
  readonly onMigrating?: OnMigrate | undefined;
  readonly onWaiting?: OnWait | undefined;
}

/**
 * Connects to a database, after migrating the schema and checking that writes are durable. Waits 30 s for a server that starts.
 * @throws DatabaseError
 */
export async function openDatabase({
  onMigrating = () => {},
  ...options
}: DatabaseOptions): Promise<Database> {
  const db = await connectDatabase(options);
  try {
    await migrate(db, onMigrating);
    if (await isIncompleteCopy(db)) {
      throw incompleteCopyError(describeDatabase({ kind: 'postgres', url: options.url }));
    }
    return db;
  } catch (error) {
    await db.close();
    throw toOpenError(error);
  }
}

/**
 * Connects to a database, which can have another schema, or none. Changes nothing.
 * @param waitMs for a server that starts or fails over
 * @throws DatabaseError
 */
export async function connectDatabase({
  url,
  clock,
  random = systemRandom,
  waitMs = OPEN_TIMEOUT_MS,
  onWaiting = () => {},
}: Omit<DatabaseOptions, 'onMigrating'> & { readonly waitMs?: number }): Promise<Database> {
  const target = createTarget(parseConnectionUrl(url));
  const pool = openPool(target, target.url.poolSize);
  const lane = openPool(target, LANE_SIZE, pool.giveUp);
  const listeners = new Set<() => void>();
  const db: Database = {
    ...pool,
    lane,
    clock: clock ?? null,
    random,
    countConnections: () => addCounts(pool.countConnections(), lane.countConnections()),
    createClient: () =>
      target.isPooled
        ? null
        : new pg.Client({ ...clientConfig(target), connectionTimeoutMillis: CONNECT_TIMEOUT_MS }),
    onAppended: (run) => void listeners.add(run),
    appended() {
      for (const run of listeners) run();
    },
    async close() {
      await Promise.all([pool.close(), lane.close()]);
      // A server that does not respond closes no connection. The process ends without it.
      for (const socket of target.sockets) socket.unref();
    },
  };
  try {
    await connectAtStart(db, waitMs, onWaiting);
    return db;
  } catch (error) {
    await db.close();
    throw toOpenError(error);
  }
}

function addCounts(one: ConnectionCounts, other: ConnectionCounts): ConnectionCounts {
  return {
    max: one.max + other.max,
    open: one.open + other.open,
    inUse: one.inUse + other.inUse,
    waiting: one.waiting + other.waiting,
  };
}

/** A wrong password or database name fails at once. A server that starts or fails over gets time. */
async function connectAtStart(db: Connections, waitMs: number, onWaiting: OnWait): Promise<void> {
  const deadline = performance.now() + waitMs;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await db.connection(async () => {});
    } catch (error) {
      if (error instanceof Error && isRefusal(error.cause)) throw toRefusal(error.cause);
      if (!(error instanceof StoreBusyError) || performance.now() > deadline) throw error;
      if (attempt === 1) onWaiting(error.message);
      await delay(100);
    }
  }
}

/** The server that connections go to. */
interface Target {
  readonly url: ConnectionUrl;
  current(): Host;
  /** Continues with the next host, unless another connection has done so already. */
  leave(host: Host): void;
  /** True: a pooler refuses settings of a session, so each transaction sets its own. */
  isPooled: boolean;
  /** False: set, or a pooler gives the transactions of a connection sessions that do not have its prepared statements. */
  hasPreparedStatements: boolean;
  /** Of all connections. */
  readonly sockets: Set<Socket>;
}

function createTarget(url: ConnectionUrl): Target {
  let index = 0;
  const current = () => url.hosts[index] ?? url.hosts[0];
  return {
    url,
    current,
    leave(host) {
      if (current() === host) index = (index + 1) % url.hosts.length;
    },
    isPooled: false,
    hasPreparedStatements: url.hasPreparedStatements,
    sockets: new Set(),
  };
}

const types = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === INT8 ? Number : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
};

type Pool = Pick<Database, 'execute' | 'connection' | 'read' | 'countConnections' | 'close'>;

function openPool(
  target: Target,
  max: number,
  onStarved?: () => Promise<void>,
): Pool & Pick<PoolLimit, 'giveUp'> {
  const { url } = target;
  /** What each connection found at its start. */
  const found = new WeakMap<pg.ClientBase, { readonly host: Host; readonly isWeaklyDurable: boolean }>();

  class HostClient extends pg.Client {
    readonly target = target.current();

    constructor() {
      super(clientConfig(target));
    }
  }

  const pool = new pg.Pool({
    Client: HostClient,
    max,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    idleTimeoutMillis: 60_000,
    maxLifetimeSeconds: MAX_LIFETIME_S,
    async onConnect(client) {
      // The event of a lost connection, which the next statement reports.
      client.on('error', () => {});
      const host = client instanceof HostClient ? client.target : target.current();
      const { isWeaklyDurable, hasSessionSettings } = await checkServer(client);
      found.set(client, { host, isWeaklyDurable });
      if (!target.isPooled && !hasSessionSettings) target.isPooled = true;
    },
  });
  pool.on('error', () => {});
  const limit = limitPool(pool, onStarved);

  async function acquire(): Promise<pg.PoolClient> {
    if (pool.waitingCount >= MAX_WAITING) {
      throw new StoreBusyError('too many requests wait for a connection to the database');
    }
    const deadline = performance.now() + CONNECT_TIMEOUT_MS;
    for (let attempt = 1; ; attempt += 1) {
      const host = target.current();
      try {
        return await pool.connect();
      } catch (error) {
        if (refusesSettings(error) && !target.isPooled) {
          target.isPooled = true;
          continue;
        }
        if (isConnectionLimit(error) && performance.now() < deadline) {
          await limit.onRefused();
          continue;
        }
        target.leave(host);
        if (attempt >= url.hosts.length || performance.now() > deadline) throw toConnectError(error);
        await delay(CONNECT_PAUSE_MS);
      }
    }
  }

  async function connection<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    const client = await acquire();
    const facts = found.get(client);
    let isBroken = false;
    /** The first error of the transaction. Postgres refuses the statements after it, for a reason that shows no cause. */
    let failure: unknown = null;
    const query = async (config: pg.QueryConfig & { query_timeout?: number }) => {
      try {
        return await client.query(config);
      } catch (error) {
        const isStandby = isOfStandby(error, { isBegin: config.text.startsWith(BEGIN) });
        if (isStandby || !(error instanceof pg.DatabaseError)) isBroken = true;
        if (facts !== undefined && isStandby) target.leave(facts.host);
        if (isOfPreparedStatement(error)) {
          target.hasPreparedStatements = false;
          isBroken = true;
        }
        if (errorCode(error) !== ABORTED) failure ??= isStandby ? toStandbyError(error) : toStoreError(error);
        throw failure ?? toStoreError(error);
      }
    };
    let timeoutMs = STATEMENT_TIMEOUT_MS;
    const control = (text: string) => query({ text, query_timeout: timeoutMs + RESPONSE_MARGIN_MS });
    try {
      return await work({
        async execute({ name, text }: Statement, values: readonly Value[]): Promise<Result> {
          const { rows, rowCount } = await query({
            ...(target.hasPreparedStatements && { name }),
            text,
            values: values.map(toStored),
            query_timeout: timeoutMs + RESPONSE_MARGIN_MS,
          });
          return { rows, count: rowCount ?? 0 };
        },
        async begin(limitMs = STATEMENT_TIMEOUT_MS, ownSettings = []) {
          timeoutMs = limitMs;
          const settings = [
            ...(target.isPooled || limitMs !== STATEMENT_TIMEOUT_MS ? localSettings(limitMs) : []),
            ...(facts?.isWeaklyDurable ? ['SET LOCAL synchronous_commit = on'] : []),
            ...ownSettings,
          ];
          await control([BEGIN, ...settings].join('; '));
        },
        async commit() {
          const { command } = await control('COMMIT').catch((error: unknown) => {
            // Without a cause: nothing may run again. The commit can have taken place.
            throw isConflict(error) ? error : new StoreBusyError('the outcome of a commit is unknown');
          });
          // Postgres answers COMMIT with ROLLBACK when a statement of the transaction had failed.
          if (command !== 'COMMIT') throw failure ?? new StoreBusyError('the database rolled back');
        },
        async rollback() {
          timeoutMs = STATEMENT_TIMEOUT_MS;
          await control('ROLLBACK').catch(() => {
            isBroken = true;
          });
          failure = null;
        },
      });
    } finally {
      client.release(isBroken);
    }
  }

  const read: Pool['read'] = (work) =>
    connection(async (one) => {
      if (!target.isPooled) return work(one);
      // Through a pooler, only a transaction bounds the time of a statement.
      const [, result] = await Promise.all([one.begin(), work(one), one.commit()]);
      return result;
    });

  return {
    connection,
    read,
    execute: (statement, values) => read((session) => session.execute(statement, values)),
    countConnections: () => ({
      max,
      open: pool.totalCount,
      inUse: pool.totalCount - pool.idleCount,
      waiting: pool.waitingCount,
    }),
    giveUp: limit.giveUp,
    close: () => pool.end(),
  };
}

function toStored(value: Value): unknown {
  if (typeof value === 'string') return toStoredText(value);
  return Array.isArray(value) ? value.map(toStored) : value;
}

const BEGIN = 'BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE';
const ABORTED = '25P02';

function clientConfig(target: Target): pg.ClientConfig & { pipeline: boolean } {
  const { url, isPooled, sockets } = target;
  const { host, port } = target.current();
  const { user, password, database, ssl, applicationName } = url;
  return {
    host,
    port,
    user,
    password,
    database,
    ssl,
    application_name: applicationName,
    keepAlive: true,
    // Of the check of a new connection, which a busy server delays. All other statements have bounds of their own.
    query_timeout: STATEMENT_TIMEOUT_MS,
    pipeline: true,
    types,
    stream() {
      const socket = new Socket();
      sockets.add(socket);
      return socket.once('close', () => sockets.delete(socket));
    },
    ...(!isPooled && { options: SESSION_OPTIONS }),
  };
}
