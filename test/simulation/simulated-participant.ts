import type { EmulatedParticipant, ParticipantOptions } from '../../src/emulator/emulator.ts';
import type { World } from './world.ts';

/** A participant with a client and a token, who may rejoin after a lost connection or a deleted room. */
export class SimulatedParticipant {
  readonly #world: World;
  readonly #roomName: string;
  readonly #joining: ParticipantOptions;
  /** Probability of a rejoin after the room was deleted, and after the connection was lost. */
  readonly #returns: { readonly whenDeleted: number; readonly whenCutOff: number };
  #participant: EmulatedParticipant | null = null;
  #isTalking = false;
  #hasLeft = false;

  constructor(
    world: World,
    roomName: string,
    joining: ParticipantOptions,
    returns: { readonly whenDeleted: number; readonly whenCutOff: number },
  ) {
    this.#world = world;
    this.#roomName = roomName;
    this.#joining = joining;
    this.#returns = returns;
  }

  join(): void {
    const { livekit, eventLog, people } = this.#world;
    if (this.#hasLeft) return;
    eventLog.record(this.#roomName, `${this.#joining.identity} joins`);
    const participant = livekit.rooms.join(this.#roomName, this.#joining);
    this.#participant = participant;
    people.add(this);
    if (this.#isTalking) participant.publishAudio();
    void participant.disconnected.then((reason) => this.#disconnected(participant, reason));
  }

  publishAudio(): void {
    this.#isTalking = true;
    this.#participant?.publishAudio();
  }

  /** Leaves and never rejoins. */
  leave(reason = 'CLIENT_INITIATED'): void {
    const { eventLog, people } = this.#world;
    this.#hasLeft = true;
    people.delete(this);
    if (this.#participant === null) return;
    eventLog.record(this.#roomName, `${this.#joining.identity} leaves (${reason})`);
    const participant = this.#participant;
    this.#participant = null;
    participant.leave(reason);
  }

  /** Stays in the room, and never rejoins. */
  stopReturning(): void {
    this.#hasLeft = true;
  }

  /** Loses the connection; LiveKit detects the loss. */
  lose(reason: string): void {
    this.#world.eventLog.record(this.#roomName, `${this.#joining.identity} is lost (${reason})`);
    this.#participant?.leave(reason);
  }

  /** A LiveKit node or all of LiveKit died: no event is sent. */
  cutOff(): void {
    this.#participant = null;
    this.#rejoin(this.#returns.whenCutOff);
  }

  #disconnected(participant: EmulatedParticipant, reason: string): void {
    if (this.#participant !== participant) return;
    this.#participant = null;
    this.#world.eventLog.record(this.#roomName, `${this.#joining.identity} is disconnected (${reason})`);
    this.#rejoin(reason === 'ROOM_DELETED' ? this.#returns.whenDeleted : this.#returns.whenCutOff);
  }

  #rejoin(probability: number): void {
    const { prng, virtualClock, people } = this.#world;
    if (this.#hasLeft || !prng.happens(probability)) {
      people.delete(this);
      return;
    }
    virtualClock.after(prng.between(20, 8_000), () => {
      const isSteadfast = this.#returns.whenCutOff === 1;
      if (this.#participant === null && (isSteadfast || !this.#world.isCalm())) this.join();
    });
  }
}
