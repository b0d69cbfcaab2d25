import {
  ParticipantInfo,
  Room,
  type TrackInfo,
  WebhookEvent,
  type WebhookEventNames,
} from 'livekit-server-sdk';
import { type Environment, newId } from './environment.ts';

/** Creates LiveKit's events. Each event is a copy of the state at the time of the event. */
export class RoomEventEmitter {
  readonly #emit: (event: WebhookEvent) => void;
  readonly #environment: Environment;

  constructor(emit: (event: WebhookEvent) => void, environment: Environment) {
    this.#emit = emit;
    this.#environment = environment;
  }

  emitRoomEvent(event: 'room_started' | 'room_finished', room: Room): void {
    this.#emitEvent(event, room);
  }

  emitParticipantEvent(
    event: 'participant_joined' | 'participant_left' | 'participant_connection_aborted',
    room: Room,
    participant: ParticipantInfo,
  ): void {
    this.#emitEvent(event, room, { participant });
  }

  /** The room and the participant of a track event contain their ids only. */
  emitTrackEvent(
    event: 'track_published' | 'track_unpublished',
    { sid, name }: Room,
    participant: ParticipantInfo,
    track: TrackInfo,
  ): void {
    this.#emitEvent(event, new Room({ sid, name }), {
      participant: new ParticipantInfo({ sid: participant.sid, identity: participant.identity }),
      track,
    });
  }

  #emitEvent(
    event: WebhookEventNames,
    room: Room,
    subject: { readonly participant?: ParticipantInfo; readonly track?: TrackInfo } = {},
  ): void {
    this.#emit(
      WebhookEvent.fromJson({
        event,
        id: newId('EV_', this.#environment),
        createdAt: String(Math.floor(this.#environment.now() / 1000)),
        room: room.toJson(),
        ...(subject.participant && { participant: subject.participant.toJson() }),
        ...(subject.track && { track: subject.track.toJson() }),
      }),
    );
  }
}
