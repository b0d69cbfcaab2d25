import pg from 'pg';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { StoreBusyError } from '../../src/domain/errors.ts';
import type { StreamedEvent } from '../../src/ports/event-store.ts';
import type { OpenStore, Store } from '../../src/ports/store.ts';
import { openPostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { buildCall, insertApiKey } from '../harness/calls.ts';
import { postgresDatabase } from '../harness/postgres.ts';
import { hasPostgres, query } from '../harness/postgres-server.ts';
import { POLICY } from '../harness/rosters.ts';

/* Several processes on one database, and several requests at once: what SQLite's one writer rules out. */

const KEY = { organizationId: 'org_1', apiKeyId: 'key_1' };
const LIMITS = { leaseMs: 60_000, maxDelayMs: 600_000 };
const named = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}${i}`);

describe.skipIf(!hasPostgres())('several stores on one Postgres', () => {
  let url: string;
  let stores: readonly [OpenStore, OpenStore];

  beforeEach(async () => {
    url = await postgresDatabase();
    stores = await Promise.all([openPostgresStore({ url }), openPostgresStore({ url })]);
    onTestFinished(async () => {
      await Promise.all(stores.map((store) => store.close()));
    });
    await insertApiKey(stores[0]);
    // A race needs stores that are connected.
    await Promise.all(stores.map((store, i) => cancel(store, `none-${i}`)));
  });

  const register = async (store: Store, id: string, roomName = id) => {
    const call = buildCall({ id, roomName, organizationId: KEY.organizationId, createdAt: Date.now() });
    return (await store.changeCall({ kind: 'register', call, apiKeyId: KEY.apiKeyId })).result.kind;
  };
  const registerAll = async (ids: readonly string[]) => {
    const kinds = await Promise.all(ids.map((id) => register(stores[0], id)));
    expect(new Set(kinds)).toEqual(new Set(['registered']));
  };
  const cancel = async (store: Store, callId: string) => {
    const command = { kind: 'cancel', callId, ...KEY, reason: null, leaseMs: 60_000 } as const;
    return (await store.changeCall(command)).result.kind;
  };
  /** Makes each write of a table last longer, so that other transactions run meanwhile. */
  const slowWrites = (table: string, { seconds = 0.02, on = 'INSERT OR UPDATE' } = {}) =>
    query(
      url,
      `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(${seconds}); RETURN NULL; END $$;
       CREATE TRIGGER slow AFTER ${on} ON ${table} FOR EACH STATEMENT EXECUTE FUNCTION slow();`,
    );
  /** Connects, and returns a function that counts the processes of Postgres that wait as the condition states. */
  const observe = async () => {
    const observer = new pg.Client(url);
    await observer.connect();
    onTestFinished(() => observer.end());
    return async (condition: string) => {
      const waiting = `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND ${condition}`;
      return (await observer.query(waiting)).rows.length;
    };
  };
  /** Starts a cancellation of all calls with a hold. */
  const stopAll = async (store: Store) => {
    const { result } = await store.createCancellation({
      cancellation: {
        id: 'can',
        organizationId: KEY.organizationId,
        reason: 'stop',
        createdBy: KEY.apiKeyId,
        selector: { all: true },
        hasHold: true,
      },
      expectedAtMost: null,
      isDryRun: false,
      idempotency: null,
    });
    expect(result.kind).toBe('created');
  };
  const advanceUntilRecorded = async (store: Store) => {
    let cancelled = 0;
    for (;;) {
      const advanced = await store.advanceCancellation({ id: 'can', limit: 50, budgetMs: 20 });
      cancelled += advanced.cancelled;
      if (advanced.isRecorded) return cancelled;
    }
  };
  let events = 0;
  const receive = async (store: Store, roomName: string, kind: 'room_started' | 'room_finished') => {
    events += 1;
    const room = { name: roomName, sid: `RM_${roomName}`, createdAt: Date.now(), metadata: '' };
    const event = { id: `EV_${events}`, at: Date.now(), room, payload: { kind } };
    const adopted = { id: `adopted_${events}`, agentId: null };
    return (await store.changeCall({ kind: 'room_event', event, policy: POLICY, adopted })).result.kind;
  };
  const readEvents = async (store: Store, after = 0) => {
    const found: StreamedEvent[] = [];
    for (let position = after; ; ) {
      const page = await store.listEvents({ ...KEY, filter: {}, after: position, limit: 50 });
      expect(page.isPruned).toBe(false);
      found.push(...page.events);
      position = page.position;
      if (page.isLast) return { found, position };
    }
  };

  test('of registrations in one room at once, one succeeds', async () => {
    await slowWrites('calls');
    const rooms = named('room', 20);
    const attempts = rooms.flatMap((room) => named(`${room}-`, 6).map((id) => ({ room, id })));
    const kinds = await Promise.all(
      attempts.map(async ({ room, id }, i) => {
        const store = stores[i % 2 === 0 ? 0 : 1];
        return { room, kind: await register(store, id, room) };
      }),
    );
    for (const room of rooms) {
      const ofRoom = kinds.filter((attempt) => attempt.room === room).map(({ kind }) => kind);
      expect(ofRoom.toSorted()).toEqual(['registered', ...Array(5).fill('room_name_taken')]);
    }
  });

  test('of registrations of one id in different rooms at once, one succeeds', async () => {
    await slowWrites('calls');
    const kinds = await Promise.all(
      named('room', 8).map((room, i) => register(stores[i % 2 === 0 ? 0 : 1], 'same', room)),
    );
    expect(kinds.toSorted()).toEqual([...Array(7).fill('id_taken'), 'registered']);
  });

  test('of cancels of one call at once, one succeeds and leases one deletion', async () => {
    const ids = named('call', 10);
    await registerAll(ids);
    await slowWrites('calls');
    const kinds = await Promise.all(
      ids.map((id) => Promise.all(named('', 8).map((_, i) => cancel(stores[i % 2 === 0 ? 0 : 1], id)))),
    );
    for (const ofCall of kinds) {
      expect(ofCall.toSorted()).toEqual(['cancelled', ...Array(7).fill('not_live')]);
    }
    for (const id of ids) {
      expect((await stores[1].findCall(id))?.deletion).toMatchObject({ state: 'running', attempt: 1 });
      const entries = await stores[1].listCallEvents({ callId: id, after: 0, limit: 9 });
      expect(entries.map(({ toStatus }) => toStatus)).toEqual(['initiated', 'cancelled']);
    }
  });

  test('a request with an Idempotency-Key runs once, whatever nodes get it', async () => {
    const ids = named('call', 4);
    await registerAll(ids);
    await slowWrites('calls');
    const results = await Promise.all(
      ids.flatMap((callId) =>
        named('', 6).map((_, i) => {
          const idempotency = { key: callId, fingerprint: 'f', ttlMs: 60_000 };
          const command = { kind: 'cancel', callId, ...KEY, reason: null, leaseMs: 1, idempotency } as const;
          return stores[i % 2 === 0 ? 0 : 1].changeCall(command);
        }),
      ),
    );
    expect(results.every(({ result }) => result.kind === 'cancelled')).toBe(true);
    expect(results.filter(({ isReplay }) => !isReplay)).toHaveLength(ids.length);
  });

  test('cancels and events of the same calls at once leave one end, on record once', async () => {
    const ids = named('call', 60);
    await registerAll(ids);
    await slowWrites('calls');
    await Promise.all(
      ids.flatMap((id) => [
        receive(stores[1], id, 'room_started'),
        cancel(stores[0], id),
        receive(stores[0], id, 'room_finished'),
        receive(stores[1], id, 'room_finished'),
      ]),
    );
    for (const id of ids) {
      const call = (await stores[0].findCall(id))?.call;
      const entries = await stores[0].listCallEvents({ callId: id, after: 0, limit: 20 });
      const ends = entries.filter(({ toStatus }) => toStatus !== null && !LIVE.has(toStatus));
      expect(ends.map(({ toStatus }) => toStatus)).toEqual([call?.status]);
      expect(call?.endedAt).not.toBeNull();
    }
  });

  test('of 1,000 registrations during a stop with a hold, no call stays live', async () => {
    const ids = named('call', 1_000);
    await registerAll(ids.slice(0, 100));
    await slowWrites('calls');
    const registered = ids.slice(100).map((id, i) => register(stores[i % 2 === 0 ? 0 : 1], id));
    await stopAll(stores[1]);
    const recorded = await Promise.all(stores.map(advanceUntilRecorded));
    const kinds = await Promise.all(registered);
    expect(new Set(kinds).size).toBeLessThanOrEqual(2);
    const count = kinds.filter((kind) => kind === 'registered').length + 100;
    expect(kinds.filter((kind) => kind === 'held')).toHaveLength(1_000 - count);
    expect((await stores[0].countLive()).liveCalls).toEqual({
      initiated: 0,
      connecting: 0,
      ringing: 0,
      active: 0,
    });
    expect(recorded.reduce((sum, n) => sum + n, 0)).toBe(count);
    expect((await stores[0].findCancellation('can'))?.counts).toMatchObject({
      cancelled: count,
      rooms: { pending: count },
    });
    const claimed = await stores[0].claimDeletions({ ...LIMITS, limit: 1_000 });
    await stores[0].completeDeletions(claimed);
    await stores[1].advanceCancellation({ id: 'can', limit: 50, budgetMs: 20 });
    expect(await stores[0].findCancellation('can')).toMatchObject({
      state: 'completed',
      counts: { cancelled: count, rooms: { deleted: count, pending: 0 } },
    });
  });

  test('a stop records a call whose registration began before the hold', async () => {
    await slowWrites('calls', { seconds: 1, on: 'INSERT' });
    const countWaiting = await observe();
    const registered = register(stores[0], 'call');
    await expect.poll(() => countWaiting("wait_event = 'PgSleep'")).toBe(1);
    await stopAll(stores[1]);
    expect(await advanceUntilRecorded(stores[1])).toBe(1);
    expect(await registered).toBe('registered');
    expect((await stores[1].findCall('call'))?.call).toMatchObject({ status: 'cancelled' });
  });

  test('no deletion is leased to two workers', async () => {
    const ids = named('call', 300);
    await registerAll(ids);
    await Promise.all(ids.map((id) => cancel(stores[0], id)));
    await query(url, 'UPDATE room_deletions SET scheduled_at = 0');
    const claimAll = async (store: Store): Promise<string[]> => {
      const claimed = await store.claimDeletions({ ...LIMITS, limit: 7 });
      return claimed.length === 0 ? [] : [...claimed.map(({ callId }) => callId), ...(await claimAll(store))];
    };
    const claimed = await Promise.all([...stores, ...stores, ...stores].map(claimAll));
    const all = claimed.flat();
    // A worker skips the deletions that another worker is claiming, and may stop before the last of them.
    all.push(...(await claimAll(stores[0])));
    expect(new Set(all)).toEqual(new Set(ids));
    expect(all).toHaveLength(ids.length);
    expect(await query(url, 'SELECT DISTINCT attempt FROM room_deletions')).toEqual([{ attempt: 2 }]);
  });

  test('of settlements of one lease at once, one counts', async () => {
    await registerAll(['call']);
    await cancel(stores[0], 'call');
    await slowWrites('room_deletions');
    const settlement = { callId: 'call', attempt: 1, wasRescued: false, keptBecause: null };
    const completed = await Promise.all(
      named('', 8).map((_, i) =>
        stores[i % 2 === 0 ? 0 : 1].settleDeletion({ ...settlement, settlement: { state: 'completed' } }),
      ),
    );
    expect(completed.filter((deletion) => deletion !== null)).toHaveLength(1);
  });

  test('a reader gets each event once and in order, while two stores write', async () => {
    const ids = named('call', 150);
    let isWriting = true;
    const seen: StreamedEvent[] = [];
    const read = async () => {
      for (let position = 0; ; ) {
        const isLastRead = !isWriting;
        const page = await readEvents(stores[1], position);
        seen.push(...page.found);
        position = page.position;
        if (isLastRead) return;
      }
    };
    const reading = read();
    await Promise.all(
      ids.map(async (id, i) => {
        const [store, other] = i % 2 === 0 ? stores : [stores[1], stores[0]];
        await register(store, id);
        await Promise.all([receive(other, id, 'room_started'), receive(store, id, 'room_started')]);
        await cancel(other, id);
      }),
    );
    isWriting = false;
    await reading;
    const { found } = await readEvents(stores[0]);
    expect(seen.map(({ id }) => id)).toEqual(found.map(({ id }) => id));
    const [range] = await query(
      url,
      'SELECT min(id)::int AS first, max(id)::int AS last, count(*)::int AS n FROM audit_log',
    );
    expect(range).toEqual({ first: 1, last: range?.n, n: range?.n });
    expect(await stores[0].getEventRange()).toEqual({ oldest: 1, newest: range?.n });
  });

  test('of 64 commands at once, the one that the database refuses fails alone', async () => {
    const call = buildCall({ id: 'refused', organizationId: 'org_unknown' });
    const refused = stores[0].changeCall({ kind: 'register', call, apiKeyId: null });
    const others = named('call', 63).map((id) => register(stores[0], id));
    await expect(refused).rejects.toThrow(/foreign key/);
    expect(new Set(await Promise.all(others))).toEqual(new Set(['registered']));
    expect(await stores[1].findCall('refused')).toBeNull();
    expect((await stores[1].getEventRange()).newest).toBe(64);
  });

  /** Makes the first writes of a table fail with an error code: a sequence counts also in a transaction that fails. */
  const failWrites = async (table: string, { code, times }: { code: string; times: number }) => {
    await query(
      url,
      `CREATE SEQUENCE failures;
       CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         IF nextval('failures') <= ${times} THEN RAISE EXCEPTION 'forced' USING ERRCODE = '${code}'; END IF; RETURN NULL;
       END $$;
       CREATE TRIGGER fail AFTER INSERT OR UPDATE ON ${table} FOR EACH STATEMENT EXECUTE FUNCTION fail();`,
    );
  };

  test.each(['40001', '40P01'])(
    'a change runs again after the error %s, and is applied once',
    async (code) => {
      await registerAll(['call']);
      await failWrites('room_deletions', { code, times: 3 });
      expect(await cancel(stores[0], 'call')).toBe('cancelled');
      const entries = await stores[0].listCallEvents({ callId: 'call', after: 0, limit: 9 });
      expect(entries.map(({ toStatus }) => toStatus)).toEqual(['initiated', 'cancelled']);
    },
  );

  test('a change that always fails because of other transactions is given up, and changes nothing', async () => {
    await registerAll(['call']);
    await failWrites('room_deletions', { code: '40001', times: 1_000 });
    await expect(cancel(stores[0], 'call')).rejects.toThrow(StoreBusyError);
    expect(await stores[0].findCall('call')).toMatchObject({ call: { status: 'initiated' }, deletion: null });
    expect((await stores[0].getEventRange()).newest).toBe(2);
    expect(await query(url, "SELECT nextval('failures')::int AS n")).toEqual([{ n: 7 }]);
  });

  test('a change that a deadlock undoes runs again', async () => {
    await registerAll(['call']);
    await cancel(stores[0], 'call');
    const other = new pg.Client(url);
    await other.connect();
    onTestFinished(() => other.end());
    // Only the store's connection looks for a deadlock, so its transaction is the one that ends.
    await other.query("SET deadlock_timeout = '1min'");
    await other.query('BEGIN');
    await other.query('SELECT 1 FROM room_deletions FOR UPDATE');
    const countWaiting = await observe();
    const received = receive(stores[0], 'call', 'room_finished');
    // The store has the room, and waits for the deletion.
    await expect.poll(() => countWaiting("wait_event_type = 'Lock'")).toBe(1);
    await other.query("SELECT pg_advisory_xact_lock(hashtextextended('room:call', 0))");
    await other.query('COMMIT');
    expect(await received).toBe('applied');
    const count = 'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()';
    // A connection can report its statistics a second later.
    await expect.poll(() => query(url, count)).toEqual([{ deadlocks: '1' }]);
  });

  test('a change of a call that is registered meanwhile waits for nothing, and is not lost', async () => {
    const ids = named('call', 40);
    await slowWrites('calls');
    const kinds = await Promise.all(
      ids.map(async (id) => {
        const registered = register(stores[0], id);
        const first = await cancel(stores[1], id);
        await registered;
        return first === 'not_found' ? cancel(stores[1], id) : first;
      }),
    );
    expect(new Set(kinds)).toEqual(new Set(['cancelled']));
  });
});

const LIVE: ReadonlySet<string> = new Set(['initiated', 'connecting', 'ringing', 'active']);
