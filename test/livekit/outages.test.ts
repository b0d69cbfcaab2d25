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
import { openWebhookInbox, type ReceivedWebhook, startReal } from '../harness/livekit.ts';
import { freePorts } from '../harness/ports.ts';

/* hangup during outages of a real LiveKit, and without its webhooks. */

const { measure, measured } = startMeasuring();

/** rtc-node retries a join every 16 s, for 46 s or for more than 100 s. Each retry recreates the room of a call. */
const MIN_REJOINS = 3;
const REJOIN_TIMEOUT_MS = 90_000;
/** Reconciliation confirms an absent room after 10 s, and after an outage of LiveKit in another 30 s. */
const ABSENCE_TIMEOUT_MS = 60_000;

async function start({ webhooks }: { webhooks: boolean }) {
  const [port = 0, unusedPort = 0] = await freePorts(2);
  // Without webhooks, LiveKit sends them to a port without a listener.
  const inbox = await openWebhookInbox();
  onTestFinished(() => inbox.close());
  const livekit = await startReal(process.env.LIVEKIT_SERVER ?? '', {
    webhookUrls: [webhookUrl(webhooks ? port : unusedPort), inbox.url],
  });
  onTestFinished(() => livekit.stop());
  return { livekit, inbox, hangup: await startHangupOn(livekit, { port }) };
}

test('a cancel disconnects every participant with ROOM_DELETED', async () => {
  const { hangup, livekit } = await start({ webhooks: true });
  const conversation = await startConversation(hangup, livekit, 'c1');
  await expect.poll(() => statusOf(hangup, 'c1')).toBe('active');
  const beganAt = performance.now();
  const answered = cancel(hangup, 'c1').then(() => measure('DELETE, until its response', beganAt));
  expect(await conversation.disconnected).toEqual(['ROOM_DELETED', 'ROOM_DELETED']);
  measure('DELETE, until both are disconnected', beganAt);
  await answered;
  expect((await readCall(hangup, 'c1')).deletion).toMatchObject({ state: 'completed', attempt: 1 });
});

