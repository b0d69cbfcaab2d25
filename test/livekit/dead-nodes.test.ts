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
  type LiveKitNode,
  openWebhookInbox,
  startReal,
  type WebhookInbox,
} from '../harness/livekit.ts';
import { freePorts } from '../harness/ports.ts';
import { startRedis } from '../harness/redis.ts';

/* Several nodes with one Redis. LiveKit still lists the rooms of a dead node: ghost rooms. */

const { measure, measured } = startMeasuring();

async function start() {
  const redis = await startRedis();
  onTestFinished(() => redis.stop());
  const inbox = await openWebhookInbox();
  onTestFinished(() => inbox.close());
  const [port = 0] = await freePorts(1);
  const startNode = async () => {
    const webhookUrls = [webhookUrl(port), inbox.url];
    const node = await startReal(process.env.LIVEKIT_SERVER ?? '', {
      webhookUrls,
      redisAddress: redis.address,
    });
    onTestFinished(() => node.stop());
    return node;
  };
  const livekit = await startNode();
  return { redis, inbox, livekit, startNode, hangup: await startHangupOn(livekit, { port }) };
}

async function startActiveConversation(
  hangup: Hangup,
  livekit: LiveKitNode,
  id: string,
): Promise<Conversation> {
  const conversation = await startConversation(hangup, livekit, id);
  await expect.poll(() => statusOf(hangup, id)).toBe('active');
  return conversation;
}

const eventNames = (inbox: WebhookInbox, roomName: string) =>
  inbox.webhooksOf(roomName).map(({ event }) => event.event);
const startedSids = (inbox: WebhookInbox, roomName: string) =>
  inbox
    .webhooksOf(roomName)
    .flatMap(({ event }) => (event.event === 'room_started' ? [event.room?.sid] : []));

/** Expects that a living node took the room over and nobody joined the room on this node. */
async function expectRescued(inbox: WebhookInbox, { id }: Conversation): Promise<void> {
  expect(startedSids(inbox, id).length).toBeGreaterThan(1);
  expect(eventNames(inbox, id).filter((name) => name === 'participant_joined')).toHaveLength(2);
  await expect.poll(() => eventNames(inbox, id).at(-1)).toBe('room_finished');
}

async function waitForDeletions(
  hangup: Hangup,
  livekit: LiveKitNode,
  ended: readonly Conversation[],
): Promise<void> {
  const deadline = performance.now() + RESCUE_SLO_MS;
  for (const { id } of ended) {
    await expect
      .poll(() => isDeletionComplete(hangup, id), { timeout: deadline - performance.now() })
      .toBe(true);
  }
  const rooms = await livekit.roomNames();
  for (const { id } of ended) expect(rooms).not.toContain(id);
}

