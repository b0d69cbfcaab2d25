import {
  type ParticipantInfo,
  ParticipantInfo_State,
  type Room,
  type WebhookEvent,
} from 'livekit-server-sdk';
import { type Environment, SYSTEM_ENVIRONMENT } from './environment.ts';
import {
  isDependent,
  mergeAttributes,
  newAudioTrack,
  newParticipant,
  type ParticipantKind,
  type ParticipantOptions,
} from './participant.ts';
import {
  type CreateRoomOptions,
  DEFAULT_ROOM_OPTIONS,
  newRoom,
  type RoomTimeouts,
  requestedTimeouts,
  setTimeouts,
} from './room.ts';
import { RoomEventEmitter } from './room-events.ts';

/** Controls one participant's connection. After the participant has left, its methods have no effect. */
export interface EmulatedParticipant {
  readonly identity: string;
  readonly sid: string;
  /** LiveKit's disconnect reason: ROOM_DELETED, DUPLICATE_IDENTITY, CLIENT_INITIATED, ... */
  readonly disconnected: Promise<string>;
  /** The default track name is `microphone`; for a phone, its identity. */
  publishAudio(name?: string): void;
  /** Sets the given attributes; an empty value removes an attribute. Like LiveKit, sends no webhook. */
  setAttributes(attributes: Readonly<Record<string, string>>): void;
  /** CLIENT_INITIATED by default. @throws if LiveKit does not define the reason */
  leave(reason?: string): void;
  /** Leaves with participant_connection_aborted instead of participant_left; JOIN_FAILURE by default. */
  abort(reason?: string): void;
  /** Moves to another node: participant_left (MIGRATION) is sent, and the participant keeps its place and sid. */
  migrate(): void;
}

interface LiveParticipant {
  readonly info: ParticipantInfo;
  readonly kind: ParticipantKind;
  readonly disconnect: (reason: string) => void;
  readonly onOtherAudio: () => void;
}

interface LiveRoom {
  readonly info: Room;
  timeouts: RoomTimeouts;
  /** By identity. */
  readonly participants: Map<string, LiveParticipant>;
  /** Participants of a dead node, by identity. LiveKit lists them until they join again or the room ends. */
  readonly staleParticipants: Map<string, ParticipantInfo>;
  /** Cancels the timer that closes the room. */
  cancelClose: () => void;
  /** True after a participant that is not dependent has joined on the present node. */
  hasBeenJoined: boolean;
  nextCountAtMs: number;
  /** The room's node is dead. The room is listed, but unavailable until a living node takes it over. */
  isGhost: boolean;
}

/** LiveKit's interval for counting participants. A room's count may be older than its participant list. */
const COUNT_INTERVAL_MS = 5_000;

/** Longer timers fire immediately. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** The rooms of one LiveKit, with their participants, timeouts and events. */
export class RoomState {
  readonly #rooms = new Map<string, LiveRoom>();
  /** Names of rooms that ListRooms omits. */
  readonly #unlisted = new Set<string>();
  readonly #timeouts: RoomTimeouts;
  readonly #events: RoomEventEmitter;
  readonly environment: Environment;

  constructor(
    timeouts: RoomTimeouts,
    emit: (event: WebhookEvent) => void,
    environment: Environment = SYSTEM_ENVIRONMENT,
  ) {
    this.#timeouts = timeouts;
    this.#events = new RoomEventEmitter(emit, environment);
    this.environment = environment;
  }

  roomNames(): string[] {
    return [...this.#rooms.keys()];
  }

  /** Returns the room, after creating the room if necessary. An existing room ignores the request's options. */
  createRoom(request: CreateRoomOptions): Room {
    return this.#getOrCreateRoom(request).info;
  }

  /** Returns the room on a living node. A new room is created; a ghost room is taken over and keeps its sid. */
  #getOrCreateRoom(request: CreateRoomOptions): LiveRoom {
    const room = this.#rooms.get(request.name);
    if (room === undefined) return this.#open(request);
    if (room.isGhost) this.#takeOver(room, request);
    return room;
  }

