import { randomBytes } from 'node:crypto';
import {
  ParticipantInfo,
  ParticipantInfo_State,
  ParticipantPermission,
  Room,
  TrackInfo,
  TrackSource,
  TrackType,
  WebhookEvent,
  type WebhookEventNames,
} from 'livekit-server-sdk';

/** LiveKit's words for what a participant is (livekit_models.proto, ParticipantInfo.Kind). */
export type ParticipantKind = 'STANDARD' | 'INGRESS' | 'EGRESS' | 'SIP' | 'AGENT' | 'CONNECTOR' | 'BRIDGE';

export interface JoiningParticipant {
  readonly identity: string;
  readonly name?: string;
  /** STANDARD unless told. */
  readonly kind?: ParticipantKind;
  readonly metadata?: string;
  readonly attributes?: Readonly<Record<string, string>>;
}

/** A participant's own hand on its connection. After it has left, nothing it does has any effect. */
export interface EmulatedParticipant {
  readonly identity: string;
  readonly sid: string;
  /** LiveKit's word for why it left: ROOM_DELETED, DUPLICATE_IDENTITY, CLIENT_INITIATED, ... */
  readonly disconnected: Promise<string>;
  publishAudio(): void;
  /** Merges; an empty value takes an attribute away. Sends no webhook, as in life. */
  setAttributes(attributes: Readonly<Record<string, string>>): void;
  /** CLIENT_INITIATED unless told; throws on a word that is not one of LiveKit's disconnect reasons. */
  leave(reason?: string): void;
}

export interface CreateRoomRequest {
  readonly name: string;
  /** Seconds, as in the API; 0: the default. */
  readonly emptyTimeout: number;
  readonly departureTimeout: number;
  readonly maxParticipants: number;
  readonly metadata: string;
}

export interface RoomTimeouts {
  /** How long a room lives that nobody has joined. */
  readonly emptyTimeoutMs: number;
  /** How long a room lives after the last one left. */
  readonly departureTimeoutMs: number;
}

interface LiveParticipant {
  readonly info: ParticipantInfo;
  readonly kind: ParticipantKind;
  readonly disconnect: (reason: string) => void;
}

interface LiveRoom {
  readonly info: Room;
  readonly timeouts: RoomTimeouts;
  /** By identity. */
  readonly participants: Map<string, LiveParticipant>;
  timer: NodeJS.Timeout | undefined;
  countedAtMs: number;
}

// The real server offers these in every room's JSON.
const ENABLED_CODECS = [
  'audio/PCMU',
  'audio/PCMA',
  'audio/opus',
  'audio/red',
  'video/VP8',
  'video/H264',
  'video/VP9',
  'video/AV1',
  'video/H265',
  'video/rtx',
];

/** The real server counts its participants this often, so a room's own count is older than its list of them. */
const COUNT_EVERY_MS = 5_000;

/** A longer one would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The rooms of one LiveKit: who is in them, how they end, and the events that both give rise to. */
export class RoomState {
  readonly #rooms = new Map<string, LiveRoom>();
  readonly #timeouts: RoomTimeouts;
  readonly #emit: (event: WebhookEvent) => void;

  constructor(timeouts: RoomTimeouts, emit: (event: WebhookEvent) => void) {
    this.#timeouts = timeouts;
    this.#emit = emit;
  }

