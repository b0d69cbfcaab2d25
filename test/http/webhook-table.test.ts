import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Hangup, startHangup, until } from '../harness/hangup.ts';
import { AGENT, HUMAN, inboundPhone, outboundPhone, post, roomTold } from '../harness/webhooks.ts';

/* The table from LiveKit's event to the call's status, row by row, in through the door with a real signature. */

const AGENT_LEFT_GRACE_MS = 150;
const CONNECTION_LOST_GRACE_MS = 150;

let hangup: Hangup;
beforeAll(async () => {
  hangup = await startHangup({
    settings: { agentLeftGraceMs: AGENT_LEFT_GRACE_MS, connectionLostGraceMs: CONNECTION_LOST_GRACE_MS },
  });
});
afterAll(() => hangup.stop());

let calls = 0;
type Room = ReturnType<typeof roomTold>;

/** Tells hangup of a new call's room, and says what became of the call. */
async function told(history: (room: Room) => string[], parts: object = {}) {
  calls += 1;
  const id = `table-${calls}`;
  await hangup.putCall({ id, createdAt: Date.now() - 60_000, updatedAt: Date.now() - 60_000, ...parts });
  for (const body of history(roomTold(id))) {
    expect(await post(hangup.url, body)).toMatchObject({
      status: 200,
      body: { data: { outcome: 'applied' } },
    });
  }
  const record = async () => {
    const found = await hangup.store.findCall(id);
    if (found === null) throw new Error(`${id} is gone`);
    return found;
  };
  const { call, deletion } = await record();
  return { id, call, deletion, record };
}

const dialing = outboundPhone('dialing');
const outboundRinging = (room: Room) => [room.started(), room.joined(outboundPhone('ringing'))];
const outboundDialing = (room: Room) => [room.started(), room.joined(dialing)];
const inboundRinging = (room: Room) => [room.started(), room.joined(inboundPhone('ringing'))];
const inboundAnswered = (room: Room) => [...inboundRinging(room), room.joined(AGENT), room.published(AGENT)];
const webTalk = (room: Room) => [room.started(), room.joined(AGENT), room.joined(HUMAN)];

