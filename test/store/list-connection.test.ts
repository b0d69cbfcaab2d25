import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { closeDatabase, openDatabase } from '../../src/store/sqlite/database.ts';
import { createListConnection, MAX_SQL_LENGTH } from '../../src/store/sqlite/list-connection.ts';
import { temporaryFolder } from '../harness/temporary.ts';

function openTestDatabase() {
  const db = openDatabase(join(temporaryFolder(), 'hangup.db'), () => {});
  onTestFinished(() => closeDatabase(db));
  return db;
}

/** Returns a statement of this length. */
const sqlOf = (length: number) => 'SELECT 1 '.padEnd(length);

test('a connection is replaced when its statements have too much SQL, and not before', () => {
  const connection = createListConnection(openTestDatabase(), (client, prepare) => ({ client, prepare }));
  const first = connection.work();
  first.prepare(sqlOf(MAX_SQL_LENGTH));
  expect(connection.work()).toBe(first);
  first.prepare(sqlOf(10));
  const second = connection.work();
  expect(second).not.toBe(first);
  expect([first.client.open, second.client.open]).toEqual([false, true]);
  expect(connection.work()).toBe(second);
  connection.close();
  expect(second.client.open).toBe(false);
});

test('a connection on which the work did not start is closed, and the next use opens another connection', () => {
  const opened: { readonly open: boolean }[] = [];
  const connection = createListConnection(openTestDatabase(), (client) => {
    opened.push(client);
    if (opened.length === 1) throw new Error('busy');
    return 'work';
  });
  expect(() => connection.work()).toThrow('busy');
  expect(connection.work()).toBe('work');
  expect(opened.map(({ open }) => open)).toEqual([false, true]);
  connection.close();
});

test('the connection is read-only, has the busy timeout of the store, and its other settings', () => {
  const db = openTestDatabase();
  db.$client.pragma('busy_timeout = 7');
  const connection = createListConnection(db, (client) => client);
  const client = connection.work();
  const pragma = (name: string) => client.pragma(name, { simple: true });
  expect(['busy_timeout', 'cache_size', 'synchronous', 'foreign_keys'].map(pragma)).toEqual([7, -2000, 2, 1]);
  expect(() => client.exec('DELETE FROM calls')).toThrow('readonly');
  connection.close();
});