  names(): string[] {
    return [...this.#rooms.keys()];
  }

  /** A room that is there stays as it is, whatever the request asks for. */
  create(request: CreateRoomRequest): Room {
    return (this.#rooms.get(request.name) ?? this.#open(request)).info;
  }

  /** All rooms when no name is given. */
  list(names: readonly string[]): Room[] {
    const now = Date.now();
    return [...this.#rooms.values()]
      .filter(({ info }) => names.length === 0 || names.includes(info.name))
      .map((room) => {
        if (now - room.countedAtMs >= COUNT_EVERY_MS) count(room, now);
        return room.info;
      });
  }

  /** False when there is no such room. */
  delete(roomName: string): boolean {
    const room = this.#rooms.get(roomName);
    if (room === undefined) return false;
    for (const participant of [...room.participants.values()]) {
      this.#depart(room, participant, 'ROOM_DELETED');
    }
    this.#close(room);
    return true;
  }

  /** Empty for a room that is not there, as the real server answers. */
  participants(roomName: string): ParticipantInfo[] {
    return [...(this.#rooms.get(roomName)?.participants.values() ?? [])].map(({ info }) => info);
  }

  /** False when there is no such participant. */
  remove(roomName: string, identity: string): boolean {
    const room = this.#rooms.get(roomName);
    const participant = room?.participants.get(identity);
    if (room === undefined || participant === undefined) return false;
    this.#depart(room, participant, 'PARTICIPANT_REMOVED');
    return true;
  }

  join(roomName: string, joining: JoiningParticipant): EmulatedParticipant {
    const room = this.#rooms.get(roomName) ?? this.#open({ ...NO_WISHES, name: roomName });
    const kind = joining.kind ?? 'STANDARD';
    const info = newParticipant(joining, kind);
    const { promise: disconnected, resolve: disconnect } = Promise.withResolvers<string>();
    const participant = { info, kind, disconnect };

    const earlier = room.participants.get(info.identity);
    if (earlier !== undefined) this.#depart(room, earlier, 'DUPLICATE_IDENTITY');
    clearTimeout(room.timer);
    room.participants.set(info.identity, participant);
    this.#announce('participant_joined', room.info, { participant: info });

    const isHere = () => room.participants.get(info.identity) === participant;
    return {
      identity: info.identity,
      sid: info.sid,
      disconnected,
      publishAudio: () => {
        if (isHere()) this.#publishAudio(room, participant);
      },
      setAttributes: (attributes) => {
        if (isHere()) setAttributes(info, attributes);
      },
      leave: (reason = 'CLIENT_INITIATED') => {
        if (isHere()) this.#depart(room, participant, reason);
      },
    };
  }

  /** Forgets every room, without an event. */
  stop(): void {
    for (const room of this.#rooms.values()) {
      clearTimeout(room.timer);
      // So that a participant's hand on its connection arms no timer any more.
      room.participants.clear();
    }
    this.#rooms.clear();
  }

  #open(request: CreateRoomRequest): LiveRoom {
    const timeouts = {
      emptyTimeoutMs: request.emptyTimeout * 1000 || this.#timeouts.emptyTimeoutMs,
      departureTimeoutMs: request.departureTimeout * 1000 || this.#timeouts.departureTimeoutMs,
    };
    const now = Date.now();
    const info = new Room({
      sid: newId('RM_'),
      name: request.name,
      emptyTimeout: Math.ceil(timeouts.emptyTimeoutMs / 1000),
      departureTimeout: Math.ceil(timeouts.departureTimeoutMs / 1000),
      maxParticipants: request.maxParticipants,
      creationTime: BigInt(Math.floor(now / 1000)),
      creationTimeMs: BigInt(now),
      turnPassword: randomBytes(32).toString('base64url'),
      enabledCodecs: ENABLED_CODECS.map((mime) => ({ mime })),
      metadata: request.metadata,
    });
    const room: LiveRoom = {
      info,
      timeouts,
      participants: new Map(),
      timer: undefined,
      countedAtMs: now,
    };
    this.#rooms.set(request.name, room);
    this.#closeAfter(room, timeouts.emptyTimeoutMs);
    this.#announce('room_started', info);
    return room;
  }

  #publishAudio(room: LiveRoom, { info }: LiveParticipant): void {
    const track = new TrackInfo({
      sid: newId('TR_AM'),
      type: TrackType.AUDIO,
      name: 'microphone',
      source: TrackSource.MICROPHONE,
      mimeType: 'audio/opus',
      stream: 'camera',
    });
    info.tracks.push(track);
    info.isPublisher = true;
    info.version += 1;
    this.#announceTrack('track_published', room, info, track);
  }

  #depart(room: LiveRoom, { info, disconnect }: LiveParticipant, reason: string): void {
    // First, because it throws on a reason that LiveKit does not have.
    info.fromJson({ disconnectReason: reason });
    room.participants.delete(info.identity);
    for (const track of info.tracks) this.#announceTrack('track_unpublished', room, info, track);
    info.tracks = [];
    info.state = ParticipantInfo_State.DISCONNECTED;
    info.version += 1;
    this.#announce('participant_left', room.info, { participant: info });
    if (room.participants.size === 0) this.#closeAfter(room, room.timeouts.departureTimeoutMs);
    disconnect(reason);
  }

  #closeAfter(room: LiveRoom, delayMs: number): void {
    clearTimeout(room.timer);
    room.timer = setTimeout(() => this.#close(room), Math.min(delayMs, LONGEST_TIMER_MS)).unref();
  }

  #close(room: LiveRoom): void {
    clearTimeout(room.timer);
    this.#rooms.delete(room.info.name);
    this.#announce('room_finished', room.info);
  }

  /** Events about a track name their room and participant, and say no more of them. */
  #announceTrack(
    event: WebhookEventNames,
    { info }: LiveRoom,
    participant: ParticipantInfo,
    track: TrackInfo,
  ) {
    this.#announce(event, new Room({ sid: info.sid, name: info.name }), {
      participant: new ParticipantInfo({ sid: participant.sid, identity: participant.identity }),
      track,
    });
  }

  /** Through JSON, because an event keeps what was true when it happened. */
  #announce(
    event: WebhookEventNames,
    room: Room,
    about: { readonly participant?: ParticipantInfo; readonly track?: TrackInfo } = {},
  ): void {
    this.#emit(
      WebhookEvent.fromJson({
        event,
        id: newId('EV_'),
        createdAt: String(Math.floor(Date.now() / 1000)),
        room: room.toJson(),
        ...(about.participant && { participant: about.participant.toJson() }),
        ...(about.track && { track: about.track.toJson() }),
      }),
    );
  }
}

const NO_WISHES = { emptyTimeout: 0, departureTimeout: 0, maxParticipants: 0, metadata: '' };

function newParticipant(joining: JoiningParticipant, kind: ParticipantKind): ParticipantInfo {
  const now = Date.now();
  const info = new ParticipantInfo({
    sid: newId('PA_'),
    identity: joining.identity,
    name: joining.name ?? '',
    metadata: joining.metadata ?? '',
    state: ParticipantInfo_State.ACTIVE,
    joinedAt: BigInt(Math.floor(now / 1000)),
    joinedAtMs: BigInt(now),
    version: 2,
    permission: new ParticipantPermission({ canSubscribe: true, canPublish: true, canPublishData: true }),
    attributes: { ...joining.attributes },
  });
  // The SDK does not export this enum; its JSON form takes the name.
  return info.fromJson({ kind });
}

function setAttributes(info: ParticipantInfo, attributes: Readonly<Record<string, string>>): void {
  const merged = Object.entries({ ...info.attributes, ...attributes });
  info.attributes = Object.fromEntries(merged.filter(([, value]) => value !== ''));
  info.version += 1;
}

/** Agents are not counted. */
function count(room: LiveRoom, now: number): void {
  room.info.numParticipants = [...room.participants.values()].filter(({ kind }) => kind !== 'AGENT').length;
  room.countedAtMs = now;
}

const ALPHABET = '23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';

function newId(prefix: string): string {
  return prefix + Array.from(randomBytes(12), (byte) => ALPHABET[byte % ALPHABET.length]).join('');
}
