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
import { loadFixture } from './fixtures.ts';
import { runScenario, SCENARIO_NAMES } from './scenarios.ts';

/*
 * The emulator sends what the real server sent: the same events in the same order, each with the same fields and
 * values. With LIVEKIT_SERVER set, the scenarios without phones hold the fixtures against that server instead.
 */

interface Webhook {
  readonly contentType: unknown;
  readonly body: string;
}

const sent = ({ headers, body }: ReceivedWebhook): Webhook => ({
  contentType: headers['content-type'],
  body,
});

/** What is random in a body, by its form: an id's prefix is kept. */
const ID = /^(EV_|RM_|PA_|TR_AM|SCL_|ST_|SDR_)[A-Za-z0-9]{12}$/;
const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/;
const DISPATCHED_ROOM = /^(call-_\+15557770001_)[A-Za-z0-9]{12}$/;
/** By field. */
const TIMES: Readonly<Record<string, RegExp>> = {
  createdAt: /^\d{10}$/,
  creationTime: /^\d{10}$/,
  creationTimeMs: /^\d{13}$/,
  joinedAt: /^\d{10}$/,
  joinedAtMs: /^\d{13}$/,
  unixMicro: /^\d{16}$/,
};
/** The SIP peer's own words, which may have any form. */
const PEERS_WORDS = ['sip.callTag', 'sip.callIDFull'];

/**
 * Random values become their number by first appearance, so that what was the same stays the same and what differed
 * differs: a retry's id, the sid of a room's second life, the time at which a participant had joined. Nothing is
 * left out, and a value of another form stays as it is.
 */
function comparable(webhooks: readonly Webhook[]): unknown[] {
  const known = new Map<string, string[]>();
  function numbered(what: string, value: string): number {
    const values = known.get(what) ?? [];
    known.set(what, values);
    if (!values.includes(value)) values.push(value);
    return values.indexOf(value) + 1;
  }

  function walk(value: unknown, field: string, owner: string): unknown {
    if (Array.isArray(value)) return value.map((one) => walk(one, field, owner));
    if (typeof value === 'object' && value !== null) {
      const id = 'sid' in value ? value.sid : 'id' in value ? value.id : owner;
      return Object.fromEntries(
        Object.entries(value).map(([name, one]) => [name, walk(one, name, String(id))]),
      );
    }
    // LiveKit's own count of a participant's changes: 2 or 3 when it joins.
    if (field === 'version' && typeof value === 'number') return 'a number';
    if (typeof value !== 'string') return value;
    if (field === 'turnPassword') return 'a password, blanked in the fixtures';
    const prefix = ID.exec(value)?.[1] ?? DISPATCHED_ROOM.exec(value)?.[1];
    if (prefix !== undefined) return `${prefix}#${numbered(prefix, value)}`;
    if (PEERS_WORDS.includes(field) && value !== '') return `${field} #${numbered(field, value)}`;
    if (UUID.test(value)) return `uuid #${numbered('uuid', value)}`;
    if (TIMES[field]?.test(value)) return `${field} #${numbered(`${field} of ${owner}`, value)}`;
    return value;
  }

  const events = inOneOrder(webhooks.map(({ body }) => JSON.parse(body)));
  return events.map((event, index) => ({
    contentType: webhooks[index]?.contentType,
    event: walk(event, '', ''),
  }));
}

interface Departure {
  readonly event: string;
  readonly participant?: { readonly identity: string; readonly disconnectReason?: string };
}

/** Which participant goes first when their room is deleted is LiveKit's whim, so they go by name here. */
function inOneOrder(events: readonly Departure[]): readonly Departure[] {
  const end = events.findIndex(({ event }) => event === 'room_finished');
  const isDeparture = ({ event }: Departure) => event === 'track_unpublished' || event === 'participant_left';
  const begin = events.slice(0, end).findLastIndex((event) => !isDeparture(event)) + 1;
  const departures = events.slice(begin, end);
  const left = departures.filter(({ event }) => event === 'participant_left');
  if (!left.every(({ participant }) => participant?.disconnectReason === 'ROOM_DELETED')) return events;
  const nameOf = ({ participant }: Departure) => participant?.identity ?? '';
  const sorted = departures.toSorted((one, other) => nameOf(one).localeCompare(nameOf(other)));
  return events.toSpliced(begin, sorted.length, ...sorted);
}

describe('without phones', () => {
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

  // At the same time, because some last seconds: each has a room of its own.
  test.concurrent.each(SCENARIO_NAMES)('%s', async (name) => {
    const webhooks = inbox.of(await runScenario(name, livekit, inbox));
    expect(comparable(webhooks.map(sent))).toStrictEqual(comparable(loadFixture(name)));
  });
});

describe('phone calls', () => {
  beforeEach(() => {
    // Calls last seconds. Only what waits for seconds is faked, and time goes by as well as being advanced.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'], shouldAdvanceTime: true });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  interface Stage {
    readonly emulator: Emulator;
    readonly client: RoomServiceClient;
    /** The captured call's. */
    readonly roomName: string;
    pass(ms: number): void;
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

  function answer({ emulator, pass }: Stage, phone: InboundCall): void {
    emulator.join(phone.roomName, { identity: 'agent-1', kind: 'AGENT' }).publishAudio('a');
    pass(1_000);
  }

  // Each plays its capture, up to room_finished.
  const CALLS: Record<string, (stage: Stage) => Promise<{ readonly roomName: string }>> = {
    '01-answer-peer-bye': async (stage) => {
      const phone = await dial(stage);
      phone.ring();
      stage.pass(2_000);
      phone.answer();
      stage.pass(3_000);
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
      stage.pass(2_000);
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

  test.each(Object.entries(CALLS))('%s', async (name, play) => {
    const capture = loadFixture(`phone-${name}`);
    const inbox = await openWebhookInbox();
    // As the rule's room configuration had it; outbound, CreateRoom asks for the same.
    const timeouts = { emptyTimeoutMs: 30_000, departureTimeoutMs: 3_000 };
    const { emulator, stop } = await startEmulated({ webhookUrls: [inbox.url], ...timeouts });
    onTestFinished(async () => {
      await stop();
      await inbox.close();
    });
    const pass = (ms: number) => void vi.advanceTimersByTime(ms);
    const { roomName } = await play({
      emulator,
      client: new RoomServiceClient(emulator.url, API_KEY, API_SECRET),
      roomName: capture[0]?.event.room.name ?? '',
      pass,
    });
    pass(timeouts.departureTimeoutMs);
    const webhooks = await inbox.waitFor(roomName, (all) => all.at(-1)?.event.event === 'room_finished');
    expect(comparable(webhooks.map(sent))).toStrictEqual(comparable(capture));
  });
});
