import type { WebhookEvent } from 'livekit-server-sdk';
import { type Fault, FaultInjector } from './fault-injector.ts';
import type { ParticipantOptions } from './participant.ts';
import {
  dialOut,
  dispatchedRoomName,
  type InboundCall,
  type InboundCallOptions,
  type OutboundCall,
  type OutboundCallOptions,
  receiveCall,
} from './phone-call.ts';
import { exceedsNameLimit, type RoomServiceMethod } from './room-service.ts';
import { type EmulatedParticipant, RoomState } from './room-state.ts';
import { startServer } from './server.ts';
import { WEBHOOK_RETRY_DELAYS_MS, WebhookSender } from './webhook-sender.ts';

export type { Fault } from './fault-injector.ts';
export type { GrantedPermission, ParticipantKind, ParticipantOptions } from './participant.ts';
export type {
  DispatchRule,
  InboundCall,
  InboundCallOptions,
  OutboundCall,
  OutboundCallOptions,
} from './phone-call.ts';
export type { RoomServiceMethod } from './room-service.ts';
export type { EmulatedParticipant } from './room-state.ts';

export interface EmulatorOptions {
  readonly apiKey: string;
  readonly apiSecret: string;
  /** 127.0.0.1 by default. */
  readonly host?: string;
  /** A free port by default. */
  readonly port?: number;
  /** http:// only. Each URL receives every event. */
  readonly webhookUrls?: readonly string[];
  /** The delays before the second attempt and later attempts; LiveKit's 1, 2, 4 and 8 s by default. */
  readonly webhookRetryDelaysMs?: readonly number[];
  /** 300 s by default. CreateRoom may set another timeout. */
  readonly emptyTimeoutMs?: number;
  /** 20 s by default. CreateRoom may set another timeout. */
  readonly departureTimeoutMs?: number;
  /** The delay of the response for a room on a dead node; LiveKit's 3 s by default. */
  readonly deadNodeDelayMs?: number;
}

/** A LiveKit emulator in this process: the room service over HTTP, rooms and webhooks, but no media. */
export interface Emulator {
  /** http://HOST:PORT, for RoomServiceClient. */
  readonly url: string;
  roomNames(): string[];
  /** Joins like a client: an absent room is created. @throws if LiveKit would reject the client */
  join(roomName: string, participant: ParticipantOptions): EmulatedParticipant;
  /** Calls a phone from a room, as CreateSIPParticipant does. */
  dialOut(roomName: string, options: OutboundCallOptions): OutboundCall;
  /** Receives a call from a phone. The dispatch rule assigns the room. */
  receiveCall(options: InboundCallOptions): InboundCall;
  /**
   * Kills the node of all present rooms. The rooms stay listed with their participants and cannot be deleted
   * (livekit#3766) until CreateRoom or a new participant moves them to a living node. LiveKit lists the old participants
   * until they join again or the room ends.
   */
  killNode(): void;
  /** Makes ListRooms omit a living room until `relistRoom`. ListParticipants does not omit it (livekit#3317). */
  unlistRoom(roomName: string): void;
  relistRoom(roomName: string): void;
  /** Drops events that match the predicate, until the returned function is called. */
  dropWebhooks(isDropped: (event: WebhookEvent) => boolean): () => void;
  /** Resolves when each webhook of the room has been delivered or dropped. */
  webhooksDelivered(roomName: string): Promise<void>;
  /** Closes the room before its timeout unless a participant keeps it open. @returns whether the room is gone */
  closeIdleRoom(roomName: string): boolean;
  /** Activates a fault for one method, or for all methods ('*'); null removes the fault. */
  setFault(method: RoomServiceMethod | '*', fault: Fault | null): void;
  /** Closes the API's port and breaks open connections. Rooms, their timers and webhooks continue. */
  pause(): Promise<void>;
  /** Listens on the same port again. */
  resume(): Promise<void>;
  /** Stops the API, rooms, timers and webhooks. Sends no event. */
  stop(): Promise<void>;
}

/** Starts a LiveKit emulator. Contract tests and recordings hold its responses and events to those of a real server. */
export async function startEmulator(options: EmulatorOptions): Promise<Emulator> {
  const { host = '127.0.0.1', port = 0, apiKey, apiSecret } = options;
  const keys = { apiKey, apiSecret };
  const retryDelaysMs = options.webhookRetryDelaysMs ?? WEBHOOK_RETRY_DELAYS_MS;
  const senders = (options.webhookUrls ?? []).map((url) => new WebhookSender(url, keys, retryDelaysMs));
  const timeouts = {
    emptyTimeoutMs: options.emptyTimeoutMs ?? 300_000,
    departureTimeoutMs: options.departureTimeoutMs ?? 20_000,
  };
  const dropRules = new Set<{ readonly isDropped: (event: WebhookEvent) => boolean }>();
  const rooms = new RoomState(timeouts, (event) => {
    if ([...dropRules].some(({ isDropped }) => isDropped(event))) return;
    for (const sender of senders) sender.send(event);
  });
  const faults = new FaultInjector();
  const { deadNodeDelayMs = 3_000 } = options;
  const server = await startServer({ host, port, keys, rooms, faults, deadNodeDelayMs });
  let isStopped = false;

  function assertCanJoin(roomName: string, identity?: string): void {
    if (isStopped) throw new Error('the emulator is stopped');
    if (exceedsNameLimit(roomName)) throw new Error('the room name is too long');
    if (identity === '') throw new Error('a participant needs an identity');
  }

  return {
    url: `http://${host}:${server.port}`,
    roomNames: () => rooms.roomNames(),
    join(roomName, participant) {
      assertCanJoin(roomName, participant.identity);
      return rooms.join(roomName, participant);
    },
    dialOut(roomName, options) {
      assertCanJoin(roomName, options.identity);
      return dialOut(rooms, roomName, options);
    },
    receiveCall(options) {
      const roomName = dispatchedRoomName(options, rooms.environment);
      assertCanJoin(roomName, options.identity);
      return receiveCall(rooms, options, roomName);
    },
    killNode: () => rooms.killNode(),
    unlistRoom: (roomName) => rooms.unlistRoom(roomName),
    relistRoom: (roomName) => rooms.relistRoom(roomName),
    dropWebhooks(isDropped) {
      const rule = { isDropped };
      dropRules.add(rule);
      return () => void dropRules.delete(rule);
    },
    async webhooksDelivered(roomName) {
      await Promise.all(senders.map((sender) => sender.drained(roomName)));
    },
    closeIdleRoom: (roomName) => rooms.closeIdleRoom(roomName),
    setFault: (method, fault) => faults.set(method, fault),
    pause: () => server.close(),
    async resume() {
      if (isStopped) throw new Error('the emulator is stopped');
      await server.reopen();
    },
    async stop() {
      isStopped = true;
      await server.close();
      rooms.stop();
      await Promise.all(senders.map((sender) => sender.stop()));
    },
  };
}
