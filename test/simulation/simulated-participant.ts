import type { EmulatedParticipant, ParticipantOptions } from '../../src/emulator/emulator.ts';
import type { World } from './world.ts';

/** Somebody with a LiveKit client and a token, who comes back when the connection breaks, or even when told to go. */
export class SimulatedParticipant {
  readonly #world: World;
  readonly #roomName: string;
  readonly #joining: ParticipantOptions;
  /** How probably they join again when their room was deleted, and when LiveKit let them down. */
  readonly #returns: { readonly whenDeleted: number; readonly whenCutOff: number };
  #participant: EmulatedParticipant | null = null;
  #isTalking = false;
  #hasGone = false;

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
    if (this.#hasGone) return;
    eventLog.tell(this.#roomName, `${this.#joining.identity} joins`);
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

  /** For good. */
  leave(reason = 'CLIENT_INITIATED'): void {
    const { eventLog, people } = this.#world;
    this.#hasGone = true;
    people.delete(this);
    if (this.#participant === null) return;
    eventLog.tell(this.#roomName, `${this.#joining.identity} leaves (${reason})`);
    const participant = this.#participant;
    this.#participant = null;
    participant.leave(reason);
  }

  /** The connection breaks; LiveKit notices. */
  lose(reason: string): void {
    this.#world.eventLog.tell(this.#roomName, `${this.#joining.identity} is lost (${reason})`);
    this.#participant?.leave(reason);
  }

  /** A node of LiveKit died, or all of it: nothing is told to anybody. */
  cutOff(): void {
    this.#participant = null;
    this.#comeBack(this.#returns.whenCutOff);
  }

  #disconnected(participant: EmulatedParticipant, reason: string): void {
    if (this.#participant !== participant) return;
    this.#participant = null;
    this.#world.eventLog.tell(this.#roomName, `${this.#joining.identity} is disconnected (${reason})`);
    this.#comeBack(reason === 'ROOM_DELETED' ? this.#returns.whenDeleted : this.#returns.whenCutOff);
  }

  #comeBack(probability: number): void {
    const { prng, virtualClock, people } = this.#world;
    if (this.#hasGone || !prng.happens(probability)) {
      people.delete(this);
      return;
    }
    virtualClock.after(prng.between(20, 8_000), () => {
      const isSteadfast = this.#returns.whenCutOff === 1;
      if (this.#participant === null && (isSteadfast || !this.#world.isCalm())) this.join();
    });
  }
}
