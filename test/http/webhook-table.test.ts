import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Emulator } from '../../src/emulator/emulator.ts';
import { startGate } from '../harness/gate.ts';
import { type Hangup, startHangup } from '../harness/hangup.ts';
import { type LiveKitUnderTest, startEmulated } from '../harness/livekit.ts';
import { freePorts } from '../harness/ports.ts';
import { AGENT, HUMAN, inboundPhone, outboundPhone, postWebhook, roomWebhooks } from '../harness/webhooks.ts';

/*
 * The table from LiveKit's events to call statuses, row by row, over HTTP with real signatures. hangup requests the
 * participants before a call ends by inference, so the emulator has them in these rooms, and sends the webhooks.
 */

const AGENT_LEFT_GRACE_MS = 150;
const RECONNECT_GRACE_MS = 150;

let livekit: LiveKitUnderTest & { readonly emulator: Emulator };
let emulator: Emulator;
let hangup: Hangup;
beforeAll(async () => {
  const [port = 0] = await freePorts(1);
  livekit = await startEmulated({ webhookUrls: [`http://127.0.0.1:${port}/webhooks/livekit`] });
  emulator = livekit.emulator;
  hangup = await startHangup({
    livekit,
    settings: {
      port,
      agentLeftGraceMs: AGENT_LEFT_GRACE_MS,
      reconnectGraceMs: RECONNECT_GRACE_MS,
    },
  });
});
afterAll(async () => {
  await hangup.stop();
  await livekit.stop();
});

let calls = 0;
type Room = ReturnType<typeof roomWebhooks>;

/** Inserts a new call. */
async function insertNewCall(parts: object = {}) {
  calls += 1;
  const id = `table-${calls}`;
  await hangup.insertCall({ id, createdAt: Date.now() - 60_000, updatedAt: Date.now() - 60_000, ...parts });
  const record = async () => {
    const found = await hangup.store.findCall(id);
    if (found === null) throw new Error(`${id} is gone`);
    return found;
  };
  const ended = async () => {
    await expect.poll(async () => (await record()).call.endedAt).not.toBeNull();
    return (await record()).call;
  };
  const status = async () => (await record()).call.status;
  return { id, record, ended, status };
}

const ENDS = ['participant_left', 'participant_connection_aborted', 'room_finished'];

/**
 * Posts webhooks of a room that LiveKit lists without participants. hangup may poll the phones meanwhile, and a phone that the
 * list lacks makes no call active. Therefore each list before the first leave arrives after the webhooks.
 */
async function postAll({ url }: Hangup, bodies: readonly string[]) {
  for (const body of bodies) {
    const isEnd = ENDS.includes(JSON.parse(body).event);
    emulator.setFault('ListParticipants', isEnd ? null : { kind: 'slow', delayMs: 1_500 });
    expect(await postWebhook(url, body)).toMatchObject({
      status: 200,
      body: { data: { outcome: 'applied' } },
    });
  }
  emulator.setFault('ListParticipants', null);
}

/** Posts webhooks of a new call's room. */
async function deliverWebhooks(history: (room: Room) => string[], parts: object = {}) {
  const call = await insertNewCall(parts);
  await postAll(hangup, history(roomWebhooks(call.id)));
  return { ...call, ...(await call.record()) };
}

const isAgent = { identity: 'agent', kind: 'AGENT' } as const;
const isHuman = { identity: 'human' } as const;

/** Returns a call with an answered phone and an agent, in a room of the emulator. */
async function answeredCall() {
  const call = await insertNewCall();
  const phone = emulator.receiveCall({
    rule: 'direct',
    roomName: call.id,
    callerNumber: '+15557770001',
    calledNumber: '+15550002',
  });
  const agent = emulator.join(call.id, isAgent);
  agent.publishAudio();
  await emulator.webhooksDelivered(call.id);
  expect(await call.status()).toBe('active');
  return { ...call, phone, agent };
}

/** Returns a call of an agent and a person, in a room of the emulator. */
async function webCall() {
  const call = await insertNewCall();
  const agent = emulator.join(call.id, isAgent);
  const human = emulator.join(call.id, isHuman);
  await emulator.webhooksDelivered(call.id);
  expect(await call.status()).toBe('active');
  return { ...call, agent, human };
}

/** Waits for a grace period that starts now. All earlier grace periods expire before it. */
async function waitForAnotherGrace() {
  const { agent, ended } = await answeredCall();
  agent.leave();
  await ended();
}

