import {
  ParticipantInfo,
  ParticipantInfo_State,
  Room,
  type TrackInfo,
  WebhookEvent,
  type WebhookEventNames,
} from 'livekit-server-sdk';
import {
  type JoiningParticipant,
  mergeAttributes,
  newAudioTrack,
  newId,
  newParticipant,
  type ParticipantKind,
} from './participant.ts';
import { REAL_SURROUNDINGS, type Surroundings } from './surroundings.ts';

/** A participant's own hand on its connection. After it has left, nothing it does has any effect. */
export interface EmulatedParticipant {
  readonly identity: string;
  readonly sid: string;
  /** LiveKit's word for why it left: ROOM_DELETED, DUPLICATE_IDENTITY, CLIENT_INITIATED, ... */
  readonly disconnected: Promise<string>;
  /** The track's name is `microphone` unless told; a phone's is its identity. */
  publishAudio(name?: string): void;
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
  /** How long a room lives that nobody but agents has joined. */
  readonly emptyTimeoutMs: number;
  /** How long a room lives after the last one left, agents aside. */
  readonly departureTimeoutMs: number;
}

interface LiveParticipant {
  readonly info: ParticipantInfo;
  readonly kind: ParticipantKind;
  readonly disconnect: (reason: string) => void;
  readonly onOthersAudio: () => void;
}

interface LiveRoom {
  readonly info: Room;
  readonly timeouts: RoomTimeouts;
  /** By identity. */
  readonly participants: Map<string, LiveParticipant>;
  /** Calls off its closing. */
  stay: () => void;
  /** By somebody who is no agent. */
  isJoined: boolean;
  nextCountAtMs: number;
  /** Its node is dead: it is listed, and nobody answers for it until a living node takes it over. */
  isGhost: boolean;
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
  readonly surroundings: Surroundings;

  constructor(
    timeouts: RoomTimeouts,
    emit: (event: WebhookEvent) => void,
    surroundings: Surroundings = REAL_SURROUNDINGS,
  ) {
    this.#timeouts = timeouts;
    this.#emit = emit;
    this.surroundings = surroundings;
  }

  names(): string[] {
    return [...this.#rooms.keys()];
  }

  /** A room that is there stays as it is, whatever the request asks for. */
  create(request: CreateRoomRequest): Room {
    return this.#there(request).info;
  }

  /** The room, on a living node: made, or taken over from a dead one under the same sid. */
  #there(request: CreateRoomRequest): LiveRoom {
    const room = this.#rooms.get(request.name);
    if (room === undefined) return this.#open(request);
    if (!room.isGhost) return room;
    room.isGhost = false;
    room.isJoined = false;
    this.#closeAfter(room, request.emptyTimeout * 1000 || room.timeouts.emptyTimeoutMs);
    this.#announce('room_started', room.info);
    return room;
  }

  /** The node of all rooms dies: who was in them is cut off, and nothing is told. */
  killNode(): void {
    for (const room of this.#rooms.values()) {
      room.stay();
      room.participants.clear();
      room.isGhost = true;
    }
  }

