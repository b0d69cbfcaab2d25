import { RoomServiceClient } from 'livekit-server-sdk';
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  onTestFinished,
  test,
  vi,
} from 'vitest';
import type { Emulator, InboundCall, OutboundCallOptions } from '../../src/emulator/emulator.ts';
import {
  API_KEY,
  API_SECRET,
  type LiveKitUnderTest,
  openWebhookInbox,
  type ReceivedWebhook,
  startEmulated,
  startLiveKit,
  type WebhookInbox,
} from '../harness/livekit.ts';
import { createNormalizer } from './volatile-values.ts';
import { loadFixture } from './webhook-recordings.ts';
import { runScenario, SCENARIO_NAMES } from './webhook-scenarios.ts';

/*
 * The emulator sends the recorded webhooks of a real server: the same events in the same order, with the same fields.
 * If LIVEKIT_SERVER is set, the scenarios without phones compare the recordings with that server instead.
 */

interface Webhook {
  readonly contentType: unknown;
  readonly body: string;
}

const toWebhook = ({ headers, body }: ReceivedWebhook): Webhook => ({
  contentType: headers['content-type'],
  body,
});

/** The webhooks without their volatile values: LiveKit's ids and times differ in each run. */
function comparable(webhooks: readonly Webhook[]): unknown[] {
  const normalize = createNormalizer();
  const events = inStableOrder(webhooks.map(({ body }) => JSON.parse(body)));
  return events.map((event, index) => ({
    contentType: webhooks[index]?.contentType,
    event: normalize(event),
  }));
}

interface Departure {
  readonly event: string;
  readonly participant?: { readonly identity: string; readonly disconnectReason?: string };
}

/** Sorts the departures from a deleted room by identity, because LiveKit sends them in random order. */
function inStableOrder(events: readonly Departure[]): readonly Departure[] {
  const end = events.findIndex(({ event }) => event === 'room_finished');
  const isDeparture = ({ event }: Departure) => event === 'track_unpublished' || event === 'participant_left';
  const begin = events.slice(0, end).findLastIndex((event) => !isDeparture(event)) + 1;
  const departures = events.slice(begin, end);
  const left = departures.filter(({ event }) => event === 'participant_left');
  if (!left.every(({ participant }) => participant?.disconnectReason === 'ROOM_DELETED')) return events;
  const identityOf = ({ participant }: Departure) => participant?.identity ?? '';
  const sorted = departures.toSorted((a, b) => identityOf(a).localeCompare(identityOf(b)));
  return events.toSpliced(begin, sorted.length, ...sorted);
}

describe('scenarios without phones', () => {
  let inbox: WebhookInbox;
  let livekit: LiveKitUnderTest;
  beforeAll(async () => {
    inbox = await openWebhookInbox();
    livekit = await startLiveKit({ webhookUrls: [inbox.url] });
  });
  afterAll(async () => {
    await livekit.stop();
    await inbox.close();
  });

  // Concurrent, because some scenarios last seconds. Each scenario has its own room.
  test.concurrent.each(SCENARIO_NAMES)('the webhooks of %s equal the recording', async (name) => {
    const webhooks = inbox.webhooksOf(await runScenario(name, livekit, inbox));
    expect(comparable(webhooks.map(toWebhook))).toStrictEqual(comparable(loadFixture(name)));
  });
});

