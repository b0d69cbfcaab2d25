import { RoomServiceClient } from 'livekit-server-sdk';
import type { LiveKitUnderTest, WebhookInbox } from '../harness/livekit.ts';

interface Stage {
  readonly livekit: LiveKitUnderTest;
  readonly client: RoomServiceClient;
  readonly roomName: string;
  /** Resolves when the room has sent the event the given number of times. */
  received(event: string, times?: number): Promise<void>;
  /** Sets the receiver's responses to the room's first webhooks. */
  respondWith(...statuses: number[]): void;
}

/*
 * The recorded scenarios without phones. `scripts/record-webhooks.ts` runs them on a real server and stores the webhooks;
 * a test runs them on the emulator. Each step waits for the previous event, because the network could change the order.
 */
const SCENARIOS = {
  'join-leave': async ({ livekit, client, roomName, received }) => {
    await client.createRoom({ name: roomName, emptyTimeout: 30, departureTimeout: 1, metadata: 'room-md' });
    const caller = await livekit.join(roomName, 'caller');
    await received('participant_joined');
    await caller.publishAudio();
    await received('track_published');
    await caller.leave();
    await received('room_finished');
  },
  'two-and-delete-room': async ({ livekit, client, roomName, received }) => {
    const caller = await livekit.join(roomName, 'caller');
    await received('participant_joined');
    const agent = await livekit.join(roomName, 'agent', { kind: 'agent' });
    await received('participant_joined', 2);
    await caller.publishAudio();
    await received('track_published');
    await agent.publishAudio();
    await received('track_published', 2);
    await client.deleteRoom(roomName);
    await received('room_finished');
  },
  'remove-participant': async ({ livekit, client, roomName, received }) => {
    await client.createRoom({ name: roomName, departureTimeout: 1 });
    const caller = await livekit.join(roomName, 'caller');
    await received('participant_joined');
    await caller.publishAudio();
    await received('track_published');
    await client.removeParticipant(roomName, 'caller');
    await received('room_finished');
  },
  'agent-left-alone': async ({ livekit, client, roomName, received }) => {
    await client.createRoom({ name: roomName, departureTimeout: 1 });
    await livekit.join(roomName, 'agent', { kind: 'agent' });
    await received('participant_joined');
    const caller = await livekit.join(roomName, 'caller');
    await received('participant_joined', 2);
    await caller.leave();
    await received('room_finished');
  },
  'rejoin-after-delete-room': async ({ livekit, client, roomName, received }) => {
    await livekit.join(roomName, 'caller');
    await received('participant_joined');
    await client.deleteRoom(roomName);
    await received('room_finished');
    await livekit.join(roomName, 'caller');
    await received('participant_joined', 2);
    await client.deleteRoom(roomName);
    await received('room_finished', 2);
  },
  'receiver-answers-503': async ({ livekit, client, roomName, received, respondWith }) => {
    respondWith(503, 503);
    await livekit.join(roomName, 'caller');
    await client.deleteRoom(roomName);
    await received('room_finished');
  },
  'receiver-answers-401': async ({ livekit, client, roomName, received, respondWith }) => {
    respondWith(401, 401);
    await livekit.join(roomName, 'caller');
    await received('participant_joined');
    await client.deleteRoom(roomName);
    await received('room_finished');
  },
} satisfies Record<string, (stage: Stage) => Promise<void>>;

type ScenarioName = keyof typeof SCENARIOS;

export const SCENARIO_NAMES = Object.keys(SCENARIOS) as ScenarioName[];

/** Runs the scenario in its own room. @returns the room's name */
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
    received: async (event, times = 1) => {
      await inbox.waitFor(
        roomName,
        (webhooks) => webhooks.filter((webhook) => webhook.event.event === event).length >= times,
      );
    },
    respondWith: (...statuses) => inbox.respondNext(roomName, ...statuses),
  });
  return roomName;
}