  /** All rooms when no name is given. */
  list(names: readonly string[]): Room[] {
    return [...this.#rooms.values()]
      .filter(({ info }) => names.length === 0 || names.includes(info.name))
      .map((room) => {
        this.#countIfDue(room);
        return room.info;
      });
  }

  delete(roomName: string): 'deleted' | 'absent' | 'no_response' {
    const room = this.#rooms.get(roomName);
    if (room === undefined) return 'absent';
    if (room.isGhost) return 'no_response';
    this.#close(room, 'ROOM_DELETED');
    return 'deleted';
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

  /** `onOthersAudio` is told each time that another participant of the room publishes audio. */
  join(
    roomName: string,
    joining: JoiningParticipant,
    onOthersAudio: () => void = () => {},
  ): EmulatedParticipant {
    const room = this.#there({ ...NO_WISHES, name: roomName });
    const kind = joining.kind ?? 'STANDARD';
    const info = newParticipant(joining, this.surroundings);
    const { promise: disconnected, resolve: disconnect } = Promise.withResolvers<string>();
    const participant = { info, kind, disconnect, onOthersAudio };

    const earlier = room.participants.get(info.identity);
    if (earlier !== undefined) this.#depart(room, earlier, 'DUPLICATE_IDENTITY');
    this.#countIfDue(room);
    if (kind !== 'AGENT') {
      room.stay();
      room.isJoined = true;
    }
    room.participants.set(info.identity, participant);
    this.#announce('participant_joined', room.info, { participant: info });

    const isHere = () => room.participants.get(info.identity) === participant;
    return {
      identity: info.identity,
      sid: info.sid,
      disconnected,
      publishAudio: (name = kind === 'SIP' ? info.identity : 'microphone') => {
        if (isHere()) this.#publishAudio(room, participant, name);
      },
      setAttributes: (attributes) => {
        if (isHere()) mergeAttributes(info, attributes);
      },
      leave: (reason = 'CLIENT_INITIATED') => {
        if (isHere()) this.#depart(room, participant, reason);
      },
    };
  }

  /** Forgets every room, without an event. */
  stop(): void {
    for (const room of this.#rooms.values()) {
      room.stay();
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
    const now = this.surroundings.now();
    const info = new Room({
      sid: newId('RM_', this.surroundings),
      name: request.name,
      emptyTimeout: Math.ceil(timeouts.emptyTimeoutMs / 1000),
      departureTimeout: Math.ceil(timeouts.departureTimeoutMs / 1000),
      maxParticipants: request.maxParticipants,
      creationTime: BigInt(Math.floor(now / 1000)),
      creationTimeMs: BigInt(now),
      turnPassword: Buffer.from(this.surroundings.randomBytes(32)).toString('base64url'),
      enabledCodecs: ENABLED_CODECS.map((mime) => ({ mime })),
      metadata: request.metadata,
    });
    const room: LiveRoom = {
      info,
      timeouts,
      participants: new Map(),
      stay: () => {},
      isJoined: false,
      nextCountAtMs: now + COUNT_EVERY_MS,
      isGhost: false,
    };
    this.#rooms.set(request.name, room);
    this.#closeAfter(room, timeouts.emptyTimeoutMs);
    this.#announce('room_started', info);
    return room;
  }

  #publishAudio(room: LiveRoom, publisher: LiveParticipant, name: string): void {
    const { info, kind } = publisher;
    const track = newAudioTrack(kind, name, this.surroundings);
    this.#countIfDue(room);
    info.tracks.push(track);
    info.isPublisher = true;
    info.version += 1;
    this.#announceTrack('track_published', room, info, track);
    for (const other of room.participants.values()) {
      if (other !== publisher) other.onOthersAudio();
    }
  }

  #depart(room: LiveRoom, { info, disconnect }: LiveParticipant, reason: string): void {
    // First, because it throws on a reason that LiveKit does not have.
    info.fromJson({ disconnectReason: reason });
    this.#countIfDue(room);
    room.participants.delete(info.identity);
    for (const track of info.tracks) this.#announceTrack('track_unpublished', room, info, track);
    info.tracks = [];
    info.state = ParticipantInfo_State.DISCONNECTED;
    info.version += 1;
    this.#announce('participant_left', room.info, { participant: info });
    // Agents keep no room open.
    const isLeft = [...room.participants.values()].every(({ kind }) => kind === 'AGENT');
    if (isLeft && room.isJoined) this.#closeAfter(room, room.timeouts.departureTimeoutMs);
    disconnect(reason);
  }

  #closeAfter(room: LiveRoom, delayMs: number): void {
    room.stay();
    const close = () => this.#close(room, 'ROOM_CLOSED');
    room.stay = this.surroundings.after(Math.min(delayMs, LONGEST_TIMER_MS), close);
  }

  #close(room: LiveRoom, reason: string): void {
    for (const participant of [...room.participants.values()]) this.#depart(room, participant, reason);
    room.stay();
    this.#countIfDue(room);
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
        id: newId('EV_', this.surroundings),
        createdAt: String(Math.floor(this.surroundings.now() / 1000)),
        room: room.toJson(),
        ...(about.participant && { participant: about.participant.toJson() }),
        ...(about.track && { track: about.track.toJson() }),
      }),
    );
  }

  /** Comes before any change, so that what is counted is what there was when the count was due. */
  #countIfDue(room: LiveRoom): void {
    const lateMs = this.surroundings.now() - room.nextCountAtMs;
    if (lateMs < 0) return;
    const present = [...room.participants.values()];
    room.info.numParticipants = present.filter(({ kind }) => kind !== 'AGENT').length;
    room.info.numPublishers = present.filter(({ info }) => info.isPublisher).length;
    room.nextCountAtMs += COUNT_EVERY_MS * (1 + Math.floor(lateMs / COUNT_EVERY_MS));
  }
}

/** What CreateRoom asks for when it asks for nothing. */
export const NO_WISHES = { emptyTimeout: 0, departureTimeout: 0, maxParticipants: 0, metadata: '' };
