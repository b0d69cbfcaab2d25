import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { RoomServiceClient } from 'livekit-server-sdk';
import { vi } from 'vitest';
import { z } from 'zod';
import { CALL_STATUSES, DIRECTIONS, isLive } from '../../src/domain/call-status.ts';
import type { EmulatedParticipant, Emulator } from '../../src/emulator/emulator.ts';
import { type Hangup, startHangup, type TestSettings } from './hangup.ts';
import { startEmulated } from './livekit.ts';
import { freePorts } from './ports.ts';
import { WAIT } from './time.ts';

/* Plays the steps of room cases on hangup over HTTP, then compares the API and LiveKit's rooms with expected values. */

const Attributes = z.record(z.string(), z.string());
const Joining = z.strictObject({
  kind: z
    .union([z.enum(['STANDARD', 'INGRESS', 'EGRESS', 'SIP', 'AGENT', 'CONNECTOR', 'BRIDGE']), z.int()])
    .exactOptional(),
  permission: z
    .strictObject({
      canPublish: z.boolean().exactOptional(),
      hidden: z.boolean().exactOptional(),
      recorder: z.boolean().exactOptional(),
      agent: z.boolean().exactOptional(),
    })
    .exactOptional(),
  attributes: Attributes.exactOptional(),
});

const Step = z.union([
  /** room_started, by CreateRoom. */
  z.tuple([z.literal('started')]),
  /** room_finished: the room closes, or hangup deletes it. */
  z.tuple([z.literal('finished')]),
  /** participant_joined. */
  z.tuple([z.literal('joined'), z.string(), Joining]),
  /** A join whose webhook is lost. */
  z.tuple([z.literal('lost-join'), z.string(), Joining]),
  /** participant_left with a reason, and with attributes that changed at the end. */
  z.tuple([z.literal('left'), z.string(), z.string()]),
  z.tuple([z.literal('left'), z.string(), z.string(), Attributes]),
  /** A leave whose webhook is lost. */
  z.tuple([z.literal('lost-leave'), z.string()]),
  /** participant_connection_aborted with a reason. */
  z.tuple([z.literal('aborted'), z.string(), z.string()]),
  /** participant_left (MIGRATION): the participant stays in the room under the same sid, and no join follows. */
  z.tuple([z.literal('migrated'), z.string()]),
  /** track_published. */
  z.tuple([z.literal('audio'), z.string()]),
  /** A change that sends no webhook. */
  z.tuple([z.literal('attributes'), z.string(), Attributes]),
  /** A cancel of the room's last call. */
  z.tuple([z.literal('cancel')]),
  /** ListRooms omits the live room. */
  z.tuple([z.literal('unlist')]),
  z.tuple([z.literal('list')]),
  /** Seconds. */
  z.tuple([z.literal('wait'), z.number()]),
]);

const RoomCase = z.strictObject({
  name: z.string(),
  /** The adopted prefix; the call is not registered. */
  adopt: z.string().optional(),
  room: z.string().optional(),
  steps: z.array(Step),
  /** The values of the room's last call after the last step. */
  expect: z
    .strictObject({
      status: z.enum(CALL_STATUSES),
      failureReason: z.string().nullable(),
      direction: z.enum(DIRECTIONS),
      phoneNumber: z.string().nullable(),
      /** Minimum and maximum in seconds. */
      duration: z.tuple([z.number(), z.number()]).nullable(),
      /** On LiveKit. */
      room: z.enum(['alive', 'gone']),
      /** Number of calls with the room name. */
      calls: z.int(),
    })
    .partial(),
});

type Step = z.output<typeof Step>;
export type RoomCase = z.output<typeof RoomCase>;

export function readRoomCases(file: string): RoomCase[] {
  return z.object({ cases: z.array(RoomCase) }).parse(JSON.parse(readFileSync(file, 'utf8'))).cases;
}

/** The waits of the cases depend on these settings. */
const SETTINGS: TestSettings = {
  agentLeftGraceMs: 3_000,
  reconnectGraceMs: 3_000,
  reconcileSchedule: '*/2 * * * * *',
};

/** The time from the last step to an expected end. */
const END_WITHIN_MS = 10_000;