describe('phone calls', () => {
  beforeEach(() => {
    // Calls last seconds. Only the timers of the calls are faked, and they also advance with real time.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'], shouldAdvanceTime: true });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  interface Stage {
    readonly emulator: Emulator;
    readonly client: RoomServiceClient;
    /** The room name of the recorded call. */
    readonly roomName: string;
    advanceTime(ms: number): void;
  }

  async function dial({ emulator, client, roomName }: Stage, options: Partial<OutboundCallOptions> = {}) {
    await client.createRoom({
      name: roomName,
      emptyTimeout: 30,
      departureTimeout: 3,
      metadata: '{"callId":"c-1"}',
    });
    return emulator.dialOut(roomName, {
      identity: 'phone',
      name: 'Callee',
      metadata: 'md',
      phoneNumber: '+15551234567',
      trunkPhoneNumber: '+15550001',
      hostname: '127.0.0.1:15070',
      attributes: { callId: 'c-1' },
      ...options,
    });
  }

  const receive = ({ emulator }: Stage) =>
    emulator.receiveCall({
      prefix: 'call-',
      callerNumber: '+15557770001',
      calledNumber: '+15559999',
      metadata: 'rule-md',
      roomMetadata: 'room-md',
      hostname: '127.0.0.1',
      attributes: { tenant: 'acme', 'sip.h.x-tenant': 'acme' },
    });

  function answer({ emulator, advanceTime }: Stage, phone: InboundCall): void {
    emulator.join(phone.roomName, { identity: 'agent-1', kind: 'AGENT' }).publishAudio('a');
    advanceTime(1_000);
  }

  // Each entry repeats its recorded call, up to room_finished.
  const CALLS: Record<string, (stage: Stage) => Promise<{ readonly roomName: string }>> = {
    '01-answer-peer-bye': async (stage) => {
      const phone = await dial(stage);
      phone.ring();
      stage.advanceTime(2_000);
      phone.answer();
      stage.advanceTime(3_000);
      phone.hangUp();
      return phone;
    },
    '02-answer-delete': async (stage) => {
      const phone = await dial(stage);
      phone.ring();
      phone.answer();
      await stage.client.deleteRoom(stage.roomName);
      return phone;
    },
    '03-ringing-delete': async (stage) => {
      const phone = await dial(stage);
      phone.ring();
      await stage.client.deleteRoom(stage.roomName);
      return phone;
    },
    '04-busy-486': async (stage) => {
      const phone = await dial(stage);
      phone.ring();
      phone.busy();
      return phone;
    },
    '05-decline-603': async (stage) => {
      const phone = await dial(stage);
      phone.ring();
      phone.decline();
      return phone;
    },
    '06b-480': async (stage) => {
      const phone = await dial(stage);
      phone.ring();
      phone.unavailable();
      return phone;
    },
    '07-noanswer-ringtimeout3': async (stage) => {
      const phone = await dial(stage);
      phone.ring();
      phone.timeOut();
      return phone;
    },
    '08b-tcp-refused': async (stage) => {
      const phone = await dial(stage, { hostname: '127.0.0.1:15999', isTrunkListening: false });
      phone.unreachable();
      return phone;
    },
    '08d-silent-ringtimeout3': async (stage) => {
      const phone = await dial(stage, { hostname: '127.0.0.1:15998' });
      phone.timeOut();
      return phone;
    },
    '09-503': async (stage) => {
      const phone = await dial(stage);
      phone.unreachable();
      return phone;
    },
    '10a-in-agent-peer-bye': async (stage) => {
      const phone = receive(stage);
      answer(stage, phone);
      stage.advanceTime(2_000);
      phone.hangUp();
      return phone;
    },
    '10b-in-agent-delete': async (stage) => {
      const phone = receive(stage);
      answer(stage, phone);
      await stage.client.deleteRoom(phone.roomName);
      return phone;
    },
    '10c-in-caller-gives-up': async (stage) => {
      const phone = receive(stage);
      phone.hangUp();
      return phone;
    },
    '10d-in-delete-ringing': async (stage) => {
      const phone = receive(stage);
      await stage.client.deleteRoom(phone.roomName);
      return phone;
    },
    '11-answer-remove': async (stage) => {
      const phone = await dial(stage);
      phone.ring();
      phone.answer();
      await stage.client.removeParticipant(stage.roomName, 'phone');
      return phone;
    },
  };

  test.each(Object.entries(CALLS))('the webhooks of %s equal the recording', async (name, play) => {
    const recording = loadFixture(`phone-${name}`);
    const inbox = await openWebhookInbox();
    // The recorded dispatch rule's room configuration. Outbound, CreateRoom sets the same timeouts.
    const timeouts = { emptyTimeoutMs: 30_000, departureTimeoutMs: 3_000 };
    const { emulator, stop } = await startEmulated({ webhookUrls: [inbox.url], ...timeouts });
    onTestFinished(async () => {
      await stop();
      await inbox.close();
    });
    const advanceTime = (ms: number) => void vi.advanceTimersByTime(ms);
    const { roomName } = await play({
      emulator,
      client: new RoomServiceClient(emulator.url, API_KEY, API_SECRET),
      roomName: recording[0]?.event.room.name ?? '',
      advanceTime,
    });
    advanceTime(timeouts.departureTimeoutMs);
    const webhooks = await inbox.waitFor(roomName, (all) => all.at(-1)?.event.event === 'room_finished');
    expect(comparable(webhooks.map(toWebhook))).toStrictEqual(comparable(recording));
  });
});
