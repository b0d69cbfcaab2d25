import { RoomServiceClient } from 'livekit-server-sdk';
import { expect, onTestFinished, test, vi } from 'vitest';
import { startGate } from '../../harness/gate.ts';
import { startHangup } from '../../harness/hangup.ts';
import { startEmulated } from '../../harness/livekit.ts';
import { freePorts } from '../../harness/ports.ts';
import { WAIT } from '../../harness/time.ts';

test('a rescued ghost room counts as rescued once when another client deletes the room first', async () => {
  const [port = 0] = await freePorts(1);
  const isDeletionRequested = Promise.withResolvers<void>();
  let isNodeDead = false;
  // hangup receives room_started of the takeover between its DeleteRoom request and the response.
  const webhooks = await startGate(`http://127.0.0.1:${port}`, async ({ body }) => {
    if (isNodeDead && body.includes('"room_started"')) await isDeletionRequested.promise;
  });
  const livekit = await startEmulated({ webhookUrls: [`${webhooks}/webhooks/livekit`] });
  onTestFinished(() => livekit.stop());
  const client = new RoomServiceClient(livekit.url, livekit.apiKey, livekit.apiSecret);
  const logged = (text: string) => hangup.log.filter(({ message }) => message.startsWith(text));
  let rescues = 0;
  const url = await startGate(livekit.url, async ({ path }) => {
    if (path.endsWith('/CreateRoom')) rescues += 1;
    if (rescues !== 1 || !path.endsWith('/DeleteRoom')) return;
    rescues += 1;
    isDeletionRequested.resolve();
    await vi.waitFor(() => expect(logged('room of an ended call found')).not.toEqual([]), WAIT);
    // The next attempt of hangup may delete the room first.
    await client.deleteRoom('c1').catch((error) => expect(error).toMatchObject({ code: 'not_found' }));
  });
  const hangup = await startHangup({ livekit: { ...livekit, url }, settings: { port } });
  onTestFinished(() => hangup.stop());
  const { emulator } = livekit;
  await hangup.insertCall({ id: 'c1', status: 'active' });
  emulator.join('c1', { identity: 'caller' });
  await expect.poll(async () => (await hangup.store.findCall('c1'))?.call.roster?.members).toHaveLength(1);
  isNodeDead = true;
  emulator.killNode();
  await hangup.send('DELETE', '/api/v1/calls/c1');
  // The recreated room is deleted again. A late webhook can repeat the deletion once more.
  const outcomes = () => hangup.log.flatMap(({ fields }) => String(fields.outcome ?? []));
  await expect
    .poll(() => outcomes().filter((outcome) => outcome === 'deleted' || outcome === 'absent').length)
    .toBeGreaterThanOrEqual(2);
  await expect.poll(async () => (await hangup.store.findCall('c1'))?.deletion?.state).toBe('completed');
  expect(emulator.roomNames()).toEqual([]);
  expect(logged('ghost room rescued')).toHaveLength(1);
  const entries = await hangup.store.listCallEvents({ callId: 'c1', after: 0, limit: 100 });
  expect(entries.filter(({ action }) => action === 'call.room_rescued')).toHaveLength(1);
});
