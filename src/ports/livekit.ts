import type { LiveKitError } from '../domain/livekit-error.ts';
import type { DeleteRoomOutcome } from '../domain/room-deletion.ts';
import type { Participant, RoomEvent, RoomRef } from '../domain/room-event.ts';
import type { Timestamp } from '../domain/time.ts';
import type { WebhookRefusal } from '../domain/webhook-refusal.ts';

/** LiveKit's rooms. No method throws for anything that LiveKit or the network does. */
export interface RoomService {
  deleteRoom(roomName: string, asking: RequestOptions): Promise<DeleteRoomOutcome>;
  /** A room that is there stays as it is; one whose node is dead is taken over by a living one. */
  createRoom(
    room: { readonly roomName: string; readonly emptyTimeoutS: number },
    asking: RequestOptions,
  ): Promise<{ readonly kind: 'created' } | LiveKitError>;
  /**
   * All rooms; a listed one need not be alive.
   * @param take is given them in parts, and all of them only when the outcome is `listed`
   */
  listRooms(
    take: (rooms: readonly RoomRef[]) => Promise<void>,
    asking: RequestOptions,
  ): Promise<{ readonly kind: 'listed' } | LiveKitError>;
  findRoom(
    roomName: string,
    asking: RequestOptions,
  ): Promise<
    { readonly kind: 'listed'; readonly room: RoomRef } | { readonly kind: 'absent' } | LiveKitError
  >;
  /** Whether a listed participant answers: LiveKit goes on listing those of a dead node. Changes nothing for it. */
  probeParticipant(
    participant: { readonly roomName: string; readonly identity: string },
    asking: RequestOptions,
  ): Promise<{ readonly kind: 'responding' } | { readonly kind: 'absent' } | LiveKitError>;
  /**
   * Whether the room's node answers. Sends a message to nobody: a dead node's room stays listed, with its participants,
   * and only a request to the node itself shows the difference.
   */
  probeNode(
    roomName: string,
    asking: RequestOptions,
  ): Promise<{ readonly kind: 'responding' } | { readonly kind: 'absent' } | LiveKitError>;
  /** Empty for a room that is not there. */
  listParticipants(
    roomName: string,
    asking: RequestOptions,
  ): Promise<{ readonly kind: 'listed'; readonly participants: readonly Participant[] } | LiveKitError>;
  /** For people to read. */
  describeRoom(
    roomName: string,
    asking: RequestOptions,
  ): Promise<{ readonly kind: 'described'; readonly status: LiveRoomStatus } | LiveKitError>;
}

/** What comes first when LiveKit's rate limit makes requests wait: the first of these. */
export const PRIORITIES = ['cancel', 'read', 'review', 'retry', 'phones', 'comparison'] as const;

export interface RequestOptions {
  /** The answer comes within, waiting for the rate limit included. */
  readonly timeoutMs: number;
  readonly priority: (typeof PRIORITIES)[number];
  /** Read right before a DeleteRoom that has waited is sent. False: a newer call is in a room of this name. */
  readonly isStillWanted?: () => Promise<boolean>;
}

/**
 * One webhook, read.
 * refused: its token does not prove that LiveKit sent this body now.
 * malformed: signed, and no event all the same.
 * ignored: an event that moves no call.
 */
export type ParsedWebhook =
  | { readonly kind: 'refused'; readonly refusal: WebhookRefusal }
  | { readonly kind: 'malformed'; readonly why: string }
  | { readonly kind: 'ignored'; readonly name: string }
  | { readonly kind: 'event'; readonly name: string; readonly event: RoomEvent };

/** Verifies the raw body by its Authorization header, then reads it. Never rejects for anything in them. */
export type WebhookParser = (body: Uint8Array, authorization: string | undefined) => Promise<ParsedWebhook>;

export interface LiveRoomStatus {
  readonly roomExists: boolean;
  readonly numParticipants: number;
  readonly participants: readonly LiveParticipant[];
}

export interface LiveParticipant {
  readonly identity: string;
  readonly name: string;
  /** LiveKit's word: STANDARD, AGENT, SIP, INGRESS, EGRESS, ... */
  readonly kind: string;
  /** LiveKit's word: JOINING, JOINED, ACTIVE, DISCONNECTED. */
  readonly state: string;
  readonly joinedAt: Timestamp | null;
}