const dialing = outboundPhone('dialing');
const outboundRinging = (room: Room) => [room.started(), room.joined(outboundPhone('ringing'))];
const outboundDialing = (room: Room) => [room.started(), room.joined(dialing)];
const inboundRinging = (room: Room) => [room.started(), room.joined(inboundPhone('ringing'))];
const inboundAnswered = (room: Room) => [...inboundRinging(room), room.joined(AGENT), room.published(AGENT)];
const webTalk = (room: Room) => [room.started(), room.joined(AGENT), room.joined(HUMAN)];

describe('call start', () => {
  test('room_started makes a call connecting, with the creation time of the room as startedAt', async () => {
    const createdAt = Date.now() - 1_234;
    const { id, record } = await insertNewCall({ createdAt: createdAt - 5_000 });
    const room = roomWebhooks(id, { createdAt });
    await postWebhook(hangup.url, room.started());
    expect((await record()).call).toMatchObject({
      status: 'connecting',
      startedAt: createdAt,
      roomId: room.sid,
    });
  });

  test.each(['dialing', 'ringing', 'automation', 'active'] as const)(
    'an outbound phone that joins with the status %s sets the status of the call',
    async (callStatus) => {
      const { call } = await deliverWebhooks((room) => [
        room.started(),
        room.joined(outboundPhone(callStatus)),
      ]);
      const expected = { dialing: 'connecting', ringing: 'ringing', automation: 'active', active: 'active' };
      expect(call).toMatchObject({
        status: expected[callStatus],
        phoneNumber: '+15551234567',
        sipParticipantId: 'PA_phone',
      });
    },
  );

  test.each(['dialing', 'ringing', 'active'] as const)(
    'an inbound phone that joins with the status %s sets the status of the call',
    async (callStatus) => {
      const { call } = await deliverWebhooks((room) => [
        room.started(),
        room.joined(inboundPhone(callStatus)),
      ]);
      expect(call.status).toBe(callStatus === 'dialing' ? 'connecting' : callStatus);
    },
  );

  test('an agent and a person together make a call active, and one alone does not', async () => {
    expect((await deliverWebhooks((room) => [room.started(), room.joined(HUMAN)])).call.status).toBe(
      'connecting',
    );
    expect((await deliverWebhooks((room) => [room.started(), room.joined(AGENT)])).call.status).toBe(
      'connecting',
    );
    const { call } = await deliverWebhooks(webTalk);
    expect(call).toMatchObject({ status: 'active', answeredAt: expect.any(Number) });
    expect(
      (await deliverWebhooks((room) => [room.started(), room.joined(HUMAN), room.joined(AGENT)])).call.status,
    ).toBe('active');
  });

  test('two people make a call active', async () => {
    const other = { sid: 'PA_other', identity: 'other' };
    const { call } = await deliverWebhooks((room) => [
      room.started(),
      room.joined(HUMAN),
      room.joined(other),
    ]);
    expect(call).toMatchObject({ status: 'active', answeredAt: expect.any(Number) });
  });

  test('an agent and a person do not make a call active while its phone rings', async () => {
    const { call } = await deliverWebhooks((room) => [
      ...outboundRinging(room),
      room.joined(AGENT),
      room.joined(HUMAN),
      room.published(HUMAN),
    ]);
    expect(call.status).toBe('ringing');
  });

  test('audio of another participant answers an inbound phone', async () => {
    expect((await deliverWebhooks(inboundAnswered)).call).toMatchObject({
      status: 'active',
      answeredAt: expect.any(Number),
    });
  });

  test("a phone's own audio, video, and an agent's audio to an outbound phone do not answer a phone", async () => {
    const own = await deliverWebhooks((room) => [
      ...inboundRinging(room),
      room.published(inboundPhone('ringing')),
    ]);
    expect(own.call.status).toBe('ringing');
    const outbound = await deliverWebhooks((room) => [
      ...outboundRinging(room),
      room.joined(AGENT),
      room.published(AGENT),
    ]);
    expect(outbound.call.status).toBe('ringing');
    const { id, status } = await insertNewCall();
    const room = roomWebhooks(id);
    for (const body of inboundRinging(room)) await postWebhook(hangup.url, body);
    expect(await postWebhook(hangup.url, room.published(AGENT, 'VIDEO'))).toMatchObject({
      body: { data: { outcome: 'ignored' } },
    });
    expect(await status()).toBe('ringing');
  });

  test('a join makes a call connecting when room_started was lost', async () => {
    expect((await deliverWebhooks((room) => [room.joined(HUMAN)])).call).toMatchObject({
      status: 'connecting',
      startedAt: expect.any(Number),
    });
  });
});

