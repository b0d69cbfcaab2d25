import {
  ParticipantInfo,
  Room,
  type TrackInfo,
  WebhookEvent,
  type WebhookEventNames,
} from 'livekit-server-sdk';
import { newId } from './participant.ts';
import type { Surroundings } from './surroundings.ts';

/** Makes LiveKit's events. Each is a copy: it keeps the state of the moment at which it happened. */
export class RoomEvents {
  readonly #emit: (event: WebhookEvent) => void;
  readonly #surroundings: Surroundings;

  constructor(emit: (event: WebhookEvent) => void, surroundings: Surroundings) {
    this.#emit = emit;
    this.#surroundings = surroundings;
  }

  ofRoom(event: 'room_started' | 'room_finished', room: Room): void {
    this.#send(event, room);
  }

  ofParticipant(
    event: 'participant_joined' | 'participant_left' | 'participant_connection_aborted',
    room: Room,
    participant: ParticipantInfo,
  ): void {
    this.#send(event, room, { participant });
  }

  /** LiveKit reduces the room and the participant of such an event to their ids. */
  ofTrack(
    event: 'track_published' | 'track_unpublished',
    { sid, name }: Room,
    participant: ParticipantInfo,
    track: TrackInfo,
  ): void {
    this.#send(event, new Room({ sid, name }), {
      participant: new ParticipantInfo({ sid: participant.sid, identity: participant.identity }),
      track,
    });
  }

  #send(
    event: WebhookEventNames,
    room: Room,
    about: { readonly participant?: ParticipantInfo; readonly track?: TrackInfo } = {},
  ): void {
    this.#emit(
      WebhookEvent.fromJson({
        event,
        id: newId('EV_', this.#surroundings),
        createdAt: String(Math.floor(this.#surroundings.now() / 1000)),
        room: room.toJson(),
        ...(about.participant && { participant: about.participant.toJson() }),
        ...(about.track && { track: about.track.toJson() }),
      }),
    );
  }
}