/** One hangup on one emulator. Cases may run concurrently. */
export interface RoomStage {
  readonly hangup: Hangup;
  readonly emulator: Emulator;
  stop(): Promise<void>;
}

export async function startRoomStage(): Promise<RoomStage> {
  const [port = 0] = await freePorts(1);
  const livekit = await startEmulated({ webhookUrls: [`http://127.0.0.1:${port}/webhooks/livekit`] });
  const hangup = await startHangup({ livekit, settings: { ...SETTINGS, port } });
  return {
    hangup,
    emulator: livekit.emulator,
    async stop() {
      await hangup.stop();
      await livekit.stop();
    },
  };
}

export interface PlayedRoom {
  /** The expected values that the last call does not have. */
  readonly differences: readonly string[];
  /** The events of the room's calls, for a failure report. */
  readonly history: string;
}

let played = 0;

/** Plays one case in its own room and organization. */
export async function playRoom(stage: RoomStage, room: RoomCase): Promise<PlayedRoom> {
  played += 1;
  const own = `${played}-`;
  const organizationName = `organization ${played}`;
  const roomName = `${own}${room.room ?? `${room.adopt ?? ''}room`}`;
  const player = new Player(stage, roomName, await stage.hangup.createKey(organizationName));
  if (room.adopt === undefined) {
    await player.register();
  } else {
    await stage.hangup.store.addAdoptionPrefix({
      prefix: `${own}${room.adopt}`,
      organizationName,
      organizationIdIfNew: organizationName,
      now: Date.now(),
    });
  }

  const beganAt = performance.now();
  for (const step of room.steps) {
    await player.play(step);
    // All webhooks of a step arrive before the next step.
    await stage.emulator.webhooksDelivered(roomName);
  }
  const plannedS = room.steps.reduce((sum, step) => sum + (step[0] === 'wait' ? step[1] : 0), 0);
  // A busy machine plays the steps late, which makes the call longer by the same time.
  const lateS = Math.floor((performance.now() - beganAt) / 1_000 - plannedS);

  const differences = async () => differencesOf(room.expect, await player.outcome(), lateS);
  const { status } = room.expect;
  if (room.expect.room === 'gone' || (status !== undefined && !isLive(status))) {
    const giveUpAt = performance.now() + END_WITHIN_MS;
    while ((await differences()).length > 0 && performance.now() < giveUpAt) await sleep(50);
  }
  return { differences: await differences(), history: await player.history() };
}

const Details = z.object({
  id: z.string(),
  status: z.string(),
  failureReason: z.string().nullable(),
  direction: z.string(),
  phoneNumber: z.string().nullable(),
  duration: z.number().nullable(),
});
const CallList = z.object({ data: z.object({ calls: z.array(z.object({ id: z.string() })) }) });
const CallEvents = z.object({
  data: z.object({
    events: z.array(
      z.object({
        at: z.string(),
        action: z.string(),
        actor: z.string(),
        from: z.string().nullable(),
        to: z.string().nullable(),
        reason: z.string().nullable(),
      }),
    ),
  }),
});

interface Outcome {
  /** The last call; null when the room name had no call. */
  readonly call: z.output<typeof Details> | null;
  readonly calls: number;
  readonly room: 'alive' | 'gone';
}

function differencesOf(
  expected: RoomCase['expect'],
  { call, calls, room }: Outcome,
  lateS: number,
): string[] {
  const actual = { ...call, calls, room };
  return Object.entries(expected).flatMap(([field, value]) => {
    const found = Reflect.get(actual, field);
    const isRight = Array.isArray(value) ? isWithin(found, value[0], value[1] + lateS) : found === value;
    return isRight ? [] : [`${field}: expected ${JSON.stringify(value)}, found ${JSON.stringify(found)}`];
  });
}

function isWithin(value: unknown, least: number, most: number): boolean {
  return typeof value === 'number' && value >= least && value <= most;
}

class Player {
  readonly #stage: RoomStage;
  readonly #roomName: string;
  readonly #key: string;
  readonly #livekit: RoomServiceClient;
  readonly #participants = new Map<string, EmulatedParticipant>();

