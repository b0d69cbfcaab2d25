import { execFileSync } from 'node:child_process';
import { cpSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openPostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { buildCall, insertApiKey } from '../harness/calls.ts';
import { postgresDatabase } from '../harness/postgres.ts';
import { hasPostgres, query } from '../harness/postgres-server.ts';
import { temporaryFolder } from '../harness/temporary.ts';
import { cancellationConformance } from './cancellation-conformance.ts';
import { conformance } from './conformance.ts';
import { eventConformance } from './event-conformance.ts';
import { fleetConformance } from './fleet-conformance.ts';
import { overviewConformance } from './overview-conformance.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const NAME = 'the store on Postgres';
const open = async (clock: Parameters<Parameters<typeof conformance>[1]>[0]) =>
  openPostgresStore({ url: await postgresDatabase(), clock });

conformance(NAME, open);
cancellationConformance(NAME, open);
eventConformance(NAME, open);
overviewConformance(NAME, open);
fleetConformance(NAME, async () => {
  const url = await postgresDatabase();
  return (clock) => openPostgresStore({ url, clock });
});

test('the migrations in drizzle/postgres match the schema', () => {
  const folder = temporaryFolder();
  cpSync(join(ROOT, 'drizzle/postgres'), join(folder, 'drizzle'), { recursive: true });
  const schema = join(ROOT, 'src/store/postgres/schema.ts');
  const config = { dialect: 'postgresql', schema, out: './drizzle' };
  writeFileSync(join(folder, 'drizzle.config.json'), JSON.stringify(config));
  const drizzleKit = join(ROOT, 'node_modules/drizzle-kit/bin.cjs');
  const output = execFileSync(process.execPath, [drizzleKit, 'generate', '--config=drizzle.config.json'], {
    cwd: folder,
    encoding: 'utf8',
  });
  expect(output).toContain('No schema changes');
});

describe.skipIf(!hasPostgres())('the database', () => {
  test.each([
    ['an unknown status', { status: 'gone' }],
    ['a live call with an end', { status: 'active', ended_at: 5_000 }],
    ['an ended call without an end', { status: 'completed' }],
    ['an empty room name', { room_name: '' }],
    ['a live call with a canceller', { cancelled_by: 'key_1' }],
    ['metadata that is not an object', { metadata: '[]' }],
    ['text for a time', { created_at: 'now' }],
    ['an unknown organization', { organization_id: 'org_none' }],
    ['the room name of another live call', { room_name: 'taken' }],
  ])('refuses %s', async (_, change) => {
    const url = await postgresDatabase();
    const store = await openPostgresStore({ url });
    onTestFinished(async () => store.close());
    const { organizationId } = await insertApiKey(store);
    for (const [id, roomName] of [
      ['c1', 'c1'],
      ['c2', 'taken'],
    ] as const) {
      const call = buildCall({ id, organizationId, roomName });
      await store.changeCall({ kind: 'register', call, apiKeyId: null });
    }
    const assignments = Object.keys(change).map((column, index) => `${column} = $${index + 1}`);
    const update = `UPDATE calls SET ${assignments.join(', ')} WHERE id = 'c1'`;
    await expect(query(url, update, Object.values(change))).rejects.toThrow(/constraint|invalid input/);
  });

  test('refuses a second row of the position of the audit log', async () => {
    const url = await postgresDatabase();
    await expect(query(url, 'INSERT INTO audit_position VALUES (2, 0)')).rejects.toThrow(/constraint/);
  });
});
