import pg from 'pg';
import { errorMessage, StoreBusyError } from '../../domain/errors.ts';
import { describeDatabase } from '../../platform/database-address.ts';
import { COPY_TABLE, incompleteCopyError } from '../copy/copy-mark.ts';
import type { CopySource, CopyState, CopyTarget } from '../copy/endpoint.ts';
import { COPY_TABLES, type CopyRow, type CopyTable, describeRow, keyColumns } from '../copy/tables.ts';
import { DatabaseError, type OnMigrate } from '../database-error.ts';
import { type Connection, type Connections, connectDatabase, type Database } from './database.ts';
import { isIncompleteCopy, migrate, readSchemaVersion } from './migrations.ts';
import { prepareSql, type Session, type Value } from './session.ts';

/** A read of all rows of a large table takes minutes. */
const STATEMENT_TIMEOUT_MS = 3_600_000;
/** Longer than the time after which Postgres ends an autovacuum that another lock waits for. */
const LOCK_TIMEOUT = "SET LOCAL lock_timeout = '3s'";
const NO_IDLE_TIMEOUT = 'SET LOCAL idle_in_transaction_session_timeout = 0';

const countMembers = prepareSql<{ members: number }>(`
  SELECT count(*) AS members FROM fleet_members WHERE expires_at > extract(epoch FROM clock_timestamp()) * 1000`);
/** No process of the fleet can write while these locks are held. */
const lockSource = prepareSql(
  `LOCK TABLE fleet_members, audit_position, ${COPY_TABLES.map(({ name }) => name).join(', ')} IN EXCLUSIVE MODE`,
);
/** No process can join the fleet, and no other copy can begin, while this lock is held. */
const lockTarget = prepareSql('LOCK TABLE fleet_members IN EXCLUSIVE MODE');
const readPosition = prepareSql<{ last: number }>('SELECT last FROM audit_position');
const setPosition = prepareSql('UPDATE audit_position SET last = $1');
const readMark = prepareSql<{ state: string }>(`SELECT state FROM ${COPY_TABLE}`);
const createMark = prepareSql(`CREATE TABLE ${COPY_TABLE} (state text NOT NULL)`);
const insertMark = prepareSql(`INSERT INTO ${COPY_TABLE} (state) VALUES ($1)`);
const updateMark = prepareSql(`UPDATE ${COPY_TABLE} SET state = $1`);
const dropMark = prepareSql(`DROP TABLE ${COPY_TABLE}`);
/** Until the first analysis, Postgres would choose plans for empty tables. */
const analyze = prepareSql(`ANALYZE ${COPY_TABLES.map(({ name }) => name).join(', ')}, scheduled_days`);

/** Opens a database to copy its rows. No process can write into it meanwhile. @throws DatabaseError */
export async function openCopySource(url: string): Promise<CopySource> {
  const db = await connectDatabase({ url });
  const name = nameOf(url);
  return openHeld(db, name, async () => {
    await assertCurrent(db, name);
    if (await isIncompleteCopy(db)) throw incompleteCopyError(name);
    const held = await hold(db, { name, lock: lockSource });
    return readsOf(held, name, db);
  });
}

/** Opens a database to copy rows into it, after creating the tables if absent. @throws DatabaseError */
export async function openCopyTarget(url: string, onMigrating: OnMigrate): Promise<CopyTarget> {
  const db = await connectDatabase({ url });
  const name = nameOf(url);
  return openHeld(db, name, async () => {
    if ((await readSchemaVersion(db)) === 'uninitialized') await migrate(db, onMigrating);
    await assertCurrent(db, name);
    const held = await hold(db, { name, lock: lockTarget });
    return { ...readsOf(held, name, db), ...writesOf(db, held, name) };
  });
}

async function openHeld<T>(db: Database, name: string, open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    await db.close();
    throw toCopyError(error, name);
  }
}

const nameOf = (url: string) => describeDatabase({ kind: 'postgres', url });

function toCopyError(error: unknown, name: string): unknown {
  if (error instanceof StoreBusyError || error instanceof pg.DatabaseError) {
    return new DatabaseError(
      `Cannot use ${name}: ${errorMessage(error)}. Start the same command again to continue.`,
    );
  }
  return error;
}

async function assertCurrent(db: Session, name: string): Promise<void> {
  const version = await readSchemaVersion(db);
  if (version === 'current') return;
  if (version === 'uninitialized') throw new DatabaseError(`${name} has no tables of hangup.`);
  throw new DatabaseError(
    version === 'behind'
      ? `${name} belongs to an older version of hangup. Run \`hangup migrate\` with it as DATABASE_URL.`
      : `${name} belongs to a newer version of hangup. Use that version.`,
  );
}

interface Held {
  readonly connection: Connection;
  release(): Promise<void>;
}

/** Takes a lock, which a transaction holds until the release: a pooler can give each transaction another session. */
async function hold(db: Database, { name, lock }: { name: string; lock: typeof lockTarget }): Promise<Held> {
  await assertNoMembers(db, name);
  const opened = Promise.withResolvers<Connection>();
  const released = Promise.withResolvers<void>();
  // On the lane: a pool of one connection remains free for the writes.
  const held = db.lane.connection(async (connection) => {
    await connection.begin(STATEMENT_TIMEOUT_MS, [LOCK_TIMEOUT, NO_IDLE_TIMEOUT]);
    await lock.run(connection, []).catch((error: unknown) => {
      throw new DatabaseError(
        `${name} is in use by another program: ${errorMessage(error)}. Stop the program, then start the copy again.`,
      );
    });
    await assertNoMembers(connection, name);
    opened.resolve(connection);
    await released.promise;
    await connection.rollback();
  });
  held.catch(opened.reject);
  const connection = await opened.promise;
  return {
    connection,
    async release() {
      released.resolve();
      await held;
    },
  };
}