  constructor(stage: RoomStage, roomName: string, key: string) {
    this.#stage = stage;
    this.#roomName = roomName;
    this.#key = key;
    const { url, apiKey, apiSecret } = stage.hangup.livekit;
    this.#livekit = new RoomServiceClient(url, apiKey, apiSecret);
  }

  async register(): Promise<void> {
    await this.#request('POST', '/api/v1/calls', { roomName: this.#roomName });
  }

  async play(step: Step): Promise<void> {
    const { emulator } = this.#stage;
    switch (step[0]) {
      case 'started':
        await this.#livekit.createRoom({ name: this.#roomName });
        return;
      case 'finished':
        await vi.waitFor(() => {
          if (!emulator.closeIdleRoom(this.#roomName)) throw new Error(`${this.#roomName} is in use`);
        }, WAIT);
        return;
      case 'joined':
        this.#join(step[1], step[2]);
        return;
      case 'lost-join':
        this.#withoutWebhooks(() => this.#join(step[1], step[2]));
        return;
      case 'left': {
        const participant = this.#participant(step[1]);
        participant.setAttributes(step[3] ?? {});
        participant.leave(step[2]);
        return;
      }
      case 'lost-leave':
        this.#withoutWebhooks(() => this.#participant(step[1]).leave());
        return;
      case 'aborted':
        this.#participant(step[1]).abort(step[2]);
        return;
      case 'migrated':
        this.#participant(step[1]).migrate();
        return;
      case 'audio':
        this.#participant(step[1]).publishAudio();
        return;
      case 'attributes':
        this.#participant(step[1]).setAttributes(step[2]);
        return;
      case 'cancel': {
        const [callId] = await this.#callIds();
        await this.#request('DELETE', `/api/v1/calls/${callId}`);
        return;
      }
      case 'unlist':
        emulator.unlistRoom(this.#roomName);
        return;
      case 'list':
        emulator.relistRoom(this.#roomName);
        return;
      case 'wait':
        await sleep(step[1] * 1_000);
        return;
    }
  }

  async outcome(): Promise<Outcome> {
    const callIds = await this.#callIds();
    const [last] = callIds;
    return {
      call: last === undefined ? null : await this.#details(last),
      calls: callIds.length,
      room: this.#stage.emulator.roomNames().includes(this.#roomName) ? 'alive' : 'gone',
    };
  }

  async #details(callId: string): Promise<z.output<typeof Details>> {
    const body = await this.#request('GET', `/api/v1/calls/${callId}`);
    return z.object({ data: Details }).parse(body).data;
  }

  async history(): Promise<string> {
    const histories = await Promise.all(
      (await this.#callIds()).toReversed().map(async (callId) => {
        const body = await this.#request('GET', `/api/v1/calls/${callId}/events?limit=100`);
        const lines = CallEvents.parse(body).data.events.map(({ at, action, actor, from, to, reason }) =>
          [at, actor, action, ...(to === null ? [] : [`${from} -> ${to}`]), reason ?? ''].join(' '),
        );
        return [callId, ...lines].join('\n  ');
      }),
    );
    return histories.join('\n');
  }

  #join(identity: string, joining: z.output<typeof Joining>): void {
    this.#participants.set(identity, this.#stage.emulator.join(this.#roomName, { identity, ...joining }));
  }

  #participant(identity: string): EmulatedParticipant {
    const participant = this.#participants.get(identity);
    if (participant === undefined) throw new Error(`${identity} has not joined`);
    return participant;
  }

  #withoutWebhooks(act: () => void): void {
    const find = this.#stage.emulator.dropWebhooks(({ room }) => room?.name === this.#roomName);
    act();
    find();
  }

  /** Returns the call ids, newest first. */
  async #callIds(): Promise<string[]> {
    const list = CallList.parse(await this.#request('GET', '/api/v1/calls?limit=100'));
    return list.data.calls.map(({ id }) => id);
  }

  async #request(method: string, path: string, body?: object): Promise<unknown> {
    const answer = await this.#stage.hangup.send(method, path, { key: this.#key, body });
    if (answer.status >= 300) {
      throw new Error(`${method} ${path} was answered ${answer.status}: ${JSON.stringify(answer.body)}`);
    }
    return answer.body;
  }
}