test('after one of two nodes is killed, rooms of its ended calls are deleted, its live calls move, and rooms on the other node are not touched', async () => {
  const { redis, inbox, livekit: living, startNode, hangup } = await start();
  const conversations: { conversation: Conversation; nodeId: string }[] = [];
  const startNext = async () => {
    const conversation = await startActiveConversation(hangup, living, `c${conversations.length}`);
    conversations.push({ conversation, nodeId: await redis.nodeOf(conversation.id) });
  };
  await startNext();
  const livingId = conversations[0]?.nodeId;
  const dying = await startNode();
  const onNode = (isLiving: boolean) =>
    conversations
      .filter(({ nodeId }) => (nodeId === livingId) === isLiving)
      .map(({ conversation }) => conversation);
  // LiveKit chooses the node of a room.
  while (onNode(false).length < 4 && conversations.length < 60) await startNext();
  const [moving, ...ended] = onNode(false);
  const staying = onNode(true);
  if (moving === undefined || ended.length < 3) throw new Error('LiveKit placed no rooms on the other node');

  // All clients leave, so none of them moves a room to the living node. LiveKit keeps these rooms for 20 s.
  for (const { leave } of ended) await leave();
  await dying.kill();
  const beganAt = performance.now();
  const killedAtMs = Date.now();
  await Promise.all(ended.map(({ id }) => cancel(hangup, id)));
  await waitForDeletions(hangup, living, ended);
  measure(`a node killed, until ${ended.length} ghost rooms are rescued and deleted`, beganAt);
  for (const conversation of ended) await expectRescued(inbox, conversation);
  expect(hangup.log.filter(({ message }) => message.startsWith('LiveKit is unreachable'))).toEqual([]);

  // The clients of this call reconnect and move their room to the living node.
  const { call } = await readCall(hangup, moving.id);
  await expect.poll(() => startedSids(inbox, moving.id).length, { timeout: 60_000 }).toBeGreaterThan(1);
  const movedAtMs = inbox
    .webhooksOf(moving.id)
    .findLast(({ event }) => event.event === 'room_started')?.receivedAtMs;
  measured(
    `a node killed, until a live call's room is on the other node: ${(movedAtMs ?? 0) - killedAtMs} ms`,
  );
  expect(await redis.nodeOf(moving.id)).toBe(livingId);
  expect(new Set(startedSids(inbox, moving.id))).toEqual(new Set([call.roomId]));
  await expect
    .poll(() => {
      return eventNames(inbox, moving.id).filter((name) => name === 'participant_joined').length >= 4;
    })
    .toBe(true);
  expect((await readCall(hangup, moving.id)).call).toMatchObject({ status: 'active', roomId: call.roomId });
  expect(moving.isConnected()).toBe(true);
  const rooms = await living.roomNames();
  for (const conversation of staying) {
    expect(await statusOf(hangup, conversation.id)).toBe('active');
    expect(conversation.isConnected()).toBe(true);
    expect(rooms).toContain(conversation.id);
    expect(startedSids(inbox, conversation.id)).toHaveLength(1);
  }

  await cancel(hangup, moving.id);
  expect(await moving.disconnected).toEqual(['ROOM_DELETED', 'ROOM_DELETED']);
  await expect.poll(() => living.roomNames(), { timeout: DELETION_SLO_MS }).not.toContain(moving.id);
}, 120_000);

test('after the only node is killed during cancels, a new node lets hangup delete every room', async () => {
  const { inbox, livekit, hangup } = await start();
  const ended = [
    await startActiveConversation(hangup, livekit, 'c1'),
    await startActiveConversation(hangup, livekit, 'c2'),
    await startActiveConversation(hangup, livekit, 'c3'),
  ];
  const continuing = await startActiveConversation(hangup, livekit, 'continuing');
  await livekit.join('unregistered', 'somebody').then(({ leave }) => leave());
  for (const { leave } of ended) await leave();
  const { call } = await readCall(hangup, continuing.id);
  await livekit.kill();
  await Promise.all(ended.map(({ id }) => cancel(hangup, id)));
  // The new node has another id, so the old rooms belong to no living node.
  await livekit.start();
  const beganAt = performance.now();
  expect(new Set(await livekit.roomNames())).toEqual(
    new Set(['c1', 'c2', 'c3', 'continuing', 'unregistered']),
  );

  // The rescue relies on this: LiveKit reports the dead node after 3 s, and keeps listing the room.
  const client = new RoomServiceClient(livekit.url, API_KEY, API_SECRET, {
    requestTimeout: 10,
    failover: false,
  });
  const refused = client
    .deleteRoom('unregistered')
    .finally(() => measure('DeleteRoom of a ghost room', beganAt));
  await Promise.all([
    expect(refused).rejects.toMatchObject({ status: 503, code: 'unavailable' }),
    waitForDeletions(hangup, livekit, ended).then(() =>
      measure(`the only node replaced, until ${ended.length} ghost rooms are rescued`, beganAt),
    ),
  ]);
  for (const conversation of ended) await expectRescued(inbox, conversation);

  await expect.poll(() => startedSids(inbox, continuing.id).length, { timeout: 60_000 }).toBeGreaterThan(1);
  expect(new Set(startedSids(inbox, continuing.id))).toEqual(new Set([call.roomId]));
  expect(await statusOf(hangup, continuing.id)).toBe('active');
  expect(continuing.isConnected()).toBe(true);
  // hangup does not delete rooms without a call.
  expect(new Set(await livekit.roomNames())).toEqual(new Set(['continuing', 'unregistered']));
}, 120_000);

