import { describe, expect, onTestFinished, test } from 'vitest';
import {
  type Conversation,
  cancel,
  DELETION_SLO_MS,
  isDeletionComplete,
  readCall,
  startConversation,
  startHangupOn,
  startMeasuring,
  statusOf,
  webhookUrl,
} from '../harness/conversations.ts';
import { freePorts, openWebhookInbox, type ReceivedWebhook, startReal } from '../harness/livekit.ts';

/* hangup during outages of a real LiveKit, and without its webhooks. */

const { measure, measured } = startMeasuring();

/**
 * rtc-node comes back every 16 s to a room that is deleted before it is let in, for 46 s or for more than 100: that is its
 * own affair. So often each call is seen to get its room again.
 */
const TIMES_BACK = 3;
const COMES_BACK_WITHIN_MS = 90_000;
/** A room is gone when it is absent for 10 s, and 30 s more after LiveKit was away; both are seen by comparing. */
const ABSENCE_BELIEVED_WITHIN_MS = 60_000;

async function start({ webhooks }: { webhooks: boolean }) {
  const [port = 0, deaf = 0] = await freePorts(2);
  // Without webhooks, LiveKit sends them to a port without a listener.
  const inbox = await openWebhookInbox();
  onTestFinished(() => inbox.close());
  const livekit = await startReal(process.env.LIVEKIT_SERVER ?? '', {
    webhookUrls: [webhookUrl(webhooks ? port : deaf), inbox.url],
  });
  onTestFinished(() => livekit.stop());
  return { livekit, inbox, hangup: await startHangupOn(livekit, { port }) };
}

test('a cancel disconnects every participant with ROOM_DELETED', async () => {
  const { hangup, livekit } = await start({ webhooks: true });
  const talk = await startConversation(hangup, livekit, 'c1');
  await expect.poll(() => statusOf(hangup, 'c1')).toBe('active');
  const beganAt = performance.now();
  const answered = cancel(hangup, 'c1').then(() => measure('DELETE, until it is answered', beganAt));
  expect(await talk.disconnected).toEqual(['ROOM_DELETED', 'ROOM_DELETED']);
  measure('DELETE, until both are disconnected', beganAt);
  await answered;
  expect((await readCall(hangup, 'c1')).deletion).toMatchObject({ state: 'completed', attempt: 1 });
});

describe('a client that rejoins after a cancel is disconnected again', () => {
  test.each([
    ['by webhook', true],
    ['by comparison, without any webhook', false],
  ])(
    '%s',
    async (how, webhooks) => {
      const { hangup, livekit } = await start({ webhooks });
      const { caller } = await startConversation(hangup, livekit, 'c1');
      await cancel(hangup, 'c1');
      await caller.disconnected;
      const { attempt = 0 } = (await readCall(hangup, 'c1')).deletion ?? {};
      const beganAt = performance.now();
      // If the room is deleted while the client connects, the connection fails after 15 s.
      const fate = livekit.join('c1', 'caller').then(
        ({ disconnected }) => disconnected,
        () => 'never got in',
      );
      await expect
        .poll(
          async () => {
            const { deletion } = await readCall(hangup, 'c1');
            return deletion?.state === 'completed' && deletion.attempt > attempt;
          },
          { timeout: DELETION_SLO_MS },
        )
        .toBe(true);
      measure(`a client is back, until its room is deleted ${how}`, beganAt);
      expect(['ROOM_DELETED', 'never got in']).toContain(await fate);
      await expect.poll(() => livekit.roomNames(), { timeout: DELETION_SLO_MS }).toEqual([]);
      await expect.poll(() => isDeletionComplete(hangup, 'c1')).toBe(true);
      expect(await statusOf(hangup, 'c1')).toBe('cancelled');
      const events = hangup.log.filter(({ fields }) => fields.path === '/webhooks/livekit');
      expect(events.length > 0).toBe(webhooks);
    },
    60_000,
  );
});

test('a call follows its room to the end when every webhook is lost', async () => {
  const { hangup, livekit } = await start({ webhooks: false });
  const talk = await startConversation(hangup, livekit, 'c1');
  await expect.poll(() => statusOf(hangup, 'c1')).toBe('active');
  await talk.leave();
  const beganAt = performance.now();
  await expect.poll(() => statusOf(hangup, 'c1'), { timeout: 80_000 }).toBe('completed');
  measure('all left unheard, until the call is completed (LiveKit keeps the room for 20 s)', beganAt);
  expect(hangup.log.filter(({ fields }) => fields.path === '/webhooks/livekit')).toEqual([]);
}, 100_000);