describe('a call is completed when its answered phone leaves', () => {
  test.each(['CLIENT_INITIATED', 'ROOM_DELETED', 'PARTICIPANT_REMOVED', 'ROOM_CLOSED'])(
    'with %s',
    async (reason) => {
      const outbound = await deliverWebhooks((room) => [
        ...outboundDialing(room),
        room.left(outboundPhone('hangup', { answered: true }), reason),
      ]);
      // hangup received no answer event, so the duration is null.
      expect(await outbound.ended()).toMatchObject({
        status: 'completed',
        failureReason: null,
        answeredAt: null,
      });
      const inbound = await deliverWebhooks((room) => [
        ...inboundAnswered(room),
        room.left(inboundPhone('hangup'), reason),
      ]);
      expect(await inbound.ended()).toMatchObject({ status: 'completed', failureReason: null });
    },
  );

  test.each(['CONNECTION_TIMEOUT', 'SIP_TRUNK_FAILURE'])('with %s, the failure reason', async (reason) => {
    const outbound = await deliverWebhooks((room) => [
      ...outboundDialing(room),
      room.left(outboundPhone('active', { answered: true }), reason),
    ]);
    expect(await outbound.ended()).toMatchObject({ status: 'completed', failureReason: reason });
    const inbound = await deliverWebhooks((room) => [
      ...inboundAnswered(room),
      room.left(inboundPhone('active'), reason),
    ]);
    expect(await inbound.ended()).toMatchObject({ status: 'completed', failureReason: reason });
  });

  test('and its room is deleted', async () => {
    const { phone, agent, record } = await answeredCall();
    phone.hangUp();
    expect(await agent.disconnected).toBe('ROOM_DELETED');
    await expect.poll(async () => (await record()).deletion?.state).toBe('completed');
  });

  test('and endedAt is the time of the leave, not of the confirmation', async () => {
    const { ended, record } = await deliverWebhooks((room) => [
      ...inboundAnswered(room),
      room.left(inboundPhone('hangup'), 'CLIENT_INITIATED'),
    ]);
    const { endedAt, answeredAt } = await ended();
    const leftAt = (await record()).call.roster?.lastPhoneLeft?.at ?? 0;
    // LiveKit's events have a resolution of one second, so the leave can appear to precede the answer.
    expect(endedAt).toBe(Math.max(leftAt, answeredAt ?? 0));
  });
});

describe('the last phone leaves before any was answered', () => {
  test.each<[string, string, 'ringing' | 'dialing', string]>([
    ['ROOM_DELETED', 'outbound', 'ringing', 'cancelled'],
    ['PARTICIPANT_REMOVED', 'outbound', 'dialing', 'cancelled'],
    ['USER_REJECTED', 'outbound', 'ringing', 'busy'],
    ['USER_REJECTED', 'outbound', 'dialing', 'failed'],
    ['USER_UNAVAILABLE', 'outbound', 'ringing', 'no_answer'],
    ['USER_UNAVAILABLE', 'outbound', 'dialing', 'failed'],
    ['CLIENT_INITIATED', 'outbound', 'ringing', 'failed'],
    ['CLIENT_INITIATED', 'outbound', 'dialing', 'failed'],
    ['SIP_TRUNK_FAILURE', 'outbound', 'dialing', 'failed'],
    ['ROOM_DELETED', 'inbound', 'ringing', 'cancelled'],
    ['PARTICIPANT_REMOVED', 'inbound', 'ringing', 'cancelled'],
    ['USER_REJECTED', 'inbound', 'ringing', 'failed'],
    ['USER_UNAVAILABLE', 'inbound', 'ringing', 'failed'],
    ['CLIENT_INITIATED', 'inbound', 'ringing', 'no_answer'],
  ])('with %s (%s, %s): the call becomes %s', async (reason, direction, callStatus, status) => {
    const { ended } =
      direction === 'inbound'
        ? await deliverWebhooks((room) => [
            ...inboundRinging(room),
            room.left(inboundPhone(callStatus), reason),
          ])
        : await deliverWebhooks((room) => [
            ...outboundDialing(room),
            room.left(outboundPhone(callStatus), reason),
          ]);
    const call = await ended();
    expect(call).toMatchObject({ status, failureReason: reason, cancelledBy: null });
  });
});