/** Creates rooms on a node that the test kills later, and a live call on another node. */
async function createRoomsOnDyingNode(count: number) {
  const { redis, inbox, livekit: living, startNode, hangup } = await start();
  const client = new RoomServiceClient(living.url, API_KEY, API_SECRET);
  const createRoomOnSomeNode = async (name: string) => {
    // Without a person, the timeout counts from the room's creation, because agents do not keep a room open.
    await client.createRoom({ name, emptyTimeout: 30 });
    return redis.nodeOf(name);
  };
  const livingId = await createRoomOnSomeNode('on-the-living-node');
  const dying = await startNode();
  const names: string[] = [];
  // LiveKit chooses the node of a room.
  for (let i = 0; names.length < count && i < 60; i += 1) {
    if ((await createRoomOnSomeNode(`room-${i}`)) !== livingId) names.push(`room-${i}`);
  }
  expect(names).toHaveLength(count);
  return {
    inbox,
    living,
    dying,
    hangup,
    names,
    staying: await startActiveConversation(hangup, living, 'on-the-living-node'),
  };
}

async function startUnansweredCall(hangup: Hangup, livekit: LiveKitNode, id: string) {
  expect(await hangup.send('POST', '/api/v1/calls', { body: { id } })).toMatchObject({ status: 201 });
  const caller = await livekit.join(id, 'caller');
  await expect.poll(() => statusOf(hangup, id)).toBe('connecting');
  return caller;
}

/** Includes the grace period, and the requests before and after it, which take 3 s each. */
const NODE_LOST_TIMEOUT_MS = 120_000;

async function expectNodeLost(
  { hangup, livekit, id, since }: { hangup: Hangup; livekit: LiveKitNode; id: string; since: number },
  status: 'completed' | 'failed',
): Promise<void> {
  await expect.poll(() => statusOf(hangup, id), { timeout: NODE_LOST_TIMEOUT_MS }).toBe(status);
  const { call } = await readCall(hangup, id);
  expect(call).toMatchObject({ status, failureReason: 'NODE_LOST', endedAt: expect.any(Number) });
  // The conversation ended with its node, before the grace period.
  expect(call.endedAt).toBeGreaterThanOrEqual(since);
  expect(call.endedAt).toBeLessThan(call.updatedAt);
  await expect.poll(() => isDeletionComplete(hangup, id), { timeout: NODE_LOST_TIMEOUT_MS }).toBe(true);
  expect(await livekit.roomNames()).not.toContain(id);
}

test('after one of two nodes is killed, only calls whose clients do not return end with NODE_LOST', async () => {
  const { inbox, living, dying, hangup, names, staying } = await createRoomsOnDyingNode(3);
  const [answered = '', unanswered = '', returning = ''] = names;
  const lost = await startActiveConversation(hangup, living, answered);
  const caller = await startUnansweredCall(hangup, living, unanswered);
  const returningCall = await startActiveConversation(hangup, living, returning);
  const { call: before } = await readCall(hangup, returning);

  const killedAtMs = Date.now();
  const beganAt = performance.now();
  await dying.kill();
  // Before the clients reconnect to another node.
  await Promise.all([lost.leave(), caller.leave()]);
  const lostCall = { hangup, livekit: living, since: killedAtMs };
  await Promise.all([
    expectNodeLost({ ...lostCall, id: answered }, 'completed'),
    expectNodeLost({ ...lostCall, id: unanswered }, 'failed'),
  ]);
  measure('a node killed, until its live calls have ended and their rooms are deleted', beganAt);

  // The clients have new sids in the same session of the room.
  const joins = () => eventNames(inbox, returning).filter((name) => name === 'participant_joined').length;
  await expect.poll(() => joins(), { timeout: 60_000 }).toBeGreaterThanOrEqual(4);
  for (const [id, conversation] of [
    [returning, returningCall],
    [staying.id, staying],
  ] as const) {
    expect((await readCall(hangup, id)).call).toMatchObject({ status: 'active', failureReason: null });
    expect(conversation.isConnected()).toBe(true);
    expect(await living.roomNames()).toContain(id);
  }
  expect((await readCall(hangup, returning)).call.roomId).toBe(before.roomId);
  await cancel(hangup, returning);
  expect(await returningCall.disconnected).toEqual(['ROOM_DELETED', 'ROOM_DELETED']);
}, 300_000);

