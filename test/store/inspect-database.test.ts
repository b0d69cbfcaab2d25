import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { inspectDatabase } from '../../src/store/sqlite/inspect-database.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { buildCall, insertApiKey } from '../harness/calls.ts';
import { temporaryFolder } from '../harness/temporary.ts';

test('inspectDatabase counts rooms by the status of their newest call', async () => {
  const file = join(temporaryFolder(), 'hangup.db');
  const store = openSqliteStore(file);
  const { organizationId, id: apiKeyId } = await insertApiKey(store);
  const call = buildCall({ id: 'c1', organizationId, roomName: 'live' });
  await store.changeCall({ kind: 'register', call, apiKeyId });
  store.close();
  expect(inspectDatabase(file, { roomNames: ['live', 'unregistered'], now: 1 })).toMatchObject({
    kind: 'open',
    schema: 'current',
    journalMode: 'wal',
    corruption: [],
    calls: {
      counts: { liveCalls: { initiated: 1 } },
      lastWebhookAt: null,
      rooms: { live: 1, ended: 0, unknown: 1 },
    },
  });
});

test('inspectDatabase returns unusable for a file that is not a database', () => {
  const file = join(temporaryFolder(), 'hangup.db');
  writeFileSync(file, 'hello, world '.repeat(1_000));
  expect(inspectDatabase(file, { roomNames: [], now: 1 })).toEqual({
    kind: 'unusable',
    detail: 'file is not a database',
    advice: null,
  });
});

test('inspectDatabase returns an uninitialized schema for an empty file', () => {
  const file = join(temporaryFolder(), 'hangup.db');
  writeFileSync(file, '');
  expect(inspectDatabase(file, { roomNames: [], now: 1 })).toMatchObject({
    kind: 'open',
    schema: 'uninitialized',
    calls: null,
  });
});
