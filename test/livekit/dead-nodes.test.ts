import { RoomServiceClient } from 'livekit-server-sdk';
import { expect, onTestFinished, test } from 'vitest';
import {
  type Conversation,
  cancel,
  DELETION_SLO_MS,
  isDeletionComplete,
  RESCUE_SLO_MS,
  readCall,
  startConversation,
  startHangupOn,
  startMeasuring,
  statusOf,
  webhookUrl,
} from '../harness/conversations.ts';
import type { Hangup } from '../harness/hangup.ts';
import {
  API_KEY,
  API_SECRET,
  freePorts,
  type LiveKitNode,
  openWebhookInbox,
  startReal,
  type WebhookInbox,
} from '../harness/livekit.ts';
import { startRedis } from '../harness/redis.ts';

/* Several nodes are one LiveKit by their Redis, which goes on listing the rooms of a node that is dead: ghosts. */

const { measure, measured } = startMeasuring();

async function start() {
  const redis = await startRedis();
  onTestFinished(() => redis.stop());
  const inbox = await openWebhookInbox();
  onTestFinished(() => inbox.close());
  const [port = 0] = await freePorts(1);
  const startAnother = async () => {
    const webhookUrls = [webhookUrl(port), inbox.url];
    const node = await startReal(process.env.LIVEKIT_SERVER ?? '', {
      webhookUrls,
      redisAddress: redis.address,
    });
    onTestFinished(() => node.stop());
    return node;
  };
  const livekit = await startAnother();
  return { redis, inbox, livekit, startAnother, hangup: await startHangupOn(livekit, { port }) };
}

async function beginActive(hangup: Hangup, livekit: LiveKitNode, id: string): Promise<Conversation> {
  const talk = await startConversation(hangup, livekit, id);
  await expect.poll(() => statusOf(hangup, id)).toBe('active');
  return talk;
}

const namesOf = (inbox: WebhookInbox, roomName: string) =>
  inbox.webhooksOf(roomName).map(({ event }) => event.event);
const sidsBegun = (inbox: WebhookInbox, roomName: string) =>
  inbox
    .webhooksOf(roomName)
    .flatMap(({ event }) => (event.event === 'room_started' ? [event.room?.sid] : []));

/** A living node took the room over, and nobody had joined it there. */
async function expectRescued(inbox: WebhookInbox, { id }: Conversation): Promise<void> {
  expect(sidsBegun(inbox, id).length).toBeGreaterThan(1);
  expect(namesOf(inbox, id).filter((name) => name === 'participant_joined')).toHaveLength(2);
  await expect.poll(() => namesOf(inbox, id).at(-1)).toBe('room_finished');
}

async function untilDeleted(
  hangup: Hangup,
  livekit: LiveKitNode,
  ended: readonly Conversation[],
): Promise<void> {
  const giveUpAt = performance.now() + RESCUE_SLO_MS;
  for (const { id } of ended) {
    await expect
      .poll(() => isDeletionComplete(hangup, id), { timeout: giveUpAt - performance.now() })
      .toBe(true);
  }
  const rooms = await livekit.roomNames();
  for (const { id } of ended) expect(rooms).not.toContain(id);
}

