import type { VirtualClock } from './virtual-clock.ts';

/** Something that must never be so is so. */
export class InvariantViolation extends Error {
  override readonly name = 'Violation';
  /** Whose history tells how it came to that. */
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

/** What happened, in which room, and how often. */
export class EventLog {
  /** How often each thing happened: what never did was not tried. */
  readonly counts = new Map<string, number>();
  readonly #virtualClock: VirtualClock;
  readonly #startedAt: number;
  readonly #byRoom = new Map<string, Line[]>();
  readonly #everywhere: Line[] = [];

  constructor(virtualClock: VirtualClock) {
    this.#virtualClock = virtualClock;
    this.#startedAt = virtualClock.now;
  }

  /** Of one room. */
  tell(roomName: string, text: string): void {
    const line = { at: this.#virtualClock.now, text };
    const lines = this.#byRoom.get(roomName);
    if (lines === undefined) this.#byRoom.set(roomName, [line]);
    else lines.push(line);
  }

  /** Of all rooms. */
  announce(text: string): void {
    this.#everywhere.push({ at: this.#virtualClock.now, text: `--- ${text}` });
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  /** Of a room, and of all rooms while there was something to tell of this one. */
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