describe('a client that rejoins after a cancel is disconnected again', () => {
  test.each([
    ['by webhook', true],
    ['by reconciliation, without any webhook', false],
  ])(
    '%s',
    async (trigger, webhooks) => {
      const { hangup, livekit } = await start({ webhooks });
      const { caller } = await startConversation(hangup, livekit, 'c1');
      await cancel(hangup, 'c1');
      await caller.disconnected;
      const { attempt = 0 } = (await readCall(hangup, 'c1')).deletion ?? {};
      const beganAt = performance.now();
      // If the room is deleted while the client connects, the connection fails after 15 s.
      const outcome = livekit.join('c1', 'caller').then(
        ({ disconnected }) => disconnected,
        () => 'never connected',
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
      measure(`a client is back, until its room is deleted ${trigger}`, beganAt);
      expect(['ROOM_DELETED', 'never connected']).toContain(await outcome);
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
  const conversation = await startConversation(hangup, livekit, 'c1');
  await expect.poll(() => statusOf(hangup, 'c1')).toBe('active');
  await conversation.leave();
  const beganAt = performance.now();
  await expect.poll(() => statusOf(hangup, 'c1'), { timeout: 80_000 }).toBe('completed');
  measure(
    'all left without a webhook, until the call is completed (LiveKit keeps the room for 20 s)',
    beganAt,
  );
  expect(hangup.log.filter(({ fields }) => fields.path === '/webhooks/livekit')).toEqual([]);
}, 100_000);

describe('calls cancelled during an outage of livekit-server', () => {
  test('lose their participants after SIGSTOP and SIGCONT', async () => {
    const { hangup, livekit } = await start({ webhooks: true });
    const conversations = [];
    for (const id of ['c1', 'c2', 'c3', 'c4', 'c5'])
      conversations.push(await startConversation(hangup, livekit, id));
    livekit.signal('SIGSTOP');
    const stoppedAt = performance.now();
    await Promise.all(conversations.map(({ id }) => cancel(hangup, id)));
    measure('LiveKit stopped: five concurrent DELETEs, until all responses', stoppedAt);
    // The timeout of a typical HTTP client.
    expect(performance.now() - stoppedAt).toBeLessThan(5_000);
    for (const { id } of conversations) expect(await statusOf(hangup, id)).toBe('cancelled');
    await expect
      .poll(() => hangup.log.some(({ message }) => message.startsWith('LiveKit is unreachable')))
      .toBe(true);
    expect(conversations.every((conversation) => conversation.isConnected())).toBe(true);

    livekit.signal('SIGCONT');
    const beganAt = performance.now();
    await expect.poll(() => livekit.roomNames(), { timeout: DELETION_SLO_MS }).toEqual([]);
    measure('LiveKit continued, until the rooms of five cancelled calls are gone', beganAt);
    for (const { disconnected } of conversations)
      expect(await disconnected).toEqual(['ROOM_DELETED', 'ROOM_DELETED']);
    for (const { id } of conversations) await expect.poll(() => isDeletionComplete(hangup, id)).toBe(true);
  }, 60_000);

  test('lose returning participants after a restart, and live calls continue', async () => {
    const { hangup, livekit, inbox } = await start({ webhooks: true });
    const cancelled: Conversation[] = [];
    for (const id of ['c1', 'c2', 'c3']) cancelled.push(await startConversation(hangup, livekit, id));
    const continuing = await startConversation(hangup, livekit, 'continuing');
    const nobody = await startConversation(hangup, livekit, 'nobody-returns');
    for (const { id } of [continuing, nobody]) {
      await expect.poll(() => statusOf(hangup, id)).toBe('active');
    }
    const before = (await readCall(hangup, continuing.id)).call;
    await livekit.kill();
    const killedAtMs = Date.now();
    await nobody.leave();
    await Promise.all(cancelled.map(({ id }) => cancel(hangup, id)));
    await livekit.start();
    const beganAt = performance.now();
    // Without Redis, LiveKit starts without rooms. Returning clients recreate them.
    expect(await livekit.roomNames()).not.toContain(nobody.id);

    await expect
      .poll(async () => (await readCall(hangup, continuing.id)).call.roomId)
      .not.toBe(before.roomId);
    measure('LiveKit restarted, until a live call has its new room', beganAt);
    await expect.poll(() => statusOf(hangup, nobody.id), { timeout: ABSENCE_TIMEOUT_MS }).toBe('completed');
    measure('LiveKit restarted, until a call without returning clients is completed', beganAt);

    const durationsOf = ({ id }: Conversation) => sessionDurations(inbox.webhooksOf(id), killedAtMs);
    await expect
      .poll(
        () =>
          cancelled.every(
            (conversation) => !conversation.isConnected() || durationsOf(conversation).length >= MIN_REJOINS,
          ),
        {
          timeout: REJOIN_TIMEOUT_MS,
        },
      )
      .toBe(true);
    measured(
      `of ${cancelled.length} calls still connecting: ${cancelled.filter((conversation) => conversation.isConnected()).length}`,
    );
    for (const conversation of cancelled) await conversation.leave();
    const isRoomLeft = async () => {
      const rooms = await livekit.roomNames();
      return cancelled.some(({ id }) => rooms.includes(id));
    };
    await expect.poll(() => isRoomLeft(), { timeout: DELETION_SLO_MS }).toBe(false);
    for (const { id } of cancelled) {
      await expect.poll(() => isDeletionComplete(hangup, id)).toBe(true);
      expect(await statusOf(hangup, id)).toBe('cancelled');
    }
    const durations = () => cancelled.flatMap(durationsOf);
    await expect.poll(() => durations().every(Number.isFinite)).toBe(true);
    const durationsMs = durations();
    expect(durationsMs.length).toBeGreaterThan(0);
    measured(
      `rooms that the clients of ${cancelled.length} cancelled calls recreated: ${durationsMs.length}`,
    );
    measured(`the longest session of these rooms: ${Math.max(0, ...durationsMs)} ms`);
    for (const durationMs of durationsMs) expect(durationMs).toBeLessThan(DELETION_SLO_MS);

    expect(await statusOf(hangup, continuing.id)).toBe('active');
    expect(continuing.isConnected()).toBe(true);
    expect(await livekit.roomNames()).toContain(continuing.id);
  }, 180_000);
});

/** Returns the durations of the sessions since a time, by LiveKit's webhooks; Infinity without room_finished. */
function sessionDurations(webhooks: readonly ReceivedWebhook[], sinceMs: number): number[] {
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
