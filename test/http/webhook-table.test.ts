import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Emulator } from '../../src/emulator/emulator.ts';
import { type Hangup, startHangup, until } from '../harness/hangup.ts';
import { freePorts, type LiveKitUnderTest, startEmulated } from '../harness/livekit.ts';
import { AGENT, HUMAN, inboundPhone, outboundPhone, post, roomTold } from '../harness/webhooks.ts';

/*
 * The table from LiveKit's events to a call's status, row by row, over HTTP with real signatures. hangup asks LiveKit
 * before a call ends by inference: where participants must be there, the emulator has them, and sends the webhooks.
 */

const AGENT_LEFT_GRACE_MS = 150;
const CONNECTION_LOST_GRACE_MS = 150;

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
      reconnectGraceMs: CONNECTION_LOST_GRACE_MS,
    },
  });
});
afterAll(async () => {
  await hangup.stop();
  await livekit.stop();
});

let calls = 0;
type Room = ReturnType<typeof roomTold>;

/** Puts a new call on record. */
async function aCall(parts: object = {}) {
  calls += 1;
  const id = `table-${calls}`;
  await hangup.putCall({ id, createdAt: Date.now() - 60_000, updatedAt: Date.now() - 60_000, ...parts });
  const record = async () => {
    const found = await hangup.store.findCall(id);
    if (found === null) throw new Error(`${id} is gone`);
    return found;
  };
  const ended = async () => {
    await until(`${id} has ended`, async () => (await record()).call.endedAt !== null);
    return (await record()).call;
  };
  const status = async () => (await record()).call.status;
  return { id, record, ended, status };
}

/** Posts webhooks of a new call's room, in which LiveKit lists nobody. */
async function told(history: (room: Room) => string[], parts: object = {}) {
  const one = await aCall(parts);
  for (const body of history(roomTold(one.id))) {
    expect(await post(hangup.url, body)).toMatchObject({
      status: 200,
      body: { data: { outcome: 'applied' } },
    });
  }
  return { ...one, ...(await one.record()) };
}

const isAgent = { identity: 'agent', kind: 'AGENT' } as const;
const isHuman = { identity: 'human' } as const;

/** A call whose phone an agent has answered, in a room of the emulator. */
async function answeredCall() {
  const one = await aCall();
  const phone = emulator.receiveCall({
    rule: 'direct',
    roomName: one.id,
    callerNumber: '+15557770001',
    calledNumber: '+15550002',
  });
  const agent = emulator.join(one.id, isAgent);
  agent.publishAudio();
  await emulator.webhooksDelivered(one.id);
  expect(await one.status()).toBe('active');
  return { ...one, phone, agent };
}

/** A call in which an agent and a person talk, in a room of the emulator. */
async function webCall() {
  const one = await aCall();
  const agent = emulator.join(one.id, isAgent);
  const human = emulator.join(one.id, isHuman);
  await emulator.webhooksDelivered(one.id);
  expect(await one.status()).toBe('active');
  return { ...one, agent, human };
}

