import type { LiveKitError } from '../domain/livekit-error.ts';
import type { DeleteRoomOutcome } from '../domain/room-deletion.ts';
import type { Participant, RoomEvent, RoomRef } from '../domain/room-event.ts';
import type { Timestamp } from '../domain/time.ts';
import type { WebhookRefusal } from '../domain/webhook-refusal.ts';

/** LiveKit's RoomService. No method throws when LiveKit or the network fails: a failure is a result. */
export interface RoomService {
  deleteRoom(roomName: string, options: RequestOptions): Promise<DeleteRoomOutcome>;
  /** Leaves an existing room unchanged. A live node takes over the room of a dead node. */
  createRoom(
    room: { readonly roomName: string; readonly emptyTimeoutS: number },
    options: RequestOptions,
  ): Promise<{ readonly kind: 'created' } | LiveKitError>;
  /**
   * Lists all rooms. The node of a listed room may be dead.
   * @param onPage receives the rooms in pages; the pages are complete only if the result is `listed`
   */
  listRooms(
    onPage: (rooms: readonly RoomRef[]) => Promise<void>,
    options: RequestOptions,
  ): Promise<{ readonly kind: 'listed' } | LiveKitError>;
  findRoom(
    roomName: string,
    options: RequestOptions,
  ): Promise<
    { readonly kind: 'listed'; readonly room: RoomRef } | { readonly kind: 'absent' } | LiveKitError
  >;
  /** Probes a participant without changing it: LiveKit keeps listing the participants of a dead node. */
  probeParticipant(
    participant: { readonly roomName: string; readonly identity: string },
    options: RequestOptions,
  ): Promise<{ readonly kind: 'responding' } | { readonly kind: 'absent' } | LiveKitError>;
  /**
   * Probes the room's node with a message that no participant receives. The room of a dead node stays listed with its
   * participants; only a request to the node shows the difference.
   */
  probeNode(
    roomName: string,
    options: RequestOptions,
  ): Promise<{ readonly kind: 'responding' } | { readonly kind: 'absent' } | LiveKitError>;
  /** Lists the participants; an absent room has none. */
  listParticipants(
    roomName: string,
    options: RequestOptions,
  ): Promise<{ readonly kind: 'listed'; readonly participants: readonly Participant[] } | LiveKitError>;
  /** Describes the room for display. */
  describeRoom(
    roomName: string,
    options: RequestOptions,
  ): Promise<{ readonly kind: 'described'; readonly status: LiveRoomStatus } | LiveKitError>;
}

/** The origins of a request. Requests that wait for the rate limit are sent in this order. */
export const PRIORITIES = [
  'cancel',
  'cancellation',
  'read',
  'review',
  'deletion',
  'phones',
  'reconcile',
] as const;

export interface RequestOptions {
  /** The deadline of the response, including the wait for the rate limit. */
  readonly timeoutMs: number;
  readonly priority: (typeof PRIORITIES)[number];
  /** Called before sending a DeleteRoom that has waited. False drops the request: a newer call uses this room name. */
  readonly isStillWanted?: () => Promise<boolean>;
}

/**
 * A parsed webhook.
 * refused: the token does not prove that LiveKit sent this body recently.
 * malformed: the signature is valid, but the body is not an event.
 * ignored: the event changes no call.
 */
export type ParsedWebhook =
  | { readonly kind: 'refused'; readonly refusal: WebhookRefusal }
  | { readonly kind: 'malformed'; readonly reason: string }
  | { readonly kind: 'ignored'; readonly name: string }
  | { readonly kind: 'event'; readonly name: string; readonly event: RoomEvent };

/** Verifies the raw body by its Authorization header, then parses it. Never rejects, whatever the sender sent. */
export type WebhookParser = (body: Uint8Array, authorization: string | undefined) => Promise<ParsedWebhook>;

/** An HTTP proxy for requests to LiveKit. */
export interface HttpProxy {
  /** http or https. */
  readonly url: string;
  /** Hosts that are requested without the proxy, in the syntax of NO_PROXY. */
  readonly noProxy: string;
}

/** One of a LiveKit server's key pairs. */
export interface LiveKitKeyPair {
  readonly apiKey: string;
  readonly apiSecret: string;
}

/** The address of a LiveKit server, with one of its key pairs. */
export interface LiveKitServer extends LiveKitKeyPair {
  /** http or https, without a trailing slash. */
  readonly url: string;
  /** The HTTP proxy between hangup and LiveKit; null for a direct connection. */
  readonly proxy?: HttpProxy | null;
}

export interface LiveRoomStatus {
  readonly roomExists: boolean;
  readonly numParticipants: number;
  readonly participants: readonly LiveParticipant[];
}

export interface LiveParticipant {
  readonly identity: string;
  readonly name: string;
  /** LiveKit's name: STANDARD, AGENT, SIP, INGRESS, EGRESS, ... */
  readonly kind: string;
  /** LiveKit's name: JOINING, JOINED, ACTIVE, DISCONNECTED. */
  readonly state: string;
  readonly joinedAt: Timestamp | null;
}
