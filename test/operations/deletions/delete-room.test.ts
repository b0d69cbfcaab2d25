import { RoomServiceClient } from 'livekit-server-sdk';
import { expect, onTestFinished, test } from 'vitest';
import { startHangup } from '../../harness/hangup.ts';
import { freePorts, startEmulated } from '../../harness/livekit.ts';

test('a ghost that is rescued counts as rescued, also when somebody else deletes it first', async () => {
  const [port = 0] = await freePorts(1);
  const livekit = await startEmulated({ webhookUrls: [`http://127.0.0.1:${port}/webhooks/livekit`] });
  onTestFinished(() => livekit.stop());
  const hangup = await startHangup({ livekit, settings: { port } });
  onTestFinished(() => hangup.stop());
  const { emulator } = livekit;
  await hangup.putCall({ id: 'c1', status: 'active' });
  emulator.join('c1', { identity: 'caller' });
  await expect
    .poll(async () => {
      const record = await hangup.store.findCall('c1');
      return record?.call.roster?.members.length === 1;
    })
    .toBe(true);
  emulator.killNode();
  // Each DeleteRoom is slow, so that somebody else's comes between CreateRoom and the one behind it.
  emulator.setFault('DeleteRoom', { kind: 'slow', delayMs: 500 });
  const cancelled = hangup.send('DELETE', '/api/v1/calls/c1');
  const said = (text: string) => hangup.log.filter(({ message }) => message.startsWith(text));
  await expect.poll(() => said('the room of an ended call')).not.toEqual([]);
  emulator.setFault('DeleteRoom', null);
  // hangup's own next attempt may be faster still.
  await new RoomServiceClient(livekit.url, livekit.apiKey, livekit.apiSecret)
    .deleteRoom('c1')
    .catch((error) => expect(error).toMatchObject({ code: 'not_found' }));
  await cancelled;
  await expect
    .poll(() => {
      const ended = hangup.log.filter(({ fields }) => ['deleted', 'absent'].includes(String(fields.outcome)));
      return ended.length === 2;
    })
    .toBe(true);
  expect(emulator.roomNames()).toEqual([]);
  expect(said('room rescued')).toHaveLength(1);
  const entries = await hangup.store.listCallEvents({ callId: 'c1', after: 0, limit: 100 });
  expect(entries.filter(({ action }) => action === 'call.room_rescued')).toHaveLength(1);
});
