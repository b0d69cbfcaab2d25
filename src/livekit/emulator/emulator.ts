import type { WebhookEvent } from 'livekit-server-sdk';
import { type Fault, FaultSwitches } from './faults.ts';
import type { JoiningParticipant } from './participant.ts';
import {
  type DialledPhone,
  type DialOptions,
  dial,
  dispatchedRoomName,
  type ReceivedPhone,
  type ReceiveOptions,
  receive,
} from './phone.ts';
import { isTooLongForARoom, type RoomServiceMethod } from './room-service.ts';
import { type EmulatedParticipant, RoomState } from './room-state.ts';
import { listen } from './server.ts';
import { WEBHOOK_RETRY_DELAYS_MS, WebhookSender } from './webhook-sender.ts';

export type { Fault } from './faults.ts';
export type { GrantedPermission, JoiningParticipant, ParticipantKind } from './participant.ts';
export type { DialledPhone, DialOptions, DispatchRule, ReceivedPhone, ReceiveOptions } from './phone.ts';
export type { RoomServiceMethod } from './room-service.ts';
export type { EmulatedParticipant } from './room-state.ts';

export interface EmulatorOptions {
  readonly apiKey: string;
  readonly apiSecret: string;
  /** 127.0.0.1 unless told. */
  readonly host?: string;
  /** Any free port unless told. */
  readonly port?: number;
  /** http:// only; each gets every event. */
  readonly webhookUrls?: readonly string[];
  /** The pauses before the second and every further attempt; 1, 2, 4 and 8 s unless told, as LiveKit has them. */
  readonly webhookRetryDelaysMs?: readonly number[];
  /** 300 s unless told. CreateRoom may ask for another one. */
  readonly emptyTimeoutMs?: number;
  /** 20 s unless told. CreateRoom may ask for another one. */
  readonly departureTimeoutMs?: number;
  /** How late the answer for a room comes whose node is dead; 3 s by default, as in life. */
  readonly deadNodeDelayMs?: number;
}

/** A LiveKit in this process: its room service over HTTP, its rooms and its webhooks, and no media. */
export interface Emulator {
  /** http://HOST:PORT, for RoomServiceClient. */
  readonly url: string;
  roomNames(): string[];
  /** Joins as a client would: a room that is not there is created. Throws where LiveKit would refuse the client. */
  join(roomName: string, participant: JoiningParticipant): EmulatedParticipant;
  /** Calls a phone into a room, as CreateSIPParticipant does. */
  dial(roomName: string, options: DialOptions): DialledPhone;
  /** A phone calls in, and its dispatch rule names the room. */
  receive(options: ReceiveOptions): ReceivedPhone;
  /**
   * The node of all rooms that there are dies: they stay listed with their participants and cannot be deleted
   * (livekit#3766), until CreateRoom or a participant makes a living node take them over. Even then LiveKit lists
   * the old participants, until they join again or the room ends.
   */
  killNode(): void;
  /** ListRooms leaves a living room out, until `list`; ListParticipants does not (livekit#3317). */
  unlist(roomName: string): void;
  list(roomName: string): void;
  /** Events for which the predicate is true are sent to nobody, until the returned function is called. */
  loseWebhooks(isLost: (event: WebhookEvent) => boolean): () => void;
  /** Resolves once no webhook of the room is under way: each was accepted or given up. */
  webhooksDelivered(roomName: string): Promise<void>;
  /** Closes the room now, instead of after its time-out. Returns whether it is gone: participants may keep it open. */
  closeIdleRoom(roomName: string): boolean;
  /** Switches a fault on for one method, or '*' for all; null switches it off. */
  setFault(method: RoomServiceMethod | '*', fault: Fault | null): void;
  /** The API goes away: the port closes and open connections break. Rooms, their timers and webhooks go on. */
  pause(): Promise<void>;
  /** Listens on the same port again. */
  resume(): Promise<void>;
  /** Ends everything, without an event. */
  stop(): Promise<void>;
}

/** Starts a LiveKit emulator. Its answers and events are the real server's, as far as a test of both can see. */
export async function startEmulator(options: EmulatorOptions): Promise<Emulator> {
  const { host = '127.0.0.1', port = 0, apiKey, apiSecret } = options;
  const keys = { apiKey, apiSecret };
  const retryDelaysMs = options.webhookRetryDelaysMs ?? WEBHOOK_RETRY_DELAYS_MS;
  const senders = (options.webhookUrls ?? []).map((url) => new WebhookSender(url, keys, retryDelaysMs));
  const timeouts = {
    emptyTimeoutMs: options.emptyTimeoutMs ?? 300_000,
    departureTimeoutMs: options.departureTimeoutMs ?? 20_000,
  };
  const losses = new Set<{ readonly isLost: (event: WebhookEvent) => boolean }>();
  const rooms = new RoomState(timeouts, (event) => {
    if ([...losses].some(({ isLost }) => isLost(event))) return;
    for (const sender of senders) sender.send(event);
  });
  const faults = new FaultSwitches();
  const { deadNodeDelayMs = 3_000 } = options;
  const server = await listen({ host, port, keys, rooms, faults, deadNodeDelayMs });
  let stopped = false;

  function assertMayJoin(roomName: string, identity?: string): void {
    if (stopped) throw new Error('the emulator has been stopped');
    if (isTooLongForARoom(roomName)) throw new Error('the room name is too long');
    if (identity === '') throw new Error('a participant needs an identity');
  }

  return {
    url: `http://${host}:${server.port}`,
    roomNames: () => rooms.names(),
    join(roomName, participant) {
      assertMayJoin(roomName, participant.identity);
      return rooms.join(roomName, participant);
    },
    dial(roomName, options) {
      assertMayJoin(roomName, options.identity);
      return dial(rooms, roomName, options);
    },
    receive(options) {
      const roomName = dispatchedRoomName(options, rooms.surroundings);
      assertMayJoin(roomName, options.identity);
      return receive(rooms, options, roomName);
    },
    killNode: () => rooms.killNode(),
    unlist: (roomName) => rooms.unlist(roomName),
    list: (roomName) => rooms.relist(roomName),
    loseWebhooks(isLost) {
      const loss = { isLost };
      losses.add(loss);
      return () => void losses.delete(loss);
    },
    async webhooksDelivered(roomName) {
      await Promise.all(senders.map((sender) => sender.drained(roomName)));
    },
    closeIdleRoom: (roomName) => rooms.closeIdle(roomName),
    setFault: (method, fault) => faults.set(method, fault),
    pause: () => server.close(),
    async resume() {
      if (stopped) throw new Error('the emulator has been stopped');
      await server.reopen();
    },
    async stop() {
      stopped = true;
      await server.close();
      rooms.stop();
      await Promise.all(senders.map((sender) => sender.stop()));
    },
  };
}
