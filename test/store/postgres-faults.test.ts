import { execFileSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { StoreBusyError } from '../../src/domain/errors.ts';
import type { OpenStore, Store } from '../../src/ports/store.ts';
import { openPostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { buildCall, insertApiKey } from '../harness/calls.ts';
import { postgresDatabase, startOwnServer } from '../harness/postgres.ts';
import { hasPostgres, type PostgresServer, query } from '../harness/postgres-server.ts';
import { WAIT } from '../harness/time.ts';

/* Postgres that crashes, hangs, or is not the right one. Nothing acknowledged is lost, and nothing waits without end. */

const register = async (store: Store, id: string) => {
  const call = buildCall({ id, organizationId: 'org_1', createdAt: Date.now() });
  return (await store.changeCall({ kind: 'register', call, apiKeyId: 'key_1' })).result.kind;
};
const cancel = async (store: Store, callId: string) => {
  const by = { organizationId: 'org_1', apiKeyId: 'key_1', reason: null, leaseMs: 60_000 };
  return (await store.changeCall({ kind: 'cancel', callId, ...by })).result.kind;
};

describe.skipIf(!hasPostgres())('a Postgres with faults', () => {
  let server: PostgresServer;
  let store: OpenStore;

  const open = async (url: string) => {
    const opened = await openPostgresStore({ url });
    onTestFinished(async () => opened.close());
    return opened;
  };

  describe('that crashes', () => {
    beforeAll(async () => {
      server = await startOwnServer('faults');
    });
    afterAll(() => server.stop());

    test('refuses requests until it runs again, without a restart of hangup, and loses nothing acknowledged', async () => {
      store = await open(server.url);
      await insertApiKey(store);
      const registered: string[] = [];
      const cancelled: string[] = [];
      let isEnded = false;
      const failures: unknown[] = [];
      const load = async (worker: number) => {
        for (let i = 0; !isEnded; i += 1) {
          const id = `call_${worker}_${i}`;
          try {
            if ((await register(store, id)) === 'registered') registered.push(id);
            if ((await cancel(store, id)) === 'cancelled') cancelled.push(id);
          } catch (error) {
            failures.push(error);
          }
        }
      };
      const loads = Array.from({ length: 16 }, (_, worker) => load(worker));
      for (let crash = 0; crash < 5; crash += 1) {
        const before = cancelled.length;
        await expect.poll(() => cancelled.length).toBeGreaterThan(before + 20);
        await server.crash();
        await expect(cancel(store, 'any')).rejects.toThrow(StoreBusyError);
        await server.restart();
      }
      const before = cancelled.length;
      await expect.poll(() => cancelled.length).toBeGreaterThan(before + 20);
      isEnded = true;
      await Promise.all(loads);
      expect(failures.filter((error) => !(error instanceof StoreBusyError))).toEqual([]);
      for (const id of registered) expect(await store.findCall(id)).not.toBeNull();
      for (const id of cancelled) {
        expect(await store.findCall(id)).toMatchObject({
          call: { status: 'cancelled' },
          deletion: { state: 'running', attempt: 1 },
        });
      }
      const audit = 'SELECT min(id)::int AS first, max(id)::int AS last, count(*)::int AS n FROM audit_log';
      const [range] = await query(server.url, audit);
      expect(range).toEqual({ first: 1, last: range?.n, n: range?.n });
    });

    test('refuses reads and writes while it does not respond, and then continues', async () => {
      store = await open(server.url);
      await register(store, 'frozen');
      expect(await store.findCall('frozen')).not.toBeNull();
      server.suspend();
      const attempts = [
        cancel(store, 'frozen'),
        register(store, 'other'),
        store.findCall('frozen'),
        store.claimDeletions({ leaseMs: 1, maxDelayMs: 1, limit: 1 }),
        store.checkWritable(),
        store.listLiveRooms({ after: '', limit: 1 }),
      ];
      const ends = await Promise.allSettled(attempts);
      server.resume();
      for (const end of ends) expect(end).toMatchObject({ reason: expect.any(StoreBusyError) });
      await expect.poll(() => store.findCall('frozen').catch(() => null)).not.toBeNull();
      // A cancel that was refused may have been committed.
      const kinds = ['cancelled', 'not_live'];
      await expect
        .poll(() => cancel(store, 'frozen').catch(() => 'busy'))
        .toSatisfy((kind) => kinds.includes(kind));
    });
  });

  describe('with TLS', () => {
    let address: string;
    let certificate: string;
    let stop = async () => {};
    afterAll(() => stop());

    beforeAll(async () => {
      const own = await startOwnServer('tls');
      stop = own.stop;
      const data = own.folder;
      certificate = join(data, 'server.crt');
      const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
      const key = ['-newkey', 'rsa:2048', '-nodes', '-keyout', join(data, 'server.key'), '-out', certificate];
      execFileSync('openssl', ['req', '-x509', '-days', '2', ...key, ...subject], {
        ...own.user,
        stdio: 'ignore',
      });
      chmodSync(certificate, 0o644);
      await query(own.url, 'ALTER SYSTEM SET ssl = on');
      await query(own.url, 'SELECT pg_reload_conf()');
      address = own.url;
      await vi.waitFor(async () => expect(await query(address, 'SHOW ssl')).toEqual([{ ssl: 'on' }]), WAIT);
    });

    const withTls = (parameters: string, host = '127.0.0.1') =>
      `${address.replace('127.0.0.1', host)}?${parameters}`;

    test.each([
      ['disable', '127.0.0.1', false],
      ['require', '127.0.0.1', true],
      ['verify-ca', '127.0.0.1', true],
      ['verify-full', 'localhost', true],
    ])('sslmode=%s connects to %s', async (mode, host, isEncrypted) => {
      const root = mode.startsWith('verify') ? `&sslrootcert=${certificate}` : '';
      store = await open(withTls(`sslmode=${mode}${root}&application_name=${mode}`, host));
      const used =
        'SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = $1';
      expect(await query(address, used, [mode])).toEqual([{ ssl: isEncrypted }]);
    });

    test.each([
      ['verify-full', () => `&sslrootcert=${certificate}`, /does not match certificate/],
      ['verify-full', () => '', /self.signed certificate/],
      ['verify-ca', () => '', /self.signed certificate/],
    ])('sslmode=%s refuses a server that it cannot verify', async (mode, root, reason) => {
      await expect(openPostgresStore({ url: withTls(`sslmode=${mode}${root()}`) })).rejects.toThrow(reason);
    });
  });

  describe('that hangs', () => {
    let url: string;
    beforeEach(async () => {
      url = await postgresDatabase();
      store = await open(url);
      await insertApiKey(store);
      await register(store, 'call');
    });

    const lockTable = async (table: string) => {
      const other = new pg.Client(url);
      await other.connect();
      await other.query(`BEGIN; LOCK TABLE ${table}`);
      onTestFinished(() => other.end());
      return other;
    };

    test.each(['calls', 'audit_position'])(
      'refuses writes that wait for the table %s, and then continues',
      async (table) => {
        const other = await lockTable(table);
        await expect(cancel(store, 'call')).rejects.toThrow(StoreBusyError);
        await other.query('ROLLBACK');
        await expect.poll(() => cancel(store, 'call').catch(() => 'busy')).toBe('cancelled');
      },
    );

    test('refuses more writes than may wait', async () => {
      const other = await lockTable('calls');
      const attempts = Array.from({ length: 3_000 }, () => cancel(store, 'call'));
      const ends = await Promise.allSettled(attempts);
      expect(ends.filter(({ status }) => status === 'fulfilled')).toEqual([]);
      await other.query('ROLLBACK');
      await expect.poll(() => cancel(store, 'call').catch(() => 'busy')).toBe('cancelled');
    });
  });

  describe('with its settings', () => {
    let url: string;
    let name: string;
    beforeEach(async () => {
      url = await postgresDatabase();
      name = new URL(url).pathname.slice(1);
    });

    test('is refused while a commit is not durable', async () => {
      await query(url, `ALTER DATABASE ${name} SET synchronous_commit = off`);
      await expect(openPostgresStore({ url })).rejects.toThrow(/synchronous_commit is off/);
    });

    test('gets durable commits where its default is weaker', async () => {
      await query(url, `ALTER DATABASE ${name} SET synchronous_commit = local`);
      store = await open(url);
      await query(
        url,
        `CREATE TABLE seen (setting text);
         CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL;
         END $$;
         CREATE TRIGGER see AFTER INSERT ON calls FOR EACH STATEMENT EXECUTE FUNCTION see();`,
      );
      await insertApiKey(store);
      expect(await register(store, 'call')).toBe('registered');
      expect(await query(url, 'SELECT * FROM seen')).toEqual([{ setting: 'on' }]);
    });

    test('is passed over while it is read-only', async () => {
      const { port } = new URL(url);
      const both = url.replace(`127.0.0.1:${port}`, `localhost:1,127.0.0.1:${port}`);
      store = await open(both);
      await insertApiKey(store);
      await query(url, `ALTER DATABASE ${name} SET default_transaction_read_only = on`);
      await query(
        url,
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
      );
      await expect
        .poll(() => register(store, 'call').catch((error: unknown) => error))
        .toBeInstanceOf(StoreBusyError);
      await query(
        `${url}?options=-c%20default_transaction_read_only=off`,
        `ALTER DATABASE ${name} RESET default_transaction_read_only`,
      );
      await expect.poll(() => register(store, 'call').catch(() => 'busy')).toBe('registered');
    });

    test('is refused with a reason, which does not contain the password', async () => {
      const opened = openPostgresStore({
        url: url.replace('hangup@', 'hangup:secret@').replace(name, 'missing'),
      });
      await expect(opened).rejects.toThrow(/Postgres refuses the connection: .*"missing" does not exist/);
      await expect(opened).rejects.not.toThrow(/secret/);
    });

    test('of a newer version is refused, and not changed', async () => {
      await query(url, "INSERT INTO __drizzle_migrations (id, hash, created_at) VALUES (99, 'future', 0)");
      await expect(openPostgresStore({ url })).rejects.toThrow(/created by a newer or different version/);
      expect(await query(url, 'SELECT count(*)::int AS n FROM audit_position')).toEqual([{ n: 1 }]);
    });

    test('is migrated once by several nodes that start at once', async () => {
      await query(url, 'DROP SCHEMA public CASCADE; CREATE SCHEMA public');
      const stores = await Promise.all(Array.from({ length: 4 }, () => open(url)));
      await insertApiKey(stores[0] ?? store);
      expect(await Promise.all(stores.map((one) => one.listOrganizations()))).toEqual(
        stores.map(() => ['acme']),
      );
    });
  });
});