describe('it begins', () => {
  test('room_started: connecting, started when the room was', async () => {
    const createdAt = Date.now() - 1_234;
    calls += 1;
    const id = `table-${calls}`;
    await hangup.putCall({ id, createdAt: createdAt - 5_000 });
    const room = roomTold(id, { createdAt });
    await post(hangup.url, room.started());
    expect((await hangup.store.findCall(id))?.call).toMatchObject({
      status: 'connecting',
      startedAt: createdAt,
      roomId: room.sid,
    });
  });

  test.each(['dialing', 'ringing', 'active'] as const)('an outbound phone that is %s', async (callStatus) => {
    const { call } = await told((room) => [room.started(), room.joined(outboundPhone(callStatus))]);
    expect(call).toMatchObject({
      status: callStatus === 'dialing' ? 'connecting' : callStatus,
      phoneNumber: '+15551234567',
      sipParticipantId: 'PA_phone',
    });
  });

  test.each(['dialing', 'ringing', 'active'] as const)('an inbound phone that is %s', async (callStatus) => {
    const { call } = await told((room) => [room.started(), room.joined(inboundPhone(callStatus))]);
    expect(call.status).toBe(callStatus === 'dialing' ? 'connecting' : callStatus);
  });

  test('an agent and a human: active once both are there', async () => {
    expect((await told((room) => [room.started(), room.joined(HUMAN)])).call.status).toBe('connecting');
    expect((await told((room) => [room.started(), room.joined(AGENT)])).call.status).toBe('connecting');
    const { call } = await told(webTalk);
    expect(call).toMatchObject({ status: 'active', answeredAt: expect.any(Number) });
    expect((await told((room) => [room.started(), room.joined(HUMAN), room.joined(AGENT)])).call.status).toBe(
      'active',
    );
  });

  test("another participant's audio answers an inbound phone", async () => {
    expect((await told(inboundAnswered)).call).toMatchObject({
      status: 'active',
      answeredAt: expect.any(Number),
    });
  });

  test("the phone's own audio, video, or an agent's audio to an outbound phone answer nothing", async () => {
    const own = await told((room) => [...inboundRinging(room), room.published(inboundPhone('ringing'))]);
    expect(own.call.status).toBe('ringing');
    const outbound = await told((room) => [
      ...outboundRinging(room),
      room.joined(AGENT),
      room.published(AGENT),
    ]);
    expect(outbound.call.status).toBe('ringing');
    calls += 1;
    const id = `table-${calls}`;
    await hangup.putCall({ id });
    const room = roomTold(id);
    for (const body of inboundRinging(room)) await post(hangup.url, body);
    expect(await post(hangup.url, room.published(AGENT, 'VIDEO'))).toMatchObject({
      body: { data: { outcome: 'ignored' } },
    });
    expect((await hangup.store.findCall(id))?.call.status).toBe('ringing');
  });

  test('any sign shows that the room is there, also when room_started was lost', async () => {
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
      // When it was answered was never seen, so the duration is no guess.
      expect(outbound.call).toMatchObject({ status: 'completed', failureReason: null, answeredAt: null });
      const inbound = await told((room) => [
        ...inboundAnswered(room),
        room.left(inboundPhone('hangup'), reason),
      ]);
      expect(inbound.call).toMatchObject({ status: 'completed', failureReason: null });
    },
  );

  test.each(['CONNECTION_TIMEOUT', 'SIP_TRUNK_FAILURE'])('%s: with the reason', async (reason) => {
    const { call } = await told((room) => [
      ...outboundDialing(room),
      room.left(outboundPhone('active', { answered: true }), reason),
    ]);
    expect(call).toMatchObject({ status: 'completed', failureReason: reason });
    const inbound = await told((room) => [
      ...inboundAnswered(room),
      room.left(inboundPhone('active'), reason),
    ]);
    expect(inbound.call).toMatchObject({ status: 'completed', failureReason: reason });
  });

  test('its room is deleted, for an agent may be in it', async () => {
    const { record } = await told((room) => [
      ...inboundAnswered(room),
      room.left(inboundPhone('hangup'), 'CLIENT_INITIATED'),
    ]);
    await until('the deletion is done', async () => (await record()).deletion?.state === 'completed');
  });
});

describe('a phone leaves that nobody answered', () => {
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
    const { call } =
      direction === 'inbound'
        ? await told((room) => [...inboundRinging(room), room.left(inboundPhone(callStatus), reason)])
        : await told((room) => [...outboundDialing(room), room.left(outboundPhone(callStatus), reason)]);
    expect(call).toMatchObject({ status, failureReason: reason, cancelledBy: null });
    expect(call.endedAt).not.toBeNull();
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
  test.each(BROKEN)('%s: an unanswered phone fails after a grace, with the reason', async (reason) => {
    const { call, record } = await told((room) => [
      ...outboundDialing(room),
      room.left(outboundPhone('dialing'), reason),
    ]);
    expect(call.status).toBe('connecting');
    await until('the grace is over', async () => (await record()).call.endedAt !== null);
    expect((await record()).call).toMatchObject({ status: 'failed', failureReason: reason });
  });

  test('an inbound phone that rings fails too', async () => {
    const { record } = await told((room) => [
      ...inboundRinging(room),
      room.left(inboundPhone('ringing'), 'SIGNAL_CLOSE'),
    ]);
    await until('the grace is over', async () => (await record()).call.endedAt !== null);
    expect((await record()).call).toMatchObject({ status: 'failed', failureReason: 'SIGNAL_CLOSE' });
  });

  test('without a phone: completed if it was active, else failed', async () => {
    const talk = await told((room) => [...webTalk(room), room.left(HUMAN, 'SIGNAL_CLOSE')]);
    await until('the grace is over', async () => (await talk.record()).call.endedAt !== null);
    expect((await talk.record()).call).toMatchObject({ status: 'completed', failureReason: 'SIGNAL_CLOSE' });
    const wait = await told((room) => [room.started(), room.joined(HUMAN), room.left(HUMAN, 'SIGNAL_CLOSE')]);
    await until('the grace is over', async () => (await wait.record()).call.endedAt !== null);
    expect((await wait.record()).call).toMatchObject({ status: 'failed', failureReason: 'SIGNAL_CLOSE' });
  });

  test('who comes back in time goes on', async () => {
    const back = { ...HUMAN, sid: 'PA_human_again' };
    const { id } = await told((room) => [
      ...webTalk(room),
      room.left(HUMAN, 'SIGNAL_CLOSE'),
      room.joined(back),
    ]);
    // Another grace, begun after this one, is settled after it.
    const later = await told((room) => [...webTalk(room), room.left(HUMAN, 'SIGNAL_CLOSE')]);
    await until('the later one is over', async () => (await later.record()).call.endedAt !== null);
    expect((await hangup.store.findCall(id))?.call.status).toBe('active');
  });
});

