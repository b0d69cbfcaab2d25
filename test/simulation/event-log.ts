import type { VirtualClock } from './virtual-clock.ts';

/** An invariant does not hold. */
export class InvariantViolation extends Error {
  override readonly name = 'Violation';
  /** The room whose history explains the violation. */
  readonly roomName: string | null;

  constructor(message: string, roomName: string | null = null) {
    super(message);
    this.roomName = roomName;
  }
}

interface Line {
  readonly at: number;
  readonly text: string;
}

/** The events of a simulation by room, and a count for each kind. */
export class EventLog {
  /** Number of events of each kind. A kind without a count was never tested. */
  readonly counts = new Map<string, number>();
  readonly #virtualClock: VirtualClock;
  readonly #startedAt: number;
  readonly #byRoom = new Map<string, Line[]>();
  readonly #everywhere: Line[] = [];

  constructor(virtualClock: VirtualClock) {
    this.#virtualClock = virtualClock;
    this.#startedAt = virtualClock.now;
  }

  /** Records an event of one room. */
  record(roomName: string, text: string): void {
    const line = { at: this.#virtualClock.now, text };
    const lines = this.#byRoom.get(roomName);
    if (lines === undefined) this.#byRoom.set(roomName, [line]);
    else lines.push(line);
  }

  /** Records an event that concerns all rooms. */
  recordForAllRooms(text: string): void {
    this.#everywhere.push({ at: this.#virtualClock.now, text: `--- ${text}` });
  }

  count(kind: string): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
  }

  /** Returns the events of a room, and those of all rooms from a minute before its first event. */
  historyOf(roomName: string): string[] {
    const own = this.#byRoom.get(roomName) ?? [];
    const from = (own[0]?.at ?? 0) - 60_000;
    const to = this.#virtualClock.now;
    const around = this.#everywhere.filter(({ at }) => at >= from && at <= to);
    return [...own, ...around]
      .sort((a, b) => a.at - b.at)
      .map(({ at, text }) => `${this.#clock(at)} ${text}`);
  }

  #clock(at: number): string {
    return `${((at - this.#startedAt) / 1000).toFixed(3).padStart(9)} s`;
  }
}
