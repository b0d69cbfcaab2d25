import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { expect, onTestFinished, test } from 'vitest';
import { isBusy, openWriter } from '../../src/store/sqlite/database.ts';
import { call, openSqliteStore, writesOn } from '../../src/store/sqlite/sqlite-store.ts';
import { sharedTransaction } from '../../src/store/sqlite/transaction.ts';
import { createWriteQueue, type Outcome, type Write } from '../../src/store/sqlite/write-queue.ts';
import { buildCall, insertApiKey } from '../harness/calls.ts';
import { temporaryFolder } from '../harness/temporary.ts';

/* The writes of a shared commit, on a database whose size the test limits: SQLite then reports a full disk. */

interface NamedWrite extends Write {
  readonly name: string;
}

async function openQueue() {
  const file = join(temporaryFolder(), 'hangup.db');
  const store = openSqliteStore(file);
  const key = await insertApiKey(store);
  store.close();
  const db = openWriter(file);
  const reader = new SqliteDatabase(file, { readonly: true });
  onTestFinished(() => {
    reader.close();
    db.$client.close();
  });
  const writes = writesOn(db, { now: () => 2_000 });
  const ended = new Map<string, string>();
  const codeOf = (error: unknown) =>
    error instanceof SqliteDatabase.SqliteError ? error.code : String(error);
  const queue = createWriteQueue<NamedWrite>({
    nowMs: () => 0,
    after: () => {},
    isBusy,
    transaction: sharedTransaction(db),
    receive: () => [],
    reply(outcomes: readonly Outcome<NamedWrite>[]) {
      for (const outcome of outcomes)
        ended.set(outcome.write.name, 'error' in outcome ? codeOf(outcome.error) : 'done');
    },
  });
  const register = (id: string, metadata = {}): NamedWrite => ({
    name: id,
    expiresAtMs: 1,
    isAlone: false,
    run: () =>
      call(writes, 'changeCall', [
        {
          kind: 'register',
          call: buildCall({ id, organizationId: key.organizationId, metadata }),
          apiKeyId: key.id,
        },
      ]),
  });
  const pageCount = () => Number(db.$client.pragma('page_count', { simple: true }));
  return {
    db,
    queue,
    register,
    ended,
    limitPages: (more: number) => db.$client.pragma(`max_page_count = ${pageCount() + more}`),
    /** The ids of the calls and of the audit events on record. */
    recorded: () => ({
      calls: reader.prepare('SELECT id FROM calls ORDER BY id').pluck().all(),
      events: reader
        .prepare("SELECT subject_id FROM audit_log WHERE action = 'call.created' ORDER BY subject_id")
        .pluck()
        .all(),
    }),
  };
}

const LARGE = { text: 'x'.repeat(100_000) };

test('when the disk is full, the writes of the commit fail and are absent, and later writes are recorded', async () => {
  const { queue, register, ended, limitPages, recorded, db } = await openQueue();
  limitPages(3);
  queue.push([register('a'), register('large', LARGE), register('c')]);
  const done = [...ended].filter(([, end]) => end === 'done').map(([id]) => id);
  expect(ended.size).toBe(3);
  expect(ended.get('large')).toBe('SQLITE_FULL');
  expect(recorded()).toEqual({ calls: done, events: done });
  expect(db.$client.inTransaction).toBe(false);
  limitPages(1_000);
  queue.push([register('later'), register('larger', LARGE)]);
  expect(ended.get('later')).toBe('done');
  expect(ended.get('larger')).toBe('done');
  const all = [...done, 'larger', 'later'];
  expect(recorded()).toEqual({ calls: all, events: all });
});

test('a call that violates a constraint of the database is undone alone', async () => {
  const { queue, register, ended, recorded } = await openQueue();
  queue.push([register('a'), register(''), register('c')]);
  expect(Object.fromEntries(ended)).toEqual({ a: 'done', '': 'SQLITE_CONSTRAINT_CHECK', c: 'done' });
  expect(recorded()).toEqual({ calls: ['a', 'c'], events: ['a', 'c'] });
});

test('a write that throws after its own statements is undone alone', async () => {
  const { queue, register, ended, recorded } = await openQueue();
  const broken = register('b');
  const run = () => {
    broken.run();
    throw new Error('after the insert');
  };
  queue.push([register('a'), { ...broken, run }, register('c')]);
  expect(ended.get('b')).toBe('Error: after the insert');
  expect(recorded()).toEqual({ calls: ['a', 'c'], events: ['a', 'c'] });
});