describe('a lost connection', () => {
  const BROKEN = [
    'SERVER_SHUTDOWN',
    'SIGNAL_CLOSE',
    'CONNECTION_TIMEOUT',
    'STATE_MISMATCH',
    'MEDIA_FAILURE',
    'JOIN_FAILURE',
  ];
  test.each(BROKEN)(
    '%s of an unanswered phone fails the call after the grace period, with the reason',
    async (reason) => {
      const { id, ended } = await deliverWebhooks((room) => [
        ...outboundDialing(room),
        room.left(outboundPhone('dialing'), reason),
      ]);
      const { roster, ...call } = await ended();
      expect(call).toMatchObject({ status: 'failed', failureReason: reason });
      const entries = await hangup.store.listCallEvents({ callId: id, after: 0, limit: 100 });
      const waitedMs = (entries.at(-1)?.at ?? 0) - (roster?.lastPhoneLeft?.noticedAt ?? 0);
      expect(waitedMs).toBeGreaterThanOrEqual(RECONNECT_GRACE_MS);
    },
  );

  test('of a ringing inbound phone fails the call', async () => {
    const { ended } = await deliverWebhooks((room) => [
      ...inboundRinging(room),
      room.left(inboundPhone('ringing'), 'SIGNAL_CLOSE'),
    ]);
    expect(await ended()).toMatchObject({ status: 'failed', failureReason: 'SIGNAL_CLOSE' });
  });

  test('of the agent of a single person completes the call after the grace period and deletes the room', async () => {
    const { agent, human, ended } = await webCall();
    agent.leave('SIGNAL_CLOSE');
    expect(await ended()).toMatchObject({ status: 'completed', failureReason: 'SIGNAL_CLOSE' });
    expect(await human.disconnected).toBe('ROOM_DELETED');
  });

  test('of the agent of two people keeps the call active', async () => {
    const { id, agent, status } = await webCall();
    emulator.join(id, { identity: 'other' });
    agent.leave('SIGNAL_CLOSE');
    await waitForAnotherGrace();
    expect(await status()).toBe('active');
  });

  test('of a person completes the call with the reason when LiveKit finishes the room', async () => {
    const { id, agent, human, status, ended } = await webCall();
    human.leave('SIGNAL_CLOSE');
    await waitForAnotherGrace();
    expect(await status()).toBe('active');
    agent.leave();
    emulator.closeIdleRoom(id);
    expect(await ended()).toMatchObject({ status: 'completed', failureReason: 'SIGNAL_CLOSE' });
  });

  test('completes the call after the grace period when only a stream is left', async () => {
    const { id, human, ended } = await webCall();
    const stream = emulator.join(id, { identity: 'stream', kind: 'INGRESS' });
    human.leave('SIGNAL_CLOSE');
    expect(await ended()).toMatchObject({ status: 'completed', failureReason: 'SIGNAL_CLOSE' });
    expect(await stream.disconnected).toBe('ROOM_DELETED');
  });

  test('of an agent keeps the call active when the agent returns within the grace period', async () => {
    const { id, agent, status } = await webCall();
    agent.leave('SIGNAL_CLOSE');
    emulator.join(id, isAgent);
    await waitForAnotherGrace();
    expect(await status()).toBe('active');
  });
});

describe('departures that do not end a call', () => {
  test('DUPLICATE_IDENTITY of a phone, an agent and a person', async () => {
    const { id, status } = await answeredCall();
    emulator.receiveCall({
      rule: 'direct',
      roomName: id,
      callerNumber: '+15557770001',
      calledNumber: '+15550002',
    });
    emulator.join(id, isAgent).publishAudio();
    const web = await webCall();
    emulator.join(web.id, isHuman);
    await waitForAnotherGrace();
    expect(await status()).toBe('active');
    expect(await web.status()).toBe('active');
  });

  test('MIGRATION of a phone, an agent and a person', async () => {
    const phoneCall = await answeredCall();
    emulator.dialOut(phoneCall.id, { phoneNumber: '+15551234567' }).migrate();
    phoneCall.agent.migrate();
    const web = await webCall();
    web.human.migrate();
    await waitForAnotherGrace();
    expect(await phoneCall.status()).toBe('active');
    expect(await web.status()).toBe('active');
  });

  test.each(['CLIENT_INITIATED', 'ROOM_DELETED', 'PARTICIPANT_REMOVED'])(
    '%s of a person, whose room LiveKit finishes later',
    async (reason) => {
      const { human, status } = await webCall();
      human.leave(reason);
      await waitForAnotherGrace();
      expect(await status()).toBe('active');
    },
  );
});

