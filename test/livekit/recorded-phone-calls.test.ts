import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { type Hangup, startHangup, until } from '../harness/hangup.ts';
import { post } from '../harness/webhooks.ts';
import { loadFixture } from './fixtures.ts';

/*
 * What a real livekit-server with a real livekit-sip sent in phone calls, in through the door: signed again
 * (the tokens have long expired) and shifted to now.
 */

/** All times of a capture, moved so that its call ends now. */
function shifted(bodies: readonly string[]): string[] {
  const last = Number(/"createdAt":"(\d+)"/.exec(bodies.at(-1) ?? '')?.[1]);
  const byS = Math.floor(Date.now() / 1000) - last;
  return bodies.map((body) =>
    body
      .replaceAll(
        /"(createdAt|creationTime|joinedAt)":"(\d+)"/g,
        (_, name, s) => `"${name}":"${Number(s) + byS}"`,
      )
      .replaceAll(
        /"(creationTimeMs|joinedAtMs)":"(\d+)"/g,
        (_, name, ms) => `"${name}":"${Number(ms) + byS * 1000}"`,
      ),
  );
}

let hangup: Hangup;
beforeAll(async () => {
  hangup = await startHangup();
  await hangup.store.addAdoptionPrefix({
    prefix: 'call-',
    organizationName: 'acme',
    organizationIdIfNew: 'org_x',
    now: Date.now(),
  });
});
afterAll(() => hangup.stop());

const OUTBOUND = { direction: 'outbound', phoneNumber: '+15551234567' };
const INBOUND = { direction: 'inbound', phoneNumber: '+15557770001' };

test.each<[string, string, object, string[]]>([
  [
    '01-answer-peer-bye',
    'answered, and hung up by the phone',
    { ...OUTBOUND, status: 'completed', failureReason: null, duration: null },
    ['connecting', 'completed'],
  ],
  [
    '02-answer-delete',
    'answered, and its room deleted',
    { ...OUTBOUND, status: 'completed', failureReason: null },
    ['connecting', 'completed'],
  ],
  [
    '03-ringing-delete',
    'its room deleted while it rang, by whom is not known',
    { ...OUTBOUND, status: 'cancelled', failureReason: 'ROOM_DELETED', cancelledBy: null },
    ['connecting', 'cancelled'],
  ],
  [
    '04-busy-486',
    'busy',
    { ...OUTBOUND, status: 'busy', failureReason: 'USER_REJECTED' },
    ['connecting', 'busy'],
  ],
  [
    '06b-480',
    'unavailable after it rang',
    { ...OUTBOUND, status: 'no_answer', failureReason: 'USER_UNAVAILABLE' },
    ['connecting', 'no_answer'],
  ],
  [
    '07-noanswer-ringtimeout3',
    'nobody answered in time',
    { ...OUTBOUND, status: 'no_answer', failureReason: 'USER_UNAVAILABLE' },
    ['connecting', 'no_answer'],
  ],
  [
    '05-decline-603',
    'declined after it rang',
    { ...OUTBOUND, status: 'busy', failureReason: 'USER_REJECTED' },
    ['connecting', 'busy'],
  ],
  [
    '08b-tcp-refused',
    'nobody listens at the trunk',
    { ...OUTBOUND, status: 'failed', failureReason: 'CLIENT_INITIATED' },
    ['connecting', 'failed'],
  ],
  [
    '08d-silent-ringtimeout3',
    'nothing was heard of it until the ring time-out',
    { ...OUTBOUND, status: 'failed', failureReason: 'USER_UNAVAILABLE' },
    ['connecting', 'failed'],
  ],
  ['09-503', 'refused', { ...OUTBOUND, status: 'failed' }, ['connecting', 'failed']],
  [
    '11-answer-remove',
    'answered, and its phone removed',
    { ...OUTBOUND, status: 'completed', failureReason: null },
    ['connecting', 'completed'],
  ],
  [
    '10c-in-caller-gives-up',
    'came in, and the caller gave up while it rang',
    { ...INBOUND, status: 'no_answer' },
    ['connecting', 'ringing', 'no_answer'],
  ],
  [
    '10d-in-delete-ringing',
    'came in, and its room deleted while it rang, by whom is not known',
    { ...INBOUND, status: 'cancelled', failureReason: 'ROOM_DELETED', cancelledBy: null },
    ['connecting', 'ringing', 'cancelled'],
  ],
  [
    '10a-in-agent-peer-bye',
    'came in, answered by the agent, hung up by the caller after three seconds',
    { ...INBOUND, status: 'completed', failureReason: null, duration: 3 },
    ['connecting', 'ringing', 'active', 'completed'],
  ],
  [
    '10b-in-agent-delete',
    'came in, answered by the agent, and its room deleted',
    { ...INBOUND, status: 'completed', failureReason: null, duration: 3 },
    ['connecting', 'ringing', 'active', 'completed'],
  ],
])('%s: %s', async (name, _, expected, statuses) => {
  const webhooks = loadFixture(`phone-${name}`);
  const bodies = shifted(webhooks.map(({ body }) => body));
  const roomName = webhooks[0]?.event.room.name ?? '';
  const isRegistered = !roomName.startsWith('call-');
  if (isRegistered) await hangup.putCall({ id: name, roomName, createdAt: Date.now() - 60_000 });
  for (const body of bodies) {
    expect(await post(hangup.url, body), body).toMatchObject({ status: 200 });
    // The same again, as LiveKit does when an answer is lost.
    expect(await post(hangup.url, body)).toMatchObject({ status: 200 });
  }
  const { body: list } = await hangup.send('GET', '/api/v1/calls?limit=100');
  const Calls = z.object({ data: z.object({ calls: z.array(z.looseObject({ id: z.string() })) }) });
  const ids = Calls.parse(list).data.calls.map(({ id }) => id);
  const records = await Promise.all(ids.map((id) => hangup.store.findCall(id)));
  const id = records.find((record) => record?.call.roomName === roomName)?.call.id;

  const { body: details } = await hangup.send('GET', `/api/v1/calls/${id}`);
  expect(details).toMatchObject({ data: { ...expected, roomName, startedAt: expect.any(String) } });
  const entries = await hangup.store.listCallEvents({ callId: id ?? '', after: 0, limit: 100 });
  const changes = entries.filter(({ action }) => action === 'call.status_changed');
  expect(changes.map(({ toStatus }) => toStatus)).toEqual(statuses);
  await until('its room is certainly gone', async () => {
    const { deletion = null } = (await hangup.store.findCall(id ?? '')) ?? {};
    // Null: room_finished came before hangup had asked LiveKit for the participants.
    return deletion === null || deletion.state === 'completed';
  });
});