test('after one of two nodes is killed, rooms of its ended calls are deleted, its live calls move, and rooms on the other node are not touched', async () => {
  const { redis, inbox, livekit: living, startAnother, hangup } = await start();
  const talks: { talk: Conversation; nodeId: string }[] = [];
  const begin = async () => {
    const talk = await beginActive(hangup, living, `c${talks.length}`);
    talks.push({ talk, nodeId: await redis.nodeOf(talk.id) });
  };
  await begin();
  const livingId = talks[0]?.nodeId;
  const dying = await startAnother();
  const on = (isLiving: boolean) =>
    talks.filter(({ nodeId }) => (nodeId === livingId) === isLiving).map(({ talk }) => talk);
  // LiveKit chooses the node of a room.
  while (on(false).length < 4 && talks.length < 60) await begin();
  const [moves, ...ended] = on(false);
  const stay = on(true);
  if (moves === undefined || ended.length < 3) throw new Error('the other node got no rooms');

  // Nobody is left who would come back and bring a room to the living node; LiveKit keeps such rooms for 20 s.
  for (const { leave } of ended) await leave();
  await dying.kill();
  const beganAt = performance.now();
  const killedAtMs = Date.now();
  await Promise.all(ended.map(({ id }) => cancel(hangup, id)));
  await untilDeleted(hangup, living, ended);
  measure(`a node killed, until ${ended.length} ghosts are rescued and deleted`, beganAt);
  for (const talk of ended) await expectRescued(inbox, talk);
  expect(hangup.log.filter(({ message }) => message.startsWith('LiveKit is unreachable'))).toEqual([]);

  // The clients of this one come back by themselves, and bring their room to the living node.
  const { call } = await readCall(hangup, moves.id);
  await expect.poll(() => sidsBegun(inbox, moves.id).length, { timeout: 60_000 }).toBeGreaterThan(1);
  const movedAtMs = inbox
    .webhooksOf(moves.id)
    .findLast(({ event }) => event.event === 'room_started')?.receivedAtMs;
  measured(`a node killed, until its living room is on the other: ${(movedAtMs ?? 0) - killedAtMs} ms`);
  expect(await redis.nodeOf(moves.id)).toBe(livingId);
  expect(new Set(sidsBegun(inbox, moves.id))).toEqual(new Set([call.roomId]));
  await expect
    .poll(() => {
      return namesOf(inbox, moves.id).filter((name) => name === 'participant_joined').length >= 4;
    })
    .toBe(true);
  expect((await readCall(hangup, moves.id)).call).toMatchObject({ status: 'active', roomId: call.roomId });
  expect(moves.isConnected()).toBe(true);
  const rooms = await living.roomNames();
  for (const talk of stay) {
    expect(await statusOf(hangup, talk.id)).toBe('active');
    expect(talk.isConnected()).toBe(true);
    expect(rooms).toContain(talk.id);
    expect(sidsBegun(inbox, talk.id)).toHaveLength(1);
  }

  await cancel(hangup, moves.id);
  expect(await moves.disconnected).toEqual(['ROOM_DELETED', 'ROOM_DELETED']);
  await expect.poll(() => living.roomNames(), { timeout: DELETION_SLO_MS }).not.toContain(moves.id);
}, 120_000);

test('after the only node is killed during cancels, a new node lets hangup delete every room', async () => {
  const { inbox, livekit, hangup } = await start();
  const ended = [
    await beginActive(hangup, livekit, 'c1'),
    await beginActive(hangup, livekit, 'c2'),
    await beginActive(hangup, livekit, 'c3'),
  ];
  const goesOn = await beginActive(hangup, livekit, 'goes-on');
  await livekit.join('nobodys', 'somebody').then(({ leave }) => leave());
  for (const { leave } of ended) await leave();
  const { call } = await readCall(hangup, goesOn.id);
  await livekit.kill();
  await Promise.all(ended.map(({ id }) => cancel(hangup, id)));
  // It has another id: what was on the one before is on no node.
  await livekit.start();
  const beganAt = performance.now();
  expect(new Set(await livekit.roomNames())).toEqual(new Set(['c1', 'c2', 'c3', 'goes-on', 'nobodys']));

  // The rescue relies on this: LiveKit reports the dead node after 3 s, and keeps listing the room.
  const client = new RoomServiceClient(livekit.url, API_KEY, API_SECRET, {
    requestTimeout: 10,
    failover: false,
  });
  const refused = client.deleteRoom('nobodys').finally(() => measure('DeleteRoom of a ghost', beganAt));
  await Promise.all([
    expect(refused).rejects.toMatchObject({ status: 503, code: 'unavailable' }),
    untilDeleted(hangup, livekit, ended).then(() =>
      measure(`the only node killed and up again, until ${ended.length} ghosts are rescued`, beganAt),
    ),
  ]);
  for (const talk of ended) await expectRescued(inbox, talk);

  await expect.poll(() => sidsBegun(inbox, goesOn.id).length, { timeout: 60_000 }).toBeGreaterThan(1);
  expect(new Set(sidsBegun(inbox, goesOn.id))).toEqual(new Set([call.roomId]));
  expect(await statusOf(hangup, goesOn.id)).toBe('active');
  expect(goesOn.isConnected()).toBe(true);
  // Nobody's room is not hangup's to delete.
  expect(new Set(await livekit.roomNames())).toEqual(new Set(['goes-on', 'nobodys']));
}, 120_000);