describe('calls cancelled during an outage of livekit-server', () => {
  test('lose their participants after SIGSTOP and SIGCONT', async () => {
    const { hangup, livekit } = await start({ webhooks: true });
    const talks = [];
    for (const id of ['c1', 'c2', 'c3', 'c4', 'c5']) talks.push(await startConversation(hangup, livekit, id));
    livekit.signal('SIGSTOP');
    const stoppedAt = performance.now();
    await Promise.all(talks.map(({ id }) => cancel(hangup, id)));
    measure('LiveKit stopped: five DELETEs at once, until all are answered', stoppedAt);
    // A client's own patience.
    expect(performance.now() - stoppedAt).toBeLessThan(5_000);
    for (const { id } of talks) expect(await statusOf(hangup, id)).toBe('cancelled');
    await expect
      .poll(() => hangup.log.some(({ message }) => message.startsWith('LiveKit is unreachable')))
      .toBe(true);
    expect(talks.every((talk) => talk.isConnected())).toBe(true);

    livekit.signal('SIGCONT');
    const beganAt = performance.now();
    await expect.poll(() => livekit.roomNames(), { timeout: DELETION_SLO_MS }).toEqual([]);
    measure('LiveKit goes on, until the rooms of five cancelled calls are gone', beganAt);
    for (const { disconnected } of talks)
      expect(await disconnected).toEqual(['ROOM_DELETED', 'ROOM_DELETED']);
    for (const { id } of talks) await expect.poll(() => isDeletionComplete(hangup, id)).toBe(true);
  }, 60_000);

  test('lose returning participants after a restart, and live calls go on', async () => {
    const { hangup, livekit, inbox } = await start({ webhooks: true });
    const cancelled: Conversation[] = [];
    for (const id of ['c1', 'c2', 'c3']) cancelled.push(await startConversation(hangup, livekit, id));
    const goesOn = await startConversation(hangup, livekit, 'goes-on');
    const nobody = await startConversation(hangup, livekit, 'nobody-comes-back');
    for (const { id } of [goesOn, nobody]) {
      await expect.poll(() => statusOf(hangup, id)).toBe('active');
    }
    const before = (await readCall(hangup, goesOn.id)).call;
    await livekit.kill();
    const killedAtMs = Date.now();
    await nobody.leave();
    await Promise.all(cancelled.map(({ id }) => cancel(hangup, id)));
    await livekit.start();
    const beganAt = performance.now();
    // Without Redis it begins empty; rooms are there again when their clients are.
    expect(await livekit.roomNames()).not.toContain(nobody.id);

    await expect.poll(async () => (await readCall(hangup, goesOn.id)).call.roomId).not.toBe(before.roomId);
    measure('LiveKit killed and up again, until a living call has its new room', beganAt);
    await expect
      .poll(() => statusOf(hangup, nobody.id), { timeout: ABSENCE_BELIEVED_WITHIN_MS })
      .toBe('completed');
    measure('LiveKit killed and up again, until a call that nobody came back to is completed', beganAt);

    const livesSince = ({ id }: Conversation) => livesOf(inbox.webhooksOf(id), killedAtMs);
    await expect
      .poll(() => cancelled.every((talk) => !talk.isConnected() || livesSince(talk).length >= TIMES_BACK), {
        timeout: COMES_BACK_WITHIN_MS,
      })
      .toBe(true);
    measured(
      `of ${cancelled.length} calls still tried: ${cancelled.filter((one) => one.isConnected()).length}`,
    );
    for (const talk of cancelled) await talk.leave();
    const isOneLeft = async () => {
      const rooms = await livekit.roomNames();
      return cancelled.some(({ id }) => rooms.includes(id));
    };
    await expect.poll(() => isOneLeft(), { timeout: DELETION_SLO_MS }).toBe(false);
    for (const { id } of cancelled) {
      await expect.poll(() => isDeletionComplete(hangup, id)).toBe(true);
      expect(await statusOf(hangup, id)).toBe('cancelled');
    }
    const lives = () => cancelled.flatMap(livesSince);
    await expect.poll(() => lives().every(Number.isFinite)).toBe(true);
    const livesMs = lives();
    expect(livesMs.length).toBeGreaterThan(0);
    measured(`rooms that ${cancelled.length} cancelled calls got again: ${livesMs.length}`);
    measured(`the longest that one of them lived: ${Math.max(0, ...livesMs)} ms`);
    for (const lifeMs of livesMs) expect(lifeMs).toBeLessThan(DELETION_SLO_MS);

    expect(await statusOf(hangup, goesOn.id)).toBe('active');
    expect(goesOn.isConnected()).toBe(true);
    expect(await livekit.roomNames()).toContain(goesOn.id);
  }, 180_000);
});

/** Lifetimes of the rooms that started since then, by LiveKit's webhooks; Infinity without a reported end. */
function livesOf(webhooks: readonly ReceivedWebhook[], sinceMs: number): number[] {
  const began = webhooks.filter(
    ({ event, receivedAtMs }) => event.event === 'room_started' && receivedAtMs > sinceMs,
  );
  return began.map(({ event: { room }, receivedAtMs }) => {
    const end = webhooks.find(
      ({ event }) => event.event === 'room_finished' && event.room?.sid === room?.sid,
    );
    return (end?.receivedAtMs ?? Number.POSITIVE_INFINITY) - receivedAtMs;
  });
}