describe('a phone that is left alone', () => {
  test('completes the call with AGENT_LEFT after the grace period, and the room is deleted', async () => {
    const { agent, phone, record, ended } = await answeredCall();
    agent.leave();
    expect(await phone.disconnected).toBe('ROOM_DELETED');
    expect(await ended()).toMatchObject({ status: 'completed', failureReason: 'AGENT_LEFT' });
    await expect.poll(async () => (await record()).deletion?.state).toBe('completed');
  });

  test('keeps the call active when the agent returns within the grace period', async () => {
    const { id, agent, status } = await answeredCall();
    agent.leave();
    emulator.join(id, isAgent);
    await waitForAnotherGrace();
    expect(await status()).toBe('active');
  });

  test('is not one of two phones that an agent leaves', async () => {
    const { id, agent, status } = await answeredCall();
    emulator.dialOut(id, { phoneNumber: '+15551234567' }).answer();
    agent.leave();
    await waitForAnotherGrace();
    expect(await status()).toBe('active');
  });

  test('keeps ringing when it is inbound and nobody has joined', async () => {
    const { id, status } = await insertNewCall();
    emulator.receiveCall({
      rule: 'direct',
      roomName: id,
      callerNumber: '+15557770001',
      calledNumber: '+15550002',
    });
    await waitForAnotherGrace();
    expect(await status()).toBe('ringing');
  });

  test('keeps the call active when AGENT_LEFT_GRACE_MS is 0', async () => {
    // A list without the phone would begin a review.
    const url = await startGate(livekit.url, async ({ path }) => {
      if (path.endsWith('/ListParticipants')) await new Promise(() => {});
    });
    const off = await startHangup({ livekit: { ...livekit, url }, settings: { agentLeftGraceMs: 0 } });
    try {
      await off.insertCall({ id: 'off' });
      const room = roomWebhooks('off');
      await postAll(off, [...inboundAnswered(room), room.left(AGENT, 'CLIENT_INITIATED')]);
      expect(await off.store.listReviews({ maxDelayMs: 3_600_000, limit: 10 })).toEqual({
        due: [],
        nextAt: null,
      });
      expect((await off.store.findCall('off'))?.call.status).toBe('active');
    } finally {
      await off.stop();
    }
  });
});

test.each([
  ['outbound', outboundDialing, dialing],
  ['inbound', inboundRinging, inboundPhone('ringing')],
] as const)(
  'participant_connection_aborted of an unanswered %s phone fails the call',
  async (_, history, phone) => {
    const { ended } = await deliverWebhooks((room) => [
      ...history(room),
      room.left(phone, 'JOIN_FAILURE', 'participant_connection_aborted'),
    ]);
    expect(await ended()).toMatchObject({ status: 'failed', failureReason: 'JOIN_FAILURE' });
  },
);

test('participant_connection_aborted of an answered phone completes the call with the reason', async () => {
  const { ended } = await deliverWebhooks((room) => [
    ...inboundAnswered(room),
    room.left(inboundPhone('active'), 'JOIN_FAILURE', 'participant_connection_aborted'),
  ]);
  expect(await ended()).toMatchObject({ status: 'completed', failureReason: 'JOIN_FAILURE' });
});

describe('room_finished', () => {
  test.each<[string, (room: Room) => string[], string]>([
    ['an active phone call', inboundAnswered, 'completed'],
    ['an agent and a person', webTalk, 'completed'],
    ['a ringing phone', outboundRinging, 'no_answer'],
    ['a ringing inbound phone', inboundRinging, 'no_answer'],
    ['a dialled phone', outboundDialing, 'failed'],
    ['an empty room', (room) => [room.started()], 'failed'],
  ])('of %s makes the call %s at once, and no room is deleted', async (_, history, status) => {
    const { call, deletion } = await deliverWebhooks((room) => [...history(room), room.finished()]);
    expect(call.status).toBe(status);
    expect(deletion).toBeNull();
  });
});