  /** Unlike an existing room on a living node, a room that is taken over receives the request's options. */
  #takeOver(room: LiveRoom, request: CreateRoomOptions): void {
    const { info } = room;
    room.isGhost = false;
    room.hasBeenJoined = false;
    room.timeouts = requestedTimeouts(request, room.timeouts);
    setTimeouts(info, room.timeouts);
    info.maxParticipants = request.maxParticipants || info.maxParticipants;
    info.metadata = request.metadata || info.metadata;
    info.numParticipants = 0;
    info.numPublishers = 0;
    // LiveKit measures the timeout from the room's creation, so an old room may close immediately.
    const ageMs = this.environment.now() - Number(info.creationTimeMs);
    this.#closeAfter(room, Math.max(0, room.timeouts.emptyTimeoutMs - ageMs));
    this.#events.emitRoomEvent('room_started', info);
  }

  /** Kills the node of all rooms. Their participants are disconnected but stay listed. No event is sent. */
  killNode(): void {
    for (const room of this.#rooms.values()) {
      room.cancelClose();
      for (const [identity, { info }] of room.participants) room.staleParticipants.set(identity, info);
      room.participants.clear();
      room.isGhost = true;
    }
  }

  /** Makes ListRooms omit the room, with and without names. The room itself does not change. */
  unlistRoom(roomName: string): void {
    this.#unlisted.add(roomName);
  }

  /** Reverts `unlistRoom`. */
  relistRoom(roomName: string): void {
    this.#unlisted.delete(roomName);
  }

  /** Lists the rooms with these names, or all rooms if there are no names. */
  listRooms(names: readonly string[]): Room[] {
    return [...this.#rooms.values()]
      .filter(({ info }) => !this.#unlisted.has(info.name))
      .filter(({ info }) => names.length === 0 || names.includes(info.name))
      .map((room) => {
        this.#refreshCountIfDue(room);
        return room.info;
      });
  }

  deleteRoom(roomName: string): 'deleted' | 'absent' | 'node_unavailable' {
    const room = this.#rooms.get(roomName);
    if (room === undefined) return 'absent';
    if (room.isGhost) return 'node_unavailable';
    this.#close(room, 'ROOM_DELETED');
    return 'deleted';
  }

  /** Sends a message to the room's participants. LiveKit's response is the same for an absent room and a ghost room. */
  sendData(roomName: string): 'sent' | 'node_unavailable' {
    const room = this.#rooms.get(roomName);
    return room === undefined || room.isGhost ? 'node_unavailable' : 'sent';
  }

  /** Whether the participant is on a living node. False for an absent participant, as in LiveKit. */
  isReachable(roomName: string, identity: string): boolean {
    return this.#rooms.get(roomName)?.participants.has(identity) ?? false;
  }

  /**
   * Expires the room's timeout. The room closes unless a participant keeps it open.
   * @returns whether the room is gone
   */
  closeIdleRoom(roomName: string): boolean {
    const room = this.#rooms.get(roomName);
    if (room === undefined) return true;
    if (room.isGhost || !isIdle(room)) return false;
    this.#close(room, 'ROOM_CLOSED');
    return true;
  }

  /** Lists the participants in random order, as LiveKit does. Empty for an absent room. */
  listParticipants(roomName: string): ParticipantInfo[] {
    const room = this.#rooms.get(roomName);
    if (room === undefined) return [];
    const listed = [
      ...[...room.participants.values()].map(({ info }) => info),
      ...room.staleParticipants.values(),
    ];
    const ranks = this.environment.randomBytes(listed.length);
    return listed
      .map((info, index) => ({ info, rank: ranks[index] ?? 0 }))
      .sort((a, b) => a.rank - b.rank)
      .map(({ info }) => info);
  }

  removeParticipant(roomName: string, identity: string): 'removed' | 'absent' | 'node_unavailable' {
    const room = this.#rooms.get(roomName);
    if (room?.staleParticipants.has(identity)) return 'node_unavailable';
    const participant = room?.participants.get(identity);
    if (room === undefined || participant === undefined) return 'absent';
    this.#removeParticipant(room, participant, 'PARTICIPANT_REMOVED');
    return 'removed';
  }

  /** @param onOtherAudio called if another participant has published audio, and each time another one publishes audio */
  join(
    roomName: string,
    options: ParticipantOptions,
    onOtherAudio: () => void = () => {},
  ): EmulatedParticipant {
    const room = this.#getOrCreateRoom({ ...DEFAULT_ROOM_OPTIONS, name: roomName });
    const kind = options.kind ?? 'STANDARD';
    const info = newParticipant(options, this.environment);
    const { promise: disconnected, resolve: disconnect } = Promise.withResolvers<string>();
    const participant = { info, kind, disconnect, onOtherAudio };

    const replaced = room.participants.get(info.identity);
    if (replaced !== undefined) this.#removeParticipant(room, replaced, 'DUPLICATE_IDENTITY');
    room.staleParticipants.delete(info.identity);
    this.#refreshCountIfDue(room);
    if (!isDependent(info)) {
      room.cancelClose();
      room.hasBeenJoined = true;
    }
    const hasAudio = [...room.participants.values()].some((other) => other.info.tracks.length > 0);
    room.participants.set(info.identity, participant);
    this.#events.emitParticipantEvent('participant_joined', room.info, info);
    if (hasAudio) onOtherAudio();

    const isConnected = () => room.participants.get(info.identity) === participant;
    return {
      identity: info.identity,
      sid: info.sid,
      disconnected,
      publishAudio: (name = kind === 'SIP' ? info.identity : 'microphone') => {
        if (isConnected()) this.#publishAudio(room, participant, name);
      },
      setAttributes: (attributes) => {
        if (isConnected()) mergeAttributes(info, attributes);
      },
      leave: (reason = 'CLIENT_INITIATED') => {
        if (isConnected()) this.#removeParticipant(room, participant, reason);
      },
      abort: (reason = 'JOIN_FAILURE') => {
        if (isConnected())
          this.#removeParticipant(room, participant, reason, 'participant_connection_aborted');
      },
      migrate: () => {
        if (isConnected()) this.#migrate(room, info);
      },
    };
  }

  /** Removes every room, without an event. */
  stop(): void {
    for (const room of this.#rooms.values()) {
      room.cancelClose();
      // Disconnects the participants' handles, so that they start no timer.
      room.participants.clear();
    }
    this.#rooms.clear();
  }

  #open(request: CreateRoomOptions): LiveRoom {
    const timeouts = requestedTimeouts(request, this.#timeouts);
    const info = newRoom(request, timeouts, this.environment);
    const room: LiveRoom = {
      info,
      timeouts,
      participants: new Map(),
      staleParticipants: new Map(),
      cancelClose: () => {},
      hasBeenJoined: false,
      nextCountAtMs: this.environment.now() + COUNT_INTERVAL_MS,
      isGhost: false,
    };
    this.#rooms.set(request.name, room);
    this.#closeAfter(room, timeouts.emptyTimeoutMs);
    this.#events.emitRoomEvent('room_started', info);
    return room;
  }

  #publishAudio(room: LiveRoom, publisher: LiveParticipant, name: string): void {
    const { info, kind } = publisher;
    const track = newAudioTrack(kind, name, this.environment);
    this.#refreshCountIfDue(room);
    info.tracks.push(track);
    info.isPublisher = true;
    info.version += 1;
    this.#events.emitTrackEvent('track_published', room.info, info, track);
    for (const other of room.participants.values()) {
      if (other !== publisher) other.onOtherAudio();
    }
  }

  #removeParticipant(
    room: LiveRoom,
    { info, disconnect }: LiveParticipant,
    reason: string,
    event: 'participant_left' | 'participant_connection_aborted' = 'participant_left',
  ): void {
    // Before any change, because fromJson throws on an undefined reason.
    info.fromJson({ disconnectReason: reason });
    this.#refreshCountIfDue(room);
    room.participants.delete(info.identity);
    for (const track of info.tracks) this.#events.emitTrackEvent('track_unpublished', room.info, info, track);
    info.tracks = [];
    info.state = ParticipantInfo_State.DISCONNECTED;
    info.version += 1;
    this.#events.emitParticipantEvent(event, room.info, info);
    if (isIdle(room) && room.hasBeenJoined) this.#closeAfter(room, room.timeouts.departureTimeoutMs);
    disconnect(reason);
  }

  #migrate(room: LiveRoom, info: ParticipantInfo): void {
    const departed = info.clone().fromJson({ disconnectReason: 'MIGRATION' });
    departed.state = ParticipantInfo_State.DISCONNECTED;
    departed.tracks = [];
    this.#events.emitParticipantEvent('participant_left', room.info, departed);
  }

  #closeAfter(room: LiveRoom, delayMs: number): void {
    room.cancelClose();
    const close = () => this.#close(room, 'ROOM_CLOSED');
    room.cancelClose = this.environment.setTimer(Math.min(delayMs, MAX_TIMER_MS), close);
  }

  #close(room: LiveRoom, reason: string): void {
    for (const participant of [...room.participants.values()])
      this.#removeParticipant(room, participant, reason);
    room.cancelClose();
    this.#refreshCountIfDue(room);
    this.#rooms.delete(room.info.name);
    this.#events.emitRoomEvent('room_finished', room.info);
  }

  /** Counts the participants if a count is due. Call this before each change, so that the count is of the due time. */
  #refreshCountIfDue(room: LiveRoom): void {
    const lateMs = this.environment.now() - room.nextCountAtMs;
    if (lateMs < 0 || room.isGhost) return;
    const present = [...room.participants.values()];
    room.info.numParticipants = present.filter(({ info }) => !isDependent(info)).length;
    room.info.numPublishers = present.filter(({ info }) => info.isPublisher).length;
    room.nextCountAtMs += COUNT_INTERVAL_MS * (1 + Math.floor(lateMs / COUNT_INTERVAL_MS));
  }
}

function isIdle({ participants }: LiveRoom): boolean {
  return [...participants.values()].every(({ info }) => isDependent(info));
}