/** A grace that begins now is over after each grace that began before. */
async function anotherGraceIsOver() {
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

describe('a call begins', () => {
  test('room_started: connecting, and startedAt is the time of the room', async () => {
    const createdAt = Date.now() - 1_234;
    const { id, record } = await aCall({ createdAt: createdAt - 5_000 });
    const room = roomTold(id, { createdAt });
    await post(hangup.url, room.started());
    expect((await record()).call).toMatchObject({
      status: 'connecting',
      startedAt: createdAt,
      roomId: room.sid,
    });
  });

  test.each(['dialing', 'ringing', 'automation', 'active'] as const)(
    'an outbound phone with the status %s joins',
    async (callStatus) => {
      const { call } = await told((room) => [room.started(), room.joined(outboundPhone(callStatus))]);
      const expected = { dialing: 'connecting', ringing: 'ringing', automation: 'active', active: 'active' };
      expect(call).toMatchObject({
        status: expected[callStatus],
        phoneNumber: '+15551234567',
        sipParticipantId: 'PA_phone',
      });
    },
  );

  test.each(['dialing', 'ringing', 'active'] as const)(
    'an inbound phone with the status %s joins',
    async (callStatus) => {
      const { call } = await told((room) => [room.started(), room.joined(inboundPhone(callStatus))]);
      expect(call.status).toBe(callStatus === 'dialing' ? 'connecting' : callStatus);
    },
  );

  test('an agent and a person make a call active, one of them does not', async () => {
    expect((await told((room) => [room.started(), room.joined(HUMAN)])).call.status).toBe('connecting');
    expect((await told((room) => [room.started(), room.joined(AGENT)])).call.status).toBe('connecting');
    const { call } = await told(webTalk);
    expect(call).toMatchObject({ status: 'active', answeredAt: expect.any(Number) });
    expect((await told((room) => [room.started(), room.joined(HUMAN), room.joined(AGENT)])).call.status).toBe(
      'active',
    );
  });

  test('two people make a call active', async () => {
    const other = { sid: 'PA_other', identity: 'other' };
    const { call } = await told((room) => [room.started(), room.joined(HUMAN), room.joined(other)]);
    expect(call).toMatchObject({ status: 'active', answeredAt: expect.any(Number) });
  });

  test('an agent and a person do not make a call active whose phone rings', async () => {
    const { call } = await told((room) => [
      ...outboundRinging(room),
      room.joined(AGENT),
      room.joined(HUMAN),
      room.published(HUMAN),
    ]);
    expect(call.status).toBe('ringing');
  });

  test("another participant's audio answers an inbound phone", async () => {
    expect((await told(inboundAnswered)).call).toMatchObject({
      status: 'active',
      answeredAt: expect.any(Number),
    });
  });

  test("a phone's own audio, video, or an agent's audio to an outbound phone answers nothing", async () => {
    const own = await told((room) => [...inboundRinging(room), room.published(inboundPhone('ringing'))]);
    expect(own.call.status).toBe('ringing');
    const outbound = await told((room) => [
      ...outboundRinging(room),
      room.joined(AGENT),
      room.published(AGENT),
    ]);
    expect(outbound.call.status).toBe('ringing');
    const { id, status } = await aCall();
    const room = roomTold(id);
    for (const body of inboundRinging(room)) await post(hangup.url, body);
    expect(await post(hangup.url, room.published(AGENT, 'VIDEO'))).toMatchObject({
      body: { data: { outcome: 'ignored' } },
    });
    expect(await status()).toBe('ringing');
  });

  test('a join shows that the room is there when room_started was lost', async () => {
    expect((await told((room) => [room.joined(HUMAN)])).call).toMatchObject({
      status: 'connecting',
      startedAt: expect.any(Number),
    });
  });
});

describe('an answered phone leaves: completed', () => {
  test.each(['CLIENT_INITIATED', 'ROOM_DELETED', 'PARTICIPANT_REMOVED', 'ROOM_CLOSED'])(
    '%s',
    async (reason) => {
      const outbound = await told((room) => [
        ...outboundDialing(room),
        room.left(outboundPhone('hangup', { answered: true }), reason),
      ]);
      // hangup never saw the answer, so the duration is null.
      expect(await outbound.ended()).toMatchObject({
        status: 'completed',
        failureReason: null,
        answeredAt: null,
      });
      const inbound = await told((room) => [
        ...inboundAnswered(room),
        room.left(inboundPhone('hangup'), reason),
      ]);
      expect(await inbound.ended()).toMatchObject({ status: 'completed', failureReason: null });
    },
  );

  test.each(['CONNECTION_TIMEOUT', 'SIP_TRUNK_FAILURE'])('%s: with the reason', async (reason) => {
    const outbound = await told((room) => [
      ...outboundDialing(room),
      room.left(outboundPhone('active', { answered: true }), reason),
    ]);
    expect(await outbound.ended()).toMatchObject({ status: 'completed', failureReason: reason });
    const inbound = await told((room) => [
      ...inboundAnswered(room),
      room.left(inboundPhone('active'), reason),
    ]);
    expect(await inbound.ended()).toMatchObject({ status: 'completed', failureReason: reason });
  });

  test('its room is deleted, because an agent may be in it', async () => {
    const { phone, agent, record } = await answeredCall();
    phone.hangUp();
    expect(await agent.disconnected).toBe('ROOM_DELETED');
    await until('the deletion is settled', async () => (await record()).deletion?.state === 'completed');
  });

  test('endedAt is the time of its leaving, not of the confirmation', async () => {
    const { ended, record } = await told((room) => [
      ...inboundAnswered(room),
      room.left(inboundPhone('hangup'), 'CLIENT_INITIATED'),
    ]);
    const { endedAt, answeredAt } = await ended();
    const leftAt = (await record()).call.roster?.lastPhoneLeft?.at ?? 0;
    // LiveKit's events have whole seconds, so the leaving may seem to come before the answer.
    expect(endedAt).toBe(Math.max(leftAt, answeredAt ?? 0));
  });
});

describe('the last phone leaves, and none was answered', () => {
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
  ])('%s, %s, %s: %s', async (reason, direction, callStatus, status) => {
    const { ended } =
      direction === 'inbound'
        ? await told((room) => [...inboundRinging(room), room.left(inboundPhone(callStatus), reason)])
        : await told((room) => [...outboundDialing(room), room.left(outboundPhone(callStatus), reason)]);
    const call = await ended();
    expect(call).toMatchObject({ status, failureReason: reason, cancelledBy: null });
  });
});