describe('a recreated room', () => {
  const inSilence = async <T>(act: () => T): Promise<T> => {
    const end = emulator.dropWebhooks(() => true);
    const result = act();
    end();
    return result;
  };
  const cancelled = () => ({ status: 'cancelled', endedAt: Date.now() - 1_000 });

  test.each<[string, (room: Room) => string]>([
    ['room_started', (room) => room.started()],
    ['participant_joined', (room) => room.joined(HUMAN)],
  ])('of a cancelled call is deleted again after %s, and an event has the reason', async (name, sign) => {
    const { id, record } = await insertNewCall(cancelled());
    const person = await inSilence(() => emulator.join(id, { identity: 'somebody' }));
    expect(await postWebhook(hangup.url, sign(roomWebhooks(id)))).toMatchObject({ status: 200 });
    expect(await person.disconnected).toBe('ROOM_DELETED');
    await expect.poll(async () => (await record()).deletion?.state).toBe('completed');
    expect((await record()).call.status).toBe('cancelled');
    const entries = await hangup.store.listCallEvents({ callId: id, after: 0, limit: 100 });
    expect(entries.find(({ action }) => action === 'call.room_deletion_reopened')).toMatchObject({
      actor: 'livekit',
      reason: expect.stringMatching(new RegExp(`^the room of an ended call was recreated: ${name} EV_`)),
    });
  });

  test.each<[string, (room: Room) => string]>([
    ['room_started', (room) => room.started()],
    ['a returning person', (room) => room.joined(HUMAN)],
    ['a returning agent', (room) => room.joined(AGENT)],
    ['a new person', (room) => room.joined({ sid: 'PA_new', identity: 'new' })],
  ])('of a call that was not cancelled is left alone after %s', async (_, sign) => {
    const { id, record } = await deliverWebhooks((room) => [...webTalk(room), room.finished()]);
    expect(
      await postWebhook(hangup.url, sign(roomWebhooks(id, { createdAt: Date.now() + 1 }))),
    ).toMatchObject({
      status: 200,
      body: { data: { outcome: 'applied' } },
    });
    expect((await record()).deletion).toBeNull();
  });

  test('of a call that was not cancelled is deleted when its phone returns alone', async () => {
    const { id, record } = await deliverWebhooks((room) => [...inboundAnswered(room), room.finished()]);
    expect((await record()).deletion).toBeNull();
    const later = roomWebhooks(id, { createdAt: Date.now() + 1 });
    await postWebhook(hangup.url, later.joined({ ...inboundPhone('ringing'), sid: 'PA_again' }));
    await expect.poll(async () => (await record()).deletion?.state).toBe('completed');
  });

  test('is not deleted after RECREATED_ROOM_WINDOW_MS', async () => {
    const dayAgo = Date.now() - 86_400_000;
    await hangup.insertCall({
      id: 'long-ago',
      status: 'cancelled',
      createdAt: dayAgo - 120_000,
      endedAt: dayAgo - 60_000,
    });
    expect(await postWebhook(hangup.url, roomWebhooks('long-ago').joined(HUMAN))).toMatchObject({
      body: { data: { outcome: 'unknown_room' } },
    });
    expect((await hangup.store.findCall('long-ago'))?.deletion).toBeNull();
  });

  test('an event belongs to the live call when an ended call has the same room name', async () => {
    const first = await deliverWebhooks((room) => [...webTalk(room), room.finished()]);
    await hangup.insertCall({ id: `${first.id}-again`, roomName: first.id, createdAt: Date.now() });
    expect(await postWebhook(hangup.url, roomWebhooks(first.id).started())).toMatchObject({ status: 200 });
    expect((await first.record()).deletion).toBeNull();
    expect((await hangup.store.findCall(`${first.id}-again`))?.call.status).toBe('connecting');
  });

  test('late events of an earlier session change nothing', async () => {
    const { id, record, status } = await insertNewCall();
    const earlier = roomWebhooks(id, { createdAt: Date.now() - 50_000 });
    const room = roomWebhooks(id);
    for (const body of webTalk(earlier)) await postWebhook(hangup.url, body);
    await postWebhook(hangup.url, room.started());
    await postWebhook(hangup.url, room.joined({ ...HUMAN, sid: 'PA_2' }));
    await postWebhook(hangup.url, earlier.left(HUMAN, 'CLIENT_INITIATED'));
    await postWebhook(hangup.url, earlier.finished());
    expect((await record()).call).toMatchObject({ status: 'active', roomId: room.sid });
    await postWebhook(hangup.url, room.finished());
    expect(await status()).toBe('completed');
  });
});
