import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Settings } from '../../src/config.ts';
import { type Hangup, startHangup, until } from '../harness/hangup.ts';
import { freePorts, type LiveKitUnderTest } from '../harness/livekit.ts';
import { startNode } from '../harness/livekit-nodes.ts';

/* What a real LiveKit does when it is away, dies or is not heard; the times are printed, not judged. */

const measured: string[] = [];
afterAll(() => {
  process.stdout.write(`\nmeasured on the real server:\n${measured.map((line) => `  ${line}\n`).join('')}`);
});
const measure = (what: string, sinceMs: number) =>
  measured.push(`${what}: ${Math.round(performance.now() - sinceMs)} ms`);

/** As an operator has them, but for how often a test wants to wait. */
const AS_SHIPPED: Partial<Settings> = {
  requestTimeoutMs: 2_500,
  backgroundTimeoutMs: 10_000,
  retry: { firstDelayMs: 1_000, maxDelayMs: 5_000, maxAgeMs: 86_400_000 },
  compareSchedule: '*/5 * * * * *',
};

async function startOn(livekit: LiveKitUnderTest, settings: Partial<Settings> = {}): Promise<Hangup> {
  const hangup = await startHangup({ livekit, settings: { ...AS_SHIPPED, ...settings } });
  onTestFinished(() => hangup.stop());
  return hangup;
}

async function start({ webhooks }: { webhooks: boolean }) {
  const [port = 0] = await freePorts(1);
  // Without: where nobody listens, so that LiveKit sends and nobody hears.
  const [deaf = 0] = await freePorts(1);
  const livekit = await startNode({ webhookUrls: [webhookUrl(webhooks ? port : deaf)] });
  onTestFinished(() => livekit.stop());
  return { livekit, hangup: await startOn(livekit, { port }) };
}

const webhookUrl = (port: number) => `http://127.0.0.1:${port}/webhooks/livekit`;

const callOf = async ({ store }: Hangup, id: string) => {
  const record = await store.findCall(id);
  if (record === null) throw new Error(`there is no call ${id}`);
  return record;
};
const statusOf = async (hangup: Hangup, id: string) => (await callOf(hangup, id)).call.status;
const register = (hangup: Hangup, id: string) => hangup.send('POST', '/api/v1/calls', { body: { id } });
const cancel = async (hangup: Hangup, id: string) =>
  expect(await hangup.send('DELETE', `/api/v1/calls/${id}`)).toMatchObject({ status: 200 });

async function aTalk(hangup: Hangup, livekit: LiveKitUnderTest, id: string) {
  await register(hangup, id);
  const caller = await livekit.join(id, 'caller');
  const agent = await livekit.join(id, 'agent', { kind: 'agent' });
  return { caller, agent };
}

test('a cancel disconnects everybody with ROOM_DELETED', async () => {
  const { hangup, livekit } = await start({ webhooks: true });
  const { caller, agent } = await aTalk(hangup, livekit, 'c1');
  await until('it is active', async () => (await statusOf(hangup, 'c1')) === 'active');
  const beganAt = performance.now();
  const answered = cancel(hangup, 'c1').then(() => measure('DELETE, until it is answered', beganAt));
  expect(await Promise.all([caller.disconnected, agent.disconnected])).toEqual([
    'ROOM_DELETED',
    'ROOM_DELETED',
  ]);
  measure('DELETE, until both are disconnected', beganAt);
  await answered;
  expect((await callOf(hangup, 'c1')).deletion).toMatchObject({ state: 'completed', attempt: 1 });
});

describe('a client that joins again after the cancel is thrown out again', () => {
  test.each([
    ['by webhook', true],
    ['by comparison, without any webhook', false],
  ])(
    '%s',
    async (how, webhooks) => {
      const { hangup, livekit } = await start({ webhooks });
      const { caller } = await aTalk(hangup, livekit, 'c1');
      await cancel(hangup, 'c1');
      await caller.disconnected;
      const { attempt = 0 } = (await callOf(hangup, 'c1')).deletion ?? {};
      const beganAt = performance.now();
      // The room may go while it is still connecting: then it never gets in at all, and says so after 15 s.
      const fate = livekit.join('c1', 'caller').then(
        ({ disconnected }) => disconnected,
        () => 'never got in',
      );
      await until('its room is deleted again', async () => {
        const { deletion } = await callOf(hangup, 'c1');
        return deletion?.state === 'completed' && deletion.attempt > attempt;
      });
      measure(`a client is back, until its room is deleted ${how}`, beganAt);
      expect(await livekit.roomNames()).toEqual([]);
      expect(['ROOM_DELETED', 'never got in']).toContain(await fate);
      await until(
        'that is settled',
        async () => (await callOf(hangup, 'c1')).deletion?.state === 'completed',
      );
      expect(await statusOf(hangup, 'c1')).toBe('cancelled');
    },
    60_000,
  );
});

test('webhooks lost through a whole call: its status follows all the same, and it ends', async () => {
  const { hangup, livekit } = await start({ webhooks: false });
  const { caller, agent } = await aTalk(hangup, livekit, 'c1');
  await until('it is active', async () => (await statusOf(hangup, 'c1')) === 'active');
  await caller.leave();
  await agent.leave();
  const beganAt = performance.now();
  await until('it is completed', async () => (await statusOf(hangup, 'c1')) === 'completed', 60_000);
  measure('all left unheard, until the call is completed (LiveKit keeps the room for 20 s)', beganAt);
}, 90_000);

describe('LiveKit is away while calls are cancelled', () => {
  test('stopped, and goes on: all rooms go', async () => {
    const { hangup, livekit } = await start({ webhooks: true });
    const ids = ['c1', 'c2', 'c3'];
    for (const id of ids) await aTalk(hangup, livekit, id);
    livekit.signal('SIGSTOP');
    await Promise.all(ids.map((id) => cancel(hangup, id)));
    for (const id of ids) expect(await statusOf(hangup, id)).toBe('cancelled');
    livekit.signal('SIGCONT');
    const beganAt = performance.now();
    await until('all rooms are gone', async () => (await livekit.roomNames()).length === 0);
    measure('stopped and back, until the rooms of three cancelled calls are gone', beganAt);
    for (const id of ids) {
      await until('that is settled', async () => (await callOf(hangup, id)).deletion?.state === 'completed');
    }
  }, 60_000);

  test('killed, and started again: all is settled, and clients that come back are thrown out', async () => {
    const { hangup, livekit } = await start({ webhooks: true });
    const ids = ['c1', 'c2', 'c3'];
    for (const id of ids) await aTalk(hangup, livekit, id);
    await livekit.kill();
    await Promise.all(ids.map((id) => cancel(hangup, id)));
    await livekit.start();
    const beganAt = performance.now();
    for (const id of ids) {
      await until(
        'that is settled',
        async () => (await callOf(hangup, id)).deletion?.state === 'completed',
        60_000,
      );
    }
    await until('all rooms are gone', async () => (await livekit.roomNames()).length === 0, 60_000);
    measure('killed and started again, until three cancelled calls are settled', beganAt);
  }, 120_000);
});