describe('a connection breaks', () => {
  const BROKEN = [
    'SERVER_SHUTDOWN',
    'SIGNAL_CLOSE',
    'CONNECTION_TIMEOUT',
    'STATE_MISMATCH',
    'MEDIA_FAILURE',
    'JOIN_FAILURE',
  ];
  test.each(BROKEN)('%s: an unanswered phone fails after the grace, with the reason', async (reason) => {
    const { id, ended } = await told((room) => [
      ...outboundDialing(room),
      room.left(outboundPhone('dialing'), reason),
    ]);
    const { roster, ...call } = await ended();
    expect(call).toMatchObject({ status: 'failed', failureReason: reason });
    const entries = await hangup.store.listCallEvents({ callId: id, after: 0, limit: 100 });
    const waitedMs = (entries.at(-1)?.at ?? 0) - (roster?.lastPhoneLeft?.noticedAt ?? 0);
    expect(waitedMs).toBeGreaterThanOrEqual(CONNECTION_LOST_GRACE_MS);
  });

  test('an inbound phone that rings fails too', async () => {
    const { ended } = await told((room) => [
      ...inboundRinging(room),
      room.left(inboundPhone('ringing'), 'SIGNAL_CLOSE'),
    ]);
    expect(await ended()).toMatchObject({ status: 'failed', failureReason: 'SIGNAL_CLOSE' });
  });

  test("the agent's, with a single person: completed after the grace, and the room is deleted", async () => {
    const { agent, human, ended } = await webCall();
    agent.leave('SIGNAL_CLOSE');
    expect(await ended()).toMatchObject({ status: 'completed', failureReason: 'SIGNAL_CLOSE' });
    expect(await human.disconnected).toBe('ROOM_DELETED');
  });

  test("the agent's, with two people: the call goes on", async () => {
    const { id, agent, status } = await webCall();
    emulator.join(id, { identity: 'other' });
    agent.leave('SIGNAL_CLOSE');
    await anotherGraceIsOver();
    expect(await status()).toBe('active');
  });

  test("a person's ends the call when LiveKit finishes the room, with the reason", async () => {
    const { id, agent, human, status, ended } = await webCall();
    human.leave('SIGNAL_CLOSE');
    await anotherGraceIsOver();
    expect(await status()).toBe('active');
    agent.leave();
    emulator.closeIdleRoom(id);
    expect(await ended()).toMatchObject({ status: 'completed', failureReason: 'SIGNAL_CLOSE' });
  });

  test('a participant who counts for nothing does not hold a call open after the grace', async () => {
    const { id, human, ended } = await webCall();
    const stream = emulator.join(id, { identity: 'stream', kind: 'INGRESS' });
    human.leave('SIGNAL_CLOSE');
    expect(await ended()).toMatchObject({ status: 'completed', failureReason: 'SIGNAL_CLOSE' });
    expect(await stream.disconnected).toBe('ROOM_DELETED');
  });

  test('an agent that comes back in time keeps the call', async () => {
    const { id, agent, status } = await webCall();
    agent.leave('SIGNAL_CLOSE');
    emulator.join(id, isAgent);
    await anotherGraceIsOver();
    expect(await status()).toBe('active');
  });
});