describe('what ends nothing by itself', () => {
  test.each(['DUPLICATE_IDENTITY', 'MIGRATION'])(
    'a phone, an agent or a human left by %s',
    async (reason) => {
      const phone = await told((room) => [
        ...inboundAnswered(room),
        room.left(inboundPhone('active'), reason),
        room.left(AGENT, reason),
      ]);
      expect(phone.call.status).toBe('active');
      expect((await told((room) => [...webTalk(room), room.left(HUMAN, reason)])).call.status).toBe('active');
    },
  );

  test.each(['CLIENT_INITIATED', 'ROOM_DELETED', 'PARTICIPANT_REMOVED'])(
    'a human who leaves by %s: the room will finish',
    async (reason) => {
      expect((await told((room) => [...webTalk(room), room.left(HUMAN, reason)])).call.status).toBe('active');
    },
  );
});

describe('the agent leaves a phone alone', () => {
  test('after the grace the call is completed, AGENT_LEFT, and its room deleted', async () => {
    const { call, record } = await told((room) => [
      ...inboundAnswered(room),
      room.left(AGENT, 'CLIENT_INITIATED'),
    ]);
    expect(call.status).toBe('active');
    await until('the room is deleted', async () => (await record()).deletion?.state === 'completed');
    expect((await record()).call).toMatchObject({ status: 'completed', failureReason: 'AGENT_LEFT' });
  });

  test('an agent that comes back in time stops that', async () => {
    const { id } = await told((room) => [
      ...inboundAnswered(room),
      room.left(AGENT, 'CLIENT_INITIATED'),
      room.joined({ ...AGENT, sid: 'PA_agent_again' }),
    ]);
    const later = await told((room) => [...inboundAnswered(room), room.left(AGENT, 'CLIENT_INITIATED')]);
    await until('a later grace is over', async () => (await later.record()).call.endedAt !== null);
    expect((await hangup.store.findCall(id))?.call.status).toBe('active');
  });

  test('0 turns it off', async () => {
    const off = await startHangup({ livekit: hangup.livekit, settings: { agentLeftGraceMs: 0 } });
    try {
      await off.putCall({ id: 'off' });
      const room = roomTold('off');
      for (const body of [...inboundAnswered(room), room.left(AGENT, 'CLIENT_INITIATED')]) {
        await post(off.url, body);
      }
      expect(await off.store.settleGraces({ now: Date.now() + 3_600_000, limit: 10 })).toEqual({
        ended: [],
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
] as const)('participant_connection_aborted of an %s phone: failed', async (_, history, phone) => {
  const { call } = await told((room) => [
    ...history(room),
    room.left(phone, 'JOIN_FAILURE', 'participant_connection_aborted'),
  ]);
  expect(call).toMatchObject({ status: 'failed', failureReason: 'JOIN_FAILURE' });
});

describe('room_finished', () => {
  test.each<[string, (room: Room) => string[], string]>([
    ['an active phone call', inboundAnswered, 'completed'],
    ['a talk', webTalk, 'completed'],
    ['a ringing phone', outboundRinging, 'no_answer'],
    ['a ringing inbound phone', inboundRinging, 'no_answer'],
    ['a phone that was dialled', outboundDialing, 'failed'],
    ['a room that nobody joined', (room) => [room.started()], 'failed'],
  ])('of %s: %s', async (_, history, status) => {
    const { call, deletion } = await told((room) => [...history(room), room.finished()]);
    expect(call.status).toBe(status);
    expect(deletion).toBeNull();
  });
});

describe('the room of an ended call shows life', () => {
  test.each<[string, (room: Room) => string]>([
    ['room_started', (room) => room.started()],
    ['participant_joined', (room) => room.joined(HUMAN)],
  ])('%s: it is deleted again, and the audit log says why', async (name, sign) => {
    const { id, record } = await told((room) => [...webTalk(room), room.finished()]);
    const person = await hangup.livekit.join(id, 'somebody');
    expect(await post(hangup.url, sign(roomTold(id)))).toMatchObject({ status: 200 });
    expect(await person.disconnected).toBe('ROOM_DELETED');
    await until('the deletion is settled', async () => (await record()).deletion?.state === 'completed');
    expect((await record()).call.status).toBe('completed');
    const entries = await hangup.store.listCallEvents({ callId: id, after: 0, limit: 100 });
    expect(entries.at(-1)).toMatchObject({
      action: 'call.room_deletion_reopened',
      actor: 'livekit',
      reason: expect.stringMatching(new RegExp(`^the room of an ended call shows life: ${name} EV_`)),
    });
  });

  test('not after the guard time', async () => {
    const dayAgo = Date.now() - 86_400_000;
    await hangup.putCall({
      id: 'long-ago',
      status: 'completed',
      createdAt: dayAgo - 120_000,
      endedAt: dayAgo - 60_000,
    });
    expect(await post(hangup.url, roomTold('long-ago').joined(HUMAN))).toMatchObject({
      body: { data: { outcome: 'unknown_room' } },
    });
    expect((await hangup.store.findCall('long-ago'))?.deletion).toBeNull();
  });

  test('when the name was given to a new live call, the event belongs to that', async () => {
    const first = await told((room) => [...webTalk(room), room.finished()]);
    await hangup.putCall({ id: `${first.id}-again`, roomName: first.id, createdAt: Date.now() });
    expect(await post(hangup.url, roomTold(first.id).started())).toMatchObject({ status: 200 });
    expect((await first.record()).deletion).toBeNull();
    expect((await hangup.store.findCall(`${first.id}-again`))?.call.status).toBe('connecting');
  });

  test('what is told late of an earlier life changes nothing', async () => {
    calls += 1;
    const id = `table-${calls}`;
    await hangup.putCall({ id, createdAt: Date.now() - 60_000 });
    const earlier = roomTold(id, { createdAt: Date.now() - 50_000 });
    const room = roomTold(id);
    for (const body of webTalk(earlier)) await post(hangup.url, body);
    await post(hangup.url, room.started());
    await post(hangup.url, room.joined({ ...HUMAN, sid: 'PA_2' }));
    await post(hangup.url, earlier.left(HUMAN, 'CLIENT_INITIATED'));
    await post(hangup.url, earlier.finished());
    expect((await hangup.store.findCall(id))?.call).toMatchObject({ status: 'active', roomId: room.sid });
    await post(hangup.url, room.finished());
    expect((await hangup.store.findCall(id))?.call.status).toBe('completed');
  });
});
