import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { PASSES } from '../../src/domain/fleet.ts';
import { openStore } from '../../src/store/open-store.ts';
import { API_KEY, API_SECRET, startEmulated } from '../harness/livekit.ts';
import { readMetrics } from '../harness/metrics.ts';
import { postgresDatabase } from '../harness/postgres.ts';
import { hasPostgres } from '../harness/postgres-server.ts';
import { type RunningHangup, serveHangup } from '../harness/process.ts';
import { temporaryFolder } from '../harness/temporary.ts';

const DATABASES = {
  'a SQLite file': async (cwd: string) => `file:${join(cwd, 'hangup.db')}`,
  Postgres: () => postgresDatabase(),
};

describe.each(Object.entries(DATABASES))('three processes on %s', (name, createDatabase) => {
  test.skipIf(name === 'Postgres' && !hasPostgres())(
    'one of them runs each pass, another takes over after SIGKILL and SIGTERM, and they divide the rate limit',
    async () => {
      const cwd = temporaryFolder();
      const livekit = await startEmulated({});
      onTestFinished(() => livekit.stop());
      const env = {
        DATABASE_URL: await createDatabase(cwd),
        LIVEKIT_URL: livekit.url,
        LIVEKIT_API_KEY: API_KEY,
        LIVEKIT_API_SECRET: API_SECRET,
        LIVEKIT_REQUESTS_PER_MINUTE: '6000',
        RECONCILE_SCHEDULE: '* * * * * *',
      };
      const processes: RunningHangup[] = [];
      const serve = async () => {
        const hangup = await serveHangup({ cwd, env });
        processes.push(hangup);
        onTestFinished(async () => {
          if (hangup.child.exitCode === null && hangup.child.signalCode === null)
            await hangup.kill('SIGKILL');
        });
      };
      /** Returns the processes that run the pass, by their metrics. */
      const holdersOf = async (pass: (typeof PASSES)[number]) => {
        const values = await Promise.all(
          processes.map(async (hangup) => {
            const metrics = await readMetrics(hangup.url);
            return metrics.value('hangup_pass_held', { pass }) === 1 ? [hangup] : [];
          }),
        );
        return values.flat();
      };
      const settle = async (members: number) => {
        const counts = async () => {
          const metrics = await Promise.all(processes.map(({ url }) => readMetrics(url)));
          return metrics.map((one) => one.value('hangup_fleet_members'));
        };
        await expect.poll(counts).toEqual(processes.map(() => members));
        for (const pass of PASSES) await expect.poll(async () => (await holdersOf(pass)).length).toBe(1);
      };
      const stopHolder = async (signal: NodeJS.Signals) => {
        const [holder] = await holdersOf('reconciliation');
        if (holder === undefined) throw new Error('no process runs the pass');
        await holder.kill(signal);
        processes.splice(processes.indexOf(holder), 1);
      };
      for (let i = 0; i < 3; i += 1) await serve();
      await settle(3);
      await stopHolder('SIGKILL');
      await settle(2);
      await stopHolder('SIGTERM');
      await settle(1);
      await serve();
      await serve();
      await settle(3);
      // The process that joined last gets its part when the others have confirmed theirs.
      const file = join(cwd, 'hangup.db');
      const store = await openStore(
        name === 'Postgres' ? { kind: 'postgres', url: env.DATABASE_URL } : { kind: 'sqlite', file },
        { onMigrating: () => {} },
      );
      onTestFinished(async () => {
        await store.close();
      });
      // A fourth member gets no part before the others reduce theirs to a quarter.
      const joinFleet = () => store.heartbeat({ memberId: 'fourth', wanted: [], rateDivisor: null });
      await expect.poll(async () => (await joinFleet()).rateDivisor).toBe(4);
      expect((await joinFleet()).members).toBe(4);
    },
  );
});