describe('a leaving ends nothing by itself', () => {
  test('a phone, an agent and a person who are replaced (DUPLICATE_IDENTITY)', async () => {
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
    await anotherGraceIsOver();
    expect(await status()).toBe('active');
    expect(await web.status()).toBe('active');
  });

  test('a phone, an agent and a person who move to another node (MIGRATION)', async () => {
    const phoneCall = await answeredCall();
    emulator.dialOut(phoneCall.id, { phoneNumber: '+15551234567' }).migrate();
    phoneCall.agent.migrate();
    const web = await webCall();
    web.human.migrate();
    await anotherGraceIsOver();
    expect(await phoneCall.status()).toBe('active');
    expect(await web.status()).toBe('active');
  });

  test.each(['CLIENT_INITIATED', 'ROOM_DELETED', 'PARTICIPANT_REMOVED'])(
    'a person who leaves with %s: the room will finish',
    async (reason) => {
      const { human, status } = await webCall();
      human.leave(reason);
      await anotherGraceIsOver();
      expect(await status()).toBe('active');
    },
  );
});

describe('a phone is left alone', () => {
  test('after the grace the call is completed, AGENT_LEFT, and its room is deleted', async () => {
    const { agent, phone, record, ended } = await answeredCall();
    agent.leave();
    expect(await phone.disconnected).toBe('ROOM_DELETED');
    expect(await ended()).toMatchObject({ status: 'completed', failureReason: 'AGENT_LEFT' });
    await until('the deletion is settled', async () => (await record()).deletion?.state === 'completed');
  });

  test('an agent that comes back in time stops the grace', async () => {
    const { id, agent, status } = await answeredCall();
    agent.leave();
    emulator.join(id, isAgent);
    await anotherGraceIsOver();
    expect(await status()).toBe('active');
  });

  test('two phones that an agent leaves talk on', async () => {
    const { id, agent, status } = await answeredCall();
    emulator.dialOut(id, { phoneNumber: '+15551234567' }).answer();
    agent.leave();
    await anotherGraceIsOver();
    expect(await status()).toBe('active');
  });

  test('an inbound phone that nobody has joined waits', async () => {
    const { id, status } = await aCall();
    emulator.receiveCall({
      rule: 'direct',
      roomName: id,
      callerNumber: '+15557770001',
      calledNumber: '+15550002',
    });
    await anotherGraceIsOver();
    expect(await status()).toBe('ringing');
  });

  test('0 turns the grace off', async () => {
    const off = await startHangup({ livekit, settings: { agentLeftGraceMs: 0 } });
    try {
      await off.putCall({ id: 'off' });
      const room = roomTold('off');
      for (const body of [...inboundAnswered(room), room.left(AGENT, 'CLIENT_INITIATED')]) {
        await post(off.url, body);
      }
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
] as const)('participant_connection_aborted of an unanswered %s phone: failed', async (_, history, phone) => {
  const { ended } = await told((room) => [
    ...history(room),
    room.left(phone, 'JOIN_FAILURE', 'participant_connection_aborted'),
  ]);
  expect(await ended()).toMatchObject({ status: 'failed', failureReason: 'JOIN_FAILURE' });
});

test('participant_connection_aborted of an answered phone is its leaving: completed, with the reason', async () => {
  const { ended } = await told((room) => [
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
  ])('of %s: %s at once, and nothing is deleted', async (_, history, status) => {
    const { call, deletion } = await told((room) => [...history(room), room.finished()]);
    expect(call.status).toBe(status);
    expect(deletion).toBeNull();
  });
});

describe('the room of an ended call shows life', () => {
  const inSilence = async <T>(act: () => T): Promise<T> => {
    const end = emulator.dropWebhooks(() => true);
    const result = act();
    end();
    return result;
  };
  const cancelled = { status: 'cancelled', endedAt: Date.now() - 1_000 };

  test.each<[string, (room: Room) => string]>([
    ['room_started', (room) => room.started()],
    ['participant_joined', (room) => room.joined(HUMAN)],
  ])(
    '%s: the room of a cancelled call is deleted again, and the audit log has the reason',
    async (name, sign) => {
      const { id, record } = await aCall(cancelled);
      const person = await inSilence(() => emulator.join(id, { identity: 'somebody' }));
      expect(await post(hangup.url, sign(roomTold(id)))).toMatchObject({ status: 200 });
      expect(await person.disconnected).toBe('ROOM_DELETED');
      await until('the deletion is settled', async () => (await record()).deletion?.state === 'completed');
      expect((await record()).call.status).toBe('cancelled');
      const entries = await hangup.store.listCallEvents({ callId: id, after: 0, limit: 100 });
      expect(entries.find(({ action }) => action === 'call.room_deletion_reopened')).toMatchObject({
        actor: 'livekit',
        reason: expect.stringMatching(new RegExp(`^the room of an ended call was recreated: ${name} EV_`)),
      });
    },
  );

  test.each<[string, (room: Room) => string]>([
    ['room_started', (room) => room.started()],
    ['a returning person', (room) => room.joined(HUMAN)],
    ['a returning agent', (room) => room.joined(AGENT)],
    ['a new person', (room) => room.joined({ sid: 'PA_new', identity: 'new' })],
  ])('%s: the room of a call that ended by itself is left alone', async (_, sign) => {
    const { id, record } = await told((room) => [...webTalk(room), room.finished()]);
    expect(await post(hangup.url, sign(roomTold(id, { createdAt: Date.now() + 1 })))).toMatchObject({
      status: 200,
      body: { data: { outcome: 'applied' } },
    });
    expect((await record()).deletion).toBeNull();
  });

  test('a phone that comes back alone after its call ended by itself: the room is deleted', async () => {
    const { id, record } = await told((room) => [...inboundAnswered(room), room.finished()]);
    expect((await record()).deletion).toBeNull();
    const later = roomTold(id, { createdAt: Date.now() + 1 });
    await post(hangup.url, later.joined({ ...inboundPhone('ringing'), sid: 'PA_again' }));
    await until('the deletion is settled', async () => (await record()).deletion?.state === 'completed');
  });

  test('nothing is deleted after the guard time', async () => {
    const dayAgo = Date.now() - 86_400_000;
    await hangup.putCall({
      id: 'long-ago',
      status: 'cancelled',
      createdAt: dayAgo - 120_000,
      endedAt: dayAgo - 60_000,
    });
    expect(await post(hangup.url, roomTold('long-ago').joined(HUMAN))).toMatchObject({
      body: { data: { outcome: 'unknown_room' } },
    });
    expect((await hangup.store.findCall('long-ago'))?.deletion).toBeNull();
  });

  test('an event belongs to the new live call of that name', async () => {
    const first = await told((room) => [...webTalk(room), room.finished()]);
    await hangup.putCall({ id: `${first.id}-again`, roomName: first.id, createdAt: Date.now() });
    expect(await post(hangup.url, roomTold(first.id).started())).toMatchObject({ status: 200 });
    expect((await first.record()).deletion).toBeNull();
    expect((await hangup.store.findCall(`${first.id}-again`))?.call.status).toBe('connecting');
  });

  test('late events of an earlier session change nothing', async () => {
    const { id, record, status } = await aCall();
    const earlier = roomTold(id, { createdAt: Date.now() - 50_000 });
    const room = roomTold(id);
    for (const body of webTalk(earlier)) await post(hangup.url, body);
    await post(hangup.url, room.started());
    await post(hangup.url, room.joined({ ...HUMAN, sid: 'PA_2' }));
    await post(hangup.url, earlier.left(HUMAN, 'CLIENT_INITIATED'));
    await post(hangup.url, earlier.finished());
    expect((await record()).call).toMatchObject({ status: 'active', roomId: room.sid });
    await post(hangup.url, room.finished());
    expect(await status()).toBe('completed');
  });
});
