import { describe, expect, onTestFinished, test } from 'vitest';
import { openPostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { buildCall, insertApiKey } from '../harness/calls.ts';
import { postgresDatabase } from '../harness/postgres.ts';
import { hasPostgres, query } from '../harness/postgres-server.ts';
import { joined, PERSON, POLICY } from '../harness/rosters.ts';

/* Text that SQLite stores as it is, and Postgres refuses or changes. */

const open = async () => {
  const url = await postgresDatabase();
  const store = await openPostgresStore({ url });
  onTestFinished(async () => store.close());
  const { organizationId } = await insertApiKey(store);
  return { url, store, organizationId };
};

describe.skipIf(!hasPostgres())('text in Postgres', () => {
  test('metadata keeps the order of its keys, NUL characters and half of a surrogate pair', async () => {
    const { store, organizationId } = await open();
    const metadata = { z: 'a\0b', a: { '\0': ['\ud800', 1e21, -0.5] }, __proto__x: null };
    const call = buildCall({ id: 'c', organizationId, metadata });
    await store.changeCall({ kind: 'register', call, apiKeyId: null });
    const found = (await store.findCall('c'))?.call.metadata;
    expect(JSON.stringify(found)).toBe(JSON.stringify(metadata));
  });

  test('a NUL character in a name of LiveKit is replaced, and refuses no event', async () => {
    const { store, organizationId } = await open();
    const call = buildCall({ id: 'c', organizationId });
    await store.changeCall({ kind: 'register', call, apiKeyId: null });
    const receive = async (name: string, id: string) => {
      const room = { name, sid: 'RM\0', createdAt: 2_000, metadata: '\0' };
      const event = { id, at: 3_000, room, payload: joined({ ...PERSON, identity: 'a\0b' }) };
      const command = {
        kind: 'room_event',
        event,
        policy: POLICY,
        adopted: { id: 'x', agentId: null },
      } as const;
      return (await store.changeCall(command)).result.kind;
    };
    expect(await receive('no\0call', 'EV_1')).toBe('unknown_room');
    expect(await receive('no\0call', 'EV_1')).toBe('duplicate');
    expect(await receive('c', 'EV\0_2')).toBe('applied');
    expect(await receive('c', 'EV\0_2')).toBe('duplicate');
    const record = await store.findCall('c');
    expect(record?.call.roomId).toBe('RM\uFFFD');
    expect(JSON.stringify(record?.call.roster)).toContain(String.raw`a\u0000b`);
  });

  test('names sort by their bytes, whatever the language of the database is', async () => {
    const { store, url, organizationId } = await open();
    const names = ['B', 'a', 'Z', 'ä', 'b', '~', 'é'];
    for (const roomName of names) {
      const call = buildCall({ id: `call-${names.indexOf(roomName)}`, roomName, organizationId });
      await store.changeCall({ kind: 'register', call, apiKeyId: null });
    }
    const sorted = names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect(await store.listLiveRooms({ after: '', limit: 10 })).toEqual(sorted);
    const others = await query(
      url,
      `SELECT table_name, column_name FROM information_schema.columns
       WHERE table_schema = 'public' AND table_name <> '__drizzle_migrations' AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'`,
    );
    expect(others).toEqual([]);
  });
});
