import { expect, onTestFinished, test } from 'vitest';
import { type Hangup, startHangup } from '../harness/hangup.ts';
import { startLiveKit } from '../harness/livekit.ts';
import { freePorts } from '../harness/ports.ts';

/* hangup with the webhooks of the emulator or of a real server. */

async function start(): Promise<Hangup> {
  const [port = 0] = await freePorts(1);
  const livekit = await startLiveKit({ webhookUrls: [`http://127.0.0.1:${port}/webhooks/livekit`] });
  onTestFinished(() => livekit.stop());
  const hangup = await startHangup({ livekit, settings: { port } });
  onTestFinished(() => hangup.stop());
  return hangup;
}

test('a registered call is joined and cancelled, and a participant who rejoins is disconnected again', async () => {
  const hangup = await start();
  const { livekit } = hangup;
  await hangup.send('POST', '/api/v1/calls', { body: { id: 'c1' } });
  const record = async () => {
    const found = await hangup.store.findCall('c1');
    if (found === null) throw new Error('call not found: c1');
    return found;
  };

  const person = await livekit.join('c1', 'caller');
  await expect.poll(async () => (await record()).call.roster?.members.length).toBe(1);
  const { call } = await record();
  expect(call).toMatchObject({
    status: 'connecting',
    roomId: expect.stringMatching(/^RM_/),
    startedAt: expect.any(Number),
  });
  expect(call.roster?.members).toMatchObject([{ identity: 'caller', role: 'person', departure: null }]);

  expect(await hangup.send('DELETE', '/api/v1/calls/c1')).toMatchObject({ status: 200 });
  expect(await person.disconnected).toBe('ROOM_DELETED');
  const before = await record();

  // A real server may delete the room while the caller connects. Then the connection fails.
  const outcome = await livekit.join('c1', 'caller').then(
    ({ disconnected }) => disconnected,
    () => 'never connected',
  );
  expect(['ROOM_DELETED', 'never connected']).toContain(outcome);
  await expect.poll(() => livekit.roomNames()).not.toContain('c1');
  await expect.poll(async () => (await record()).deletion?.state).toBe('completed');
  const after = await record();
  // The roster still changes, because the guard uses it to recognize returning participants.
  expect({ ...after.call, roster: null }).toEqual({ ...before.call, roster: null });
  expect(after.deletion?.attempt).toBeGreaterThan(1);
  const entries = await hangup.store.listCallEvents({ callId: 'c1', after: 0, limit: 100 });
  expect(entries.map(({ action, toStatus }) => toStatus ?? action).slice(0, 4)).toEqual([
    'initiated',
    'connecting',
    'cancelled',
    'call.room_deletion_reopened',
  ]);
}, 60_000);

test('an unregistered room becomes a call when its prefix is adopted', async () => {
  const hangup = await start();
  await hangup.store.addAdoptionPrefix({
    prefix: 'web-',
    organizationName: 'acme',
    organizationIdIfNew: 'org_x',
    now: Date.now(),
  });
  const person = await hangup.livekit.join('web-1', 'caller');
  const list = async () => {
    const { body } = await hangup.send('GET', '/api/v1/calls');
    return (body as { data: { calls: { id: string; status: string }[] } }).data.calls;
  };
  await expect.poll(() => list()).toHaveLength(1);
  const [call] = await list();
  expect(await hangup.send('DELETE', `/api/v1/calls/${call?.id}`)).toMatchObject({ status: 200 });
  expect(await person.disconnected).toBe('ROOM_DELETED');
}, 60_000);