test('after the only node is replaced, calls whose clients do not return end with NODE_LOST', async () => {
  const { inbox, livekit, hangup } = await start();
  const lost = await startActiveConversation(hangup, livekit, 'answered');
  const caller = await startUnansweredCall(hangup, livekit, 'unanswered');
  const returningCall = await startActiveConversation(hangup, livekit, 'returns');
  const killedAtMs = Date.now();
  await livekit.kill();
  await Promise.all([lost.leave(), caller.leave()]);
  await livekit.start();
  expect(new Set(await livekit.roomNames())).toEqual(new Set(['answered', 'unanswered', 'returns']));
  const lostCall = { hangup, livekit, since: killedAtMs };
  await Promise.all([
    expectNodeLost({ ...lostCall, id: 'answered' }, 'completed'),
    expectNodeLost({ ...lostCall, id: 'unanswered' }, 'failed'),
  ]);
  const joins = () => eventNames(inbox, 'returns').filter((name) => name === 'participant_joined').length;
  await expect.poll(() => joins(), { timeout: 60_000 }).toBeGreaterThanOrEqual(4);
  expect((await readCall(hangup, 'returns')).call).toMatchObject({ status: 'active', failureReason: null });
  expect(returningCall.isConnected()).toBe(true);
  expect(await livekit.roomNames()).toEqual(['returns']);
}, 300_000);

test('after one of two nodes is killed, participants who do not return count as gone although LiveKit lists them', async () => {
  const { inbox, living, dying, hangup, names } = await createRoomsOnDyingNode(2);
  const [callerId = '', agentId = ''] = names;
  const callerReturns = await startActiveConversation(hangup, living, callerId);
  const agentReturns = await startActiveConversation(hangup, living, agentId);
  const killedAtMs = Date.now();
  const beganAt = performance.now();
  await dying.kill();
  await Promise.all([callerReturns.agent.leave(), agentReturns.caller.leave()]);
  for (const id of names)
    await expect.poll(() => startedSids(inbox, id).length, { timeout: 60_000 }).toBeGreaterThan(1);

  // LiveKit never removes the agent from its list.
  expect(await statusOf(hangup, callerId)).toBe('active');
  const client = new RoomServiceClient(living.url, API_KEY, API_SECRET);
  const listed = async () => (await client.listParticipants(callerId)).map(({ identity }) => identity);
  expect(new Set(await listed())).toEqual(new Set(['caller', 'agent']));

  // LiveKit finishes a room in which only the agent remains.
  await expect.poll(() => eventNames(inbox, agentId).at(-1), { timeout: 90_000 }).toBe('room_finished');
  await expect.poll(() => statusOf(hangup, agentId)).toBe('completed');

  await expect.poll(() => statusOf(hangup, callerId), { timeout: 120_000 }).toBe('completed');
  measure('a node killed, until hangup disconnects a caller whose agent did not return', beganAt);
  const { call } = await readCall(hangup, callerId);
  expect(call).toMatchObject({ failureReason: 'NODE_LOST', endedAt: expect.any(Number) });
  // LiveKit reports the time of an event in whole seconds.
  expect(call.endedAt).toBeGreaterThanOrEqual(killedAtMs - 1_000);
  expect(await callerReturns.caller.disconnected).toBe('ROOM_DELETED');
  await expect.poll(() => isDeletionComplete(hangup, callerId), { timeout: DELETION_SLO_MS }).toBe(true);
}, 300_000);