/** Live calls whose rooms are on a node that is about to die. */
async function beginOnDyingNode(count: number) {
  const { redis, inbox, livekit: living, startAnother, hangup } = await start();
  const client = new RoomServiceClient(living.url, API_KEY, API_SECRET);
  const nodeOfNew = async (name: string) => {
    // Counted from the room's beginning, unless a person joins: agents do not keep a room open.
    await client.createRoom({ name, emptyTimeout: 30 });
    return redis.nodeOf(name);
  };
  const livingId = await nodeOfNew('on-the-living-node');
  const dying = await startAnother();
  const names: string[] = [];
  // LiveKit chooses the node of a room.
  for (let i = 0; names.length < count && i < 60; i += 1) {
    if ((await nodeOfNew(`room-${i}`)) !== livingId) names.push(`room-${i}`);
  }
  expect(names).toHaveLength(count);
  return {
    inbox,
    living,
    dying,
    hangup,
    names,
    stays: await beginActive(hangup, living, 'on-the-living-node'),
  };
}

async function beginUnanswered(hangup: Hangup, livekit: LiveKitNode, id: string) {
  expect(await hangup.send('POST', '/api/v1/calls', { body: { id } })).toMatchObject({ status: 201 });
  const caller = await livekit.join(id, 'caller');
  await expect.poll(() => statusOf(hangup, id)).toBe('connecting');
  return caller;
}

/** Long enough for the grace, and for the probes and the attempts before and after it, which take 3 s each. */
const NODE_LOST_WITHIN_MS = 120_000;

async function expectLost(
  { hangup, livekit, id, since }: { hangup: Hangup; livekit: LiveKitNode; id: string; since: number },
  status: 'completed' | 'failed',
): Promise<void> {
  await expect.poll(() => statusOf(hangup, id), { timeout: NODE_LOST_WITHIN_MS }).toBe(status);
  const { call } = await readCall(hangup, id);
  expect(call).toMatchObject({ status, failureReason: 'NODE_LOST', endedAt: expect.any(Number) });
  // The conversation ended with its node, not with the grace.
  expect(call.endedAt).toBeGreaterThanOrEqual(since);
  expect(call.endedAt).toBeLessThan(call.updatedAt);
  await expect.poll(() => isDeletionComplete(hangup, id), { timeout: NODE_LOST_WITHIN_MS }).toBe(true);
  expect(await livekit.roomNames()).not.toContain(id);
}

test('after one of two nodes is killed, only calls whose clients do not return end with NODE_LOST', async () => {
  const { inbox, living, dying, hangup, names, stays } = await beginOnDyingNode(3);
  const [answered = '', unanswered = '', returning = ''] = names;
  const lost = await beginActive(hangup, living, answered);
  const caller = await beginUnanswered(hangup, living, unanswered);
  const returns = await beginActive(hangup, living, returning);
  const { call: before } = await readCall(hangup, returning);

  const killedAtMs = Date.now();
  const beganAt = performance.now();
  await dying.kill();
  // Before their clients try another node.
  await Promise.all([lost.leave(), caller.leave()]);
  const about = { hangup, livekit: living, since: killedAtMs };
  await Promise.all([
    expectLost({ ...about, id: answered }, 'completed'),
    expectLost({ ...about, id: unanswered }, 'failed'),
  ]);
  measure('a node killed, until its live calls are over and their rooms gone', beganAt);

  // Its clients have come back under new sids, in the same session of the room.
  const joins = () => namesOf(inbox, returning).filter((name) => name === 'participant_joined').length;
  await expect.poll(() => joins(), { timeout: 60_000 }).toBeGreaterThanOrEqual(4);
  for (const [id, talk] of [
    [returning, returns],
    [stays.id, stays],
  ] as const) {
    expect((await readCall(hangup, id)).call).toMatchObject({ status: 'active', failureReason: null });
    expect(talk.isConnected()).toBe(true);
    expect(await living.roomNames()).toContain(id);
  }
  expect((await readCall(hangup, returning)).call.roomId).toBe(before.roomId);
  await cancel(hangup, returning);
  expect(await returns.disconnected).toEqual(['ROOM_DELETED', 'ROOM_DELETED']);
}, 300_000);

