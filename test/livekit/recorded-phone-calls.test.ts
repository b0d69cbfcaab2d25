import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { systemClock } from '../../src/platform/clock.ts';
import { createScheduler } from '../../src/reconciler/scheduler.ts';
import { type Hangup, startHangup } from '../harness/hangup.ts';
import { postWebhook } from '../harness/webhooks.ts';
import { loadFixture } from './webhook-recordings.ts';

/*
 * hangup receives the recorded webhooks of real phone calls (livekit-server with livekit-sip). The webhooks are signed
 * again, because the recorded tokens have expired, and their times are shifted to the present.
 */

/** Shifts all times of a recording: the last event happens now. */
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
  // Never polls the phones: LiveKit would list none, because the rooms exist in the webhooks only.
  const scheduler = { ...createScheduler(systemClock), every: () => () => {} };
  hangup = await startHangup({ scheduler });
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
    'the phone answers and hangs up',
    { ...OUTBOUND, status: 'completed', failureReason: null, duration: null },
    ['connecting', 'completed'],
  ],
  [
    '02-answer-delete',
    'the phone answers, and the room is deleted',
    { ...OUTBOUND, status: 'completed', failureReason: null },
    ['connecting', 'completed'],
  ],
  [
    '03-ringing-delete',
    'the room is deleted while the phone rings, by an unknown client',
    { ...OUTBOUND, status: 'cancelled', failureReason: 'ROOM_DELETED', cancelledBy: null },
    ['connecting', 'cancelled'],
  ],
  [
    '04-busy-486',
    'the phone is busy',
    { ...OUTBOUND, status: 'busy', failureReason: 'USER_REJECTED' },
    ['connecting', 'busy'],
  ],
  [
    '06b-480',
    'the phone rings and is unavailable',
    { ...OUTBOUND, status: 'no_answer', failureReason: 'USER_UNAVAILABLE' },
    ['connecting', 'no_answer'],
  ],
  [
    '07-noanswer-ringtimeout3',
    'the ring timeout expires',
    { ...OUTBOUND, status: 'no_answer', failureReason: 'USER_UNAVAILABLE' },
    ['connecting', 'no_answer'],
  ],
  [
    '05-decline-603',
    'the phone rings and declines',
    { ...OUTBOUND, status: 'busy', failureReason: 'USER_REJECTED' },
    ['connecting', 'busy'],
  ],
  [
    '08b-tcp-refused',
    'the trunk refuses the connection',
    { ...OUTBOUND, status: 'failed', failureReason: 'CLIENT_INITIATED' },
    ['connecting', 'failed'],
  ],
  [
    '08d-silent-ringtimeout3',
    'the trunk does not respond before the ring timeout',
    { ...OUTBOUND, status: 'failed', failureReason: 'USER_UNAVAILABLE' },
    ['connecting', 'failed'],
  ],
  ['09-503', 'the trunk rejects the call', { ...OUTBOUND, status: 'failed' }, ['connecting', 'failed']],
  [
    '11-answer-remove',
    'the phone answers and is removed',
    { ...OUTBOUND, status: 'completed', failureReason: null },
    ['connecting', 'completed'],
  ],
  [
    '10c-in-caller-gives-up',
    'an inbound caller hangs up while the phone rings',
    { ...INBOUND, status: 'no_answer' },
    ['connecting', 'ringing', 'no_answer'],
  ],
  [
    '10d-in-delete-ringing',
    'the room of an inbound call is deleted while the phone rings, by an unknown client',
    { ...INBOUND, status: 'cancelled', failureReason: 'ROOM_DELETED', cancelledBy: null },
    ['connecting', 'ringing', 'cancelled'],
  ],
  [
    '10a-in-agent-peer-bye',
    'the agent answers an inbound call, and the caller hangs up after three seconds',
    { ...INBOUND, status: 'completed', failureReason: null, duration: 3 },
    ['connecting', 'ringing', 'active', 'completed'],
  ],
  [
    '10b-in-agent-delete',
    'the agent answers an inbound call, and the room is deleted',
    { ...INBOUND, status: 'completed', failureReason: null, duration: 3 },
    ['connecting', 'ringing', 'active', 'completed'],
  ],
])('the recorded call %s has the expected statuses and details: %s', async (name, _, expected, statuses) => {
  const webhooks = loadFixture(`phone-${name}`);
  const bodies = shifted(webhooks.map(({ body }) => body));
  const roomName = webhooks[0]?.event.room.name ?? '';
  const isRegistered = !roomName.startsWith('call-');
  if (isRegistered) await hangup.insertCall({ id: name, roomName, createdAt: Date.now() - 60_000 });
  for (const body of bodies) {
    expect(await postWebhook(hangup.url, body), body).toMatchObject({ status: 200 });
    // A duplicate, as LiveKit sends if the response gets lost.
    expect(await postWebhook(hangup.url, body)).toMatchObject({ status: 200 });
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
  await expect
    .poll(async () => {
      const { deletion = null } = (await hangup.store.findCall(id ?? '')) ?? {};
      // Null: room_finished arrived before hangup requested the participants.
      return deletion === null || deletion.state === 'completed';
    })
    .toBe(true);
});
