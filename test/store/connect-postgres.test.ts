import { expect, test } from 'vitest';
import { connectDatabase } from '../../src/store/postgres/database.ts';

test('the wait for a server that does not run is reported once, with its reason', async () => {
  const reasons: string[] = [];
  const onWaiting = (reason: string) => reasons.push(reason);
  const url = 'postgres://127.0.0.1:1/hangup';
  await expect(connectDatabase({ url, waitMs: 300, onWaiting })).rejects.toThrow('cannot be reached');
  expect(reasons).toEqual(['the database cannot be reached: connect ECONNREFUSED 127.0.0.1:1']);
});

test('a server that is not waited for causes no report', async () => {
  const reasons: string[] = [];
  const onWaiting = (reason: string) => reasons.push(reason);
  const url = 'postgres://127.0.0.1:1/hangup';
  await expect(connectDatabase({ url, waitMs: 0, onWaiting })).rejects.toThrow('cannot be reached');
  expect(reasons).toEqual([]);
});