test('after the only node is replaced, calls whose clients do not return end with NODE_LOST', async () => {
  const { inbox, livekit, hangup } = await start();
  const lost = await beginActive(hangup, livekit, 'answered');
  const caller = await beginUnanswered(hangup, livekit, 'unanswered');
  const returns = await beginActive(hangup, livekit, 'returns');
  const killedAtMs = Date.now();
  await livekit.kill();
  await Promise.all([lost.leave(), caller.leave()]);
  await livekit.start();
  expect(new Set(await livekit.roomNames())).toEqual(new Set(['answered', 'unanswered', 'returns']));
  const about = { hangup, livekit, since: killedAtMs };
  await Promise.all([
    expectLost({ ...about, id: 'answered' }, 'completed'),
    expectLost({ ...about, id: 'unanswered' }, 'failed'),
  ]);
  const joins = () => namesOf(inbox, 'returns').filter((name) => name === 'participant_joined').length;
  await expect.poll(() => joins(), { timeout: 60_000 }).toBeGreaterThanOrEqual(4);
  expect((await readCall(hangup, 'returns')).call).toMatchObject({ status: 'active', failureReason: null });
  expect(returns.isConnected()).toBe(true);
  expect(await livekit.roomNames()).toEqual(['returns']);
}, 300_000);

test('after one of two nodes is killed, participants who do not return count as gone although LiveKit lists them', async () => {
  const { inbox, living, dying, hangup, names } = await beginOnDyingNode(2);
  const [callerId = '', agentId = ''] = names;
  const callerReturns = await beginActive(hangup, living, callerId);
  const agentReturns = await beginActive(hangup, living, agentId);
  const killedAtMs = Date.now();
  const beganAt = performance.now();
  await dying.kill();
  await Promise.all([callerReturns.agent.leave(), agentReturns.caller.leave()]);
  for (const id of names)
    await expect.poll(() => sidsBegun(inbox, id).length, { timeout: 60_000 }).toBeGreaterThan(1);

  // LiveKit lists the agent for ever, and the caller would wait as long.
  expect(await statusOf(hangup, callerId)).toBe('active');
  const client = new RoomServiceClient(living.url, API_KEY, API_SECRET);
  const listed = async () => (await client.listParticipants(callerId)).map(({ identity }) => identity);
  expect(new Set(await listed())).toEqual(new Set(['caller', 'agent']));

  // Nobody is there but the agent: LiveKit finishes the room.
  await expect.poll(() => namesOf(inbox, agentId).at(-1), { timeout: 90_000 }).toBe('room_finished');
  await expect.poll(() => statusOf(hangup, agentId)).toBe('completed');

  await expect.poll(() => statusOf(hangup, callerId), { timeout: 120_000 }).toBe('completed');
  measure('a node killed, until a caller whose agent did not return is hung up', beganAt);
  const { call } = await readCall(hangup, callerId);
  expect(call).toMatchObject({ failureReason: 'NODE_LOST', endedAt: expect.any(Number) });
  // LiveKit reports the time of an event in whole seconds.
  expect(call.endedAt).toBeGreaterThanOrEqual(killedAtMs - 1_000);
  expect(await callerReturns.caller.disconnected).toBe('ROOM_DELETED');
  await expect.poll(() => isDeletionComplete(hangup, callerId), { timeout: DELETION_SLO_MS }).toBe(true);
}, 300_000);