async function assertNoMembers(session: Session, name: string): Promise<void> {
  const { members = 0 } = (await countMembers.get(session, [])) ?? {};
  if (members === 0) return;
  throw new DatabaseError(
    `A running hangup serves ${name}. Stop every hangup of this database, then start the copy again. A killed hangup counts as running for 8 s.`,
  );
}

function readsOf({ connection, release }: Held, name: string, db: Database): CopySource {
  const session: Session = {
    execute: (statement, values) =>
      connection.execute(statement, values).catch((error: unknown) => {
        throw toCopyError(error, name);
      }),
  };
  return {
    name,
    lastPosition: async () => (await readPosition.get(session, []))?.last ?? 0,
    async countRows(table) {
      const count = prepareSql<{ rows: number }>(`SELECT count(*) AS rows FROM ${table.name}`);
      return (await count.get(session, []))?.rows ?? 0;
    },
    async readRows(table, after, limit) {
      const read = prepareSql<Record<string, CopyRow[number]>>(readSql(table, after !== null));
      const rows = await read.all(session, [...(after ?? []), limit]);
      return rows.map((row) => table.columns.map((column) => row[column.name] ?? null));
    },
    async close() {
      await release();
      await db.close();
    },
  };
}

function readSql(table: CopyTable, isAfter: boolean): string {
  const columns = table.columns.map(({ name, type }) =>
    type === 'json' ? `"${name}"::text AS "${name}"` : `"${name}"`,
  );
  const key = keyColumns(table);
  const types = table.key.map((position) => table.columns[position]?.type);
  const bound = `WHERE (${key.join(', ')}) > (${types.map((type, index) => `$${index + 1}::${type}`).join(', ')})`;
  return `SELECT ${columns.join(', ')} FROM ${table.name} ${isAfter ? bound : ''}
    ORDER BY ${key.join(', ')} LIMIT $${isAfter ? key.length + 1 : 1}`;
}

function writesOf(db: Database, held: Held, name: string): Omit<CopyTarget, keyof CopySource> {
  const named = async <T>(work: Promise<T>) => {
    try {
      return await work;
    } catch (error) {
      throw toCopyError(error, name);
    }
  };
  return {
    async readState() {
      if (!(await named(isIncompleteCopy(db)))) return null;
      const mark = await named(readMark.get(db, []));
      return JSON.parse(mark?.state ?? 'null') as CopyState | null;
    },
    begin: (state) =>
      named(
        writeTransaction(db, async (connection) => {
          await createMark.run(connection, []);
          await insertMark.run(connection, [JSON.stringify(state)]);
        }),
      ),
    async writeRows(table, rows, state) {
      assertNoNul(table, rows);
      const write = async (connection: Connection) => {
        await insert(connection, table, rows);
        await updateMark.run(connection, [JSON.stringify(state)]);
      };
      const written = writeTransaction(db, write).catch(async (error: unknown) => {
        throw error instanceof pg.DatabaseError ? ((await findRefusedRow(db, table, rows)) ?? error) : error;
      });
      await named(written);
    },
    async complete({ position }) {
      const finish = async ({ connection }: Held) => {
        await analyze.run(connection, []);
        await setPosition.run(connection, [position]);
        await dropMark.run(connection, []);
        await connection.commit();
      };
      await named(finish(held));
    },
  };
}

/** Not durable: the commit that completes the copy makes all earlier commits durable too. */
function writeTransaction(db: Connections, work: (connection: Connection) => Promise<void>): Promise<void> {
  return db.connection(async (connection) => {
    try {
      await connection.begin(STATEMENT_TIMEOUT_MS, ['SET LOCAL synchronous_commit = off']);
      await work(connection);
      await connection.commit();
    } catch (error) {
      await connection.rollback();
      throw error;
    }
  });
}

/** Postgres has no text with a NUL character. In JSON, the escape of a NUL is allowed. */
function assertNoNul(table: CopyTable, rows: readonly CopyRow[]): void {
  for (const row of rows) {
    const position = row.findIndex((value) => typeof value === 'string' && value.includes('\0'));
    if (position === -1) continue;
    throw new DatabaseError(
      `Postgres cannot store ${describeRow(table, row)}: ${table.columns[position]?.name} contains a NUL character. Replace the character in the source, then start the copy again.`,
    );
  }
}

async function insert(session: Session, table: CopyTable, rows: readonly CopyRow[]): Promise<void> {
  const names = table.columns.map(({ name }) => `"${name}"`).join(', ');
  const lists = table.columns.map(({ type }, index) => `$${index + 1}::${type}[]`).join(', ');
  const statement = prepareSql(`INSERT INTO ${table.name} (${names}) SELECT * FROM unnest(${lists})`);
  const values: Value[] = table.columns.map((_, index) => rows.map((row) => row[index] ?? null));
  await statement.run(session, values);
}

/** Inserts each row of a refused batch alone, without a commit. Returns the error of the first refused row. */
async function findRefusedRow(
  db: Connections,
  table: CopyTable,
  rows: readonly CopyRow[],
): Promise<DatabaseError | null> {
  for (const row of rows) {
    const error = await db.connection(async (connection) => {
      await connection.begin();
      try {
        await insert(connection, table, [row]);
        return null;
      } catch (cause) {
        return cause;
      } finally {
        await connection.rollback();
      }
    });
    if (error instanceof pg.DatabaseError) {
      return new DatabaseError(`Postgres cannot store ${describeRow(table, row)}: ${error.message}.`);
    }
  }
  return null;
}
