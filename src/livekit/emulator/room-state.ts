import { type ParticipantInfo, ParticipantInfo_State, Room, type WebhookEvent } from 'livekit-server-sdk';
import {
  isDependent,
  type JoiningParticipant,
  mergeAttributes,
  newAudioTrack,
  newId,
  newParticipant,
  type ParticipantKind,
} from './participant.ts';
import { RoomEvents } from './room-events.ts';
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
  /** Leaves by participant_connection_aborted instead of participant_left; JOIN_FAILURE by default. */
  abort(reason?: string): void;
  /** Moves to another node: participant_left (MIGRATION) is sent, and it stays in the room under the same sid. */
  migrate(): void;
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
  /** How long a room lives that only dependent participants have joined. */
  readonly emptyTimeoutMs: number;
  /** How long a room lives after the last one left, dependent participants aside. */
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
  timeouts: RoomTimeouts;
  /** By identity. */
  readonly participants: Map<string, LiveParticipant>;
  /** By identity: participants of a dead node. LiveKit lists them until they join again or the room ends. */
  readonly stale: Map<string, ParticipantInfo>;
  /** Calls off its closing. */
  stay: () => void;
  /** By a participant that is not dependent, on this node. */
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
  /** Names of rooms that ListRooms leaves out. */
  readonly #unlisted = new Set<string>();
  readonly #timeouts: RoomTimeouts;
  readonly #events: RoomEvents;
  readonly surroundings: Surroundings;

  constructor(
    timeouts: RoomTimeouts,
    emit: (event: WebhookEvent) => void,
    surroundings: Surroundings = REAL_SURROUNDINGS,
  ) {
    this.#timeouts = timeouts;
    this.#events = new RoomEvents(emit, surroundings);
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
    if (room.isGhost) this.#takeOver(room, request);
    return room;
  }

  /** Unlike a living room, a room that is taken over gets what the request asks for. */
  #takeOver(room: LiveRoom, request: CreateRoomRequest): void {
    const { info } = room;
    room.isGhost = false;
    room.isJoined = false;
    room.timeouts = wished(request, room.timeouts);
    setTimeouts(info, room.timeouts);
    info.maxParticipants = request.maxParticipants || info.maxParticipants;
    info.metadata = request.metadata || info.metadata;
    info.numParticipants = 0;
    info.numPublishers = 0;
    // LiveKit counts from the room's beginning on the dead node, so an old room may close at once.
    const ageMs = this.surroundings.now() - Number(info.creationTimeMs);
    this.#closeAfter(room, Math.max(0, room.timeouts.emptyTimeoutMs - ageMs));
    this.#events.ofRoom('room_started', info);
  }

  /** The node of all rooms dies: their participants are cut off and stay listed, and no event is sent. */
  killNode(): void {
    for (const room of this.#rooms.values()) {
      room.stay();
      for (const [identity, { info }] of room.participants) room.stale.set(identity, info);
      room.participants.clear();
      room.isGhost = true;
    }
  }

  /** ListRooms leaves the room out from now on, with names and without. All else goes on. */
  unlist(roomName: string): void {
    this.#unlisted.add(roomName);
  }

  /** Undoes `unlist`. */
  relist(roomName: string): void {
    this.#unlisted.delete(roomName);
  }

  /** All rooms when no name is given. */
  list(names: readonly string[]): Room[] {
    return [...this.#rooms.values()]
      .filter(({ info }) => !this.#unlisted.has(info.name))
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

  /** A message to those in the room. LiveKit gives the same answer for a room that is not there. */
  sendData(roomName: string): 'sent' | 'no_response' {
    const room = this.#rooms.get(roomName);
    return room === undefined || room.isGhost ? 'no_response' : 'sent';
  }

  /** Whether a participant is on a living node. LiveKit gives the same answer for one that is not there. */
  reaches(roomName: string, identity: string): boolean {
    return this.#rooms.get(roomName)?.participants.has(identity) ?? false;
  }

  /**
   * The room's time-out is over now: it closes unless somebody keeps it open.
   * @returns whether it is gone
   */
  closeIdle(roomName: string): boolean {
    const room = this.#rooms.get(roomName);
    if (room === undefined) return true;
    if (room.isGhost || !isIdle(room)) return false;
    this.#close(room, 'ROOM_CLOSED');
    return true;
  }

  /** Empty for a room that is not there, as the real server answers; in random order, as it does. */
  participants(roomName: string): ParticipantInfo[] {
    const room = this.#rooms.get(roomName);
    if (room === undefined) return [];
    const listed = [...[...room.participants.values()].map(({ info }) => info), ...room.stale.values()];
    const ranks = this.surroundings.randomBytes(listed.length);
    return listed
      .map((info, index) => ({ info, rank: ranks[index] ?? 0 }))
      .sort((one, other) => one.rank - other.rank)
      .map(({ info }) => info);
  }

  remove(roomName: string, identity: string): 'removed' | 'absent' | 'no_response' {
    const room = this.#rooms.get(roomName);
    if (room?.stale.has(identity)) return 'no_response';
    const participant = room?.participants.get(identity);
    if (room === undefined || participant === undefined) return 'absent';
    this.#depart(room, participant, 'PARTICIPANT_REMOVED');
    return 'removed';
  }

  /** `onOthersAudio` is called when another participant has published audio, and each time that one does. */
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
    room.stale.delete(info.identity);
    this.#countIfDue(room);
    if (!isDependent(info)) {
      room.stay();
      room.isJoined = true;
    }
    const isHeard = [...room.participants.values()].some((other) => other.info.tracks.length > 0);
    room.participants.set(info.identity, participant);
    this.#events.ofParticipant('participant_joined', room.info, info);
    if (isHeard) onOthersAudio();

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
      abort: (reason = 'JOIN_FAILURE') => {
        if (isHere()) this.#depart(room, participant, reason, 'participant_connection_aborted');
      },
      migrate: () => {
        if (isHere()) this.#migrate(room, info);
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
    const timeouts = wished(request, this.#timeouts);
    const now = this.surroundings.now();
    const info = new Room({
      sid: newId('RM_', this.surroundings),
      name: request.name,
      maxParticipants: request.maxParticipants,
      creationTime: BigInt(Math.floor(now / 1000)),
      creationTimeMs: BigInt(now),
      turnPassword: Buffer.from(this.surroundings.randomBytes(32)).toString('base64url'),
      enabledCodecs: ENABLED_CODECS.map((mime) => ({ mime })),
      metadata: request.metadata,
    });
    setTimeouts(info, timeouts);
    const room: LiveRoom = {
      info,
      timeouts,
      participants: new Map(),
      stale: new Map(),
      stay: () => {},
      isJoined: false,
      nextCountAtMs: now + COUNT_EVERY_MS,
      isGhost: false,
    };
    this.#rooms.set(request.name, room);
    this.#closeAfter(room, timeouts.emptyTimeoutMs);
    this.#events.ofRoom('room_started', info);
    return room;
  }

  #publishAudio(room: LiveRoom, publisher: LiveParticipant, name: string): void {
    const { info, kind } = publisher;
    const track = newAudioTrack(kind, name, this.surroundings);
    this.#countIfDue(room);
    info.tracks.push(track);
    info.isPublisher = true;
    info.version += 1;
    this.#events.ofTrack('track_published', room.info, info, track);
    for (const other of room.participants.values()) {
      if (other !== publisher) other.onOthersAudio();
    }
  }

  #depart(
    room: LiveRoom,
    { info, disconnect }: LiveParticipant,
    reason: string,
    event: 'participant_left' | 'participant_connection_aborted' = 'participant_left',
  ): void {
    // First, because it throws on a reason that LiveKit does not have.
    info.fromJson({ disconnectReason: reason });
    this.#countIfDue(room);
    room.participants.delete(info.identity);
    for (const track of info.tracks) this.#events.ofTrack('track_unpublished', room.info, info, track);
    info.tracks = [];
    info.state = ParticipantInfo_State.DISCONNECTED;
    info.version += 1;
    this.#events.ofParticipant(event, room.info, info);
    if (isIdle(room) && room.isJoined) this.#closeAfter(room, room.timeouts.departureTimeoutMs);
    disconnect(reason);
  }

  #migrate(room: LiveRoom, info: ParticipantInfo): void {
    const left = info.clone().fromJson({ disconnectReason: 'MIGRATION' });
    left.state = ParticipantInfo_State.DISCONNECTED;
    left.tracks = [];
    this.#events.ofParticipant('participant_left', room.info, left);
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
    this.#events.ofRoom('room_finished', room.info);
  }

  /** Comes before any change, so that what is counted is what there was when the count was due. */
  #countIfDue(room: LiveRoom): void {
    const lateMs = this.surroundings.now() - room.nextCountAtMs;
    if (lateMs < 0 || room.isGhost) return;
    const present = [...room.participants.values()];
    room.info.numParticipants = present.filter(({ info }) => !isDependent(info)).length;
    room.info.numPublishers = present.filter(({ info }) => info.isPublisher).length;
    room.nextCountAtMs += COUNT_EVERY_MS * (1 + Math.floor(lateMs / COUNT_EVERY_MS));
  }
}

function isIdle({ participants }: LiveRoom): boolean {
  return [...participants.values()].every(({ info }) => isDependent(info));
}

/** What CreateRoom asks for when it asks for nothing. */
export const NO_WISHES = { emptyTimeout: 0, departureTimeout: 0, maxParticipants: 0, metadata: '' };

/** A time-out of 0 asks for nothing. */
function wished({ emptyTimeout, departureTimeout }: CreateRoomRequest, others: RoomTimeouts): RoomTimeouts {
  return {
    emptyTimeoutMs: emptyTimeout * 1000 || others.emptyTimeoutMs,
    departureTimeoutMs: departureTimeout * 1000 || others.departureTimeoutMs,
  };
}

function setTimeouts(info: Room, { emptyTimeoutMs, departureTimeoutMs }: RoomTimeouts): void {
  info.emptyTimeout = Math.ceil(emptyTimeoutMs / 1000);
  info.departureTimeout = Math.ceil(departureTimeoutMs / 1000);
}
