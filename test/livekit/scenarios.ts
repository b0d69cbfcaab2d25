import { RoomServiceClient } from 'livekit-server-sdk';
import type { LiveKitUnderTest, WebhookInbox } from '../harness/livekit.ts';

interface Stage {
  readonly livekit: LiveKitUnderTest;
  readonly client: RoomServiceClient;
  readonly roomName: string;
  /** Resolves once the room's webhooks include this event so many times. */
  seen(event: string, times?: number): Promise<void>;
  /** What the receiver answers to the room's first webhooks. */
  answer(...statuses: number[]): void;
}

/*
 * What was captured from a real server, without phones. `scripts/capture-webhooks.ts` runs them on the real server
 * and keeps what it sends, and a test runs them on the emulator. Each step waits for the event of the one before,
 * so that the order of events is LiveKit's and not that of the network.
 */
const SCENARIOS = {
  'join-leave': async ({ livekit, client, roomName, seen }) => {
    await client.createRoom({ name: roomName, emptyTimeout: 30, departureTimeout: 1, metadata: 'room-md' });
    const caller = await livekit.join(roomName, 'caller');
    await seen('participant_joined');
    await caller.publishAudio();
    await seen('track_published');
    await caller.leave();
    await seen('room_finished');
  },
  'two-and-delete-room': async ({ livekit, client, roomName, seen }) => {
    const caller = await livekit.join(roomName, 'caller');
    await seen('participant_joined');
    const agent = await livekit.join(roomName, 'agent', { kind: 'agent' });
    await seen('participant_joined', 2);
    await caller.publishAudio();
    await seen('track_published');
    await agent.publishAudio();
    await seen('track_published', 2);
    await client.deleteRoom(roomName);
    await seen('room_finished');
  },
  'remove-participant': async ({ livekit, client, roomName, seen }) => {
    await client.createRoom({ name: roomName, departureTimeout: 1 });
    const caller = await livekit.join(roomName, 'caller');
    await seen('participant_joined');
    await caller.publishAudio();
    await seen('track_published');
    await client.removeParticipant(roomName, 'caller');
    await seen('room_finished');
  },
  'agent-left-alone': async ({ livekit, client, roomName, seen }) => {
    await client.createRoom({ name: roomName, departureTimeout: 1 });
    await livekit.join(roomName, 'agent', { kind: 'agent' });
    await seen('participant_joined');
    const caller = await livekit.join(roomName, 'caller');
    await seen('participant_joined', 2);
    await caller.leave();
    await seen('room_finished');
  },
  'rejoin-after-delete-room': async ({ livekit, client, roomName, seen }) => {
    await livekit.join(roomName, 'caller');
    await seen('participant_joined');
    await client.deleteRoom(roomName);
    await seen('room_finished');
    await livekit.join(roomName, 'caller');
    await seen('participant_joined', 2);
    await client.deleteRoom(roomName);
    await seen('room_finished', 2);
  },
  'receiver-answers-503': async ({ livekit, client, roomName, seen, answer }) => {
    answer(503, 503);
    await livekit.join(roomName, 'caller');
    await client.deleteRoom(roomName);
    await seen('room_finished');
  },
  'receiver-answers-401': async ({ livekit, client, roomName, seen, answer }) => {
    answer(401, 401);
    await livekit.join(roomName, 'caller');
    await seen('participant_joined');
    await client.deleteRoom(roomName);
    await seen('room_finished');
  },
} satisfies Record<string, (stage: Stage) => Promise<void>>;

type ScenarioName = keyof typeof SCENARIOS;

export const SCENARIO_NAMES = Object.keys(SCENARIOS) as ScenarioName[];

/** Runs it in a room of its own name; returns that name. */
export async function runScenario(
  name: ScenarioName,
  livekit: LiveKitUnderTest,
  inbox: WebhookInbox,
): Promise<string> {
  const roomName = `capture-${name}`;
  await SCENARIOS[name]({
    livekit,
    client: new RoomServiceClient(livekit.url, livekit.apiKey, livekit.apiSecret),
    roomName,
    seen: async (event, times = 1) => {
      await inbox.waitFor(
        roomName,
        (webhooks) => webhooks.filter((one) => one.event.event === event).length >= times,
      );
    },
    answer: (...statuses) => inbox.answerNext(roomName, ...statuses),
  });
  return roomName;
}
