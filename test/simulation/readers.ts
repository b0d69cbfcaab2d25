import { openEventStream, type StreamItem } from '../../src/operations/events/open-event-stream.ts';
import type { EventFilter, StreamedEvent } from '../../src/ports/event-store.ts';
import { AGENTS } from './clients.ts';
import type { StreamedRow } from './database-inspector.ts';
import { InvariantViolation } from './event-log.ts';
import { anyHangup, type World } from './world.ts';

/* Clients of the event stream. Each follows the stream of one organization from the start, and resumes after each break. */

/** Mean time until a reader loses its connection. */
const CONNECTION_MS = 20_000;

interface Reader {
  readonly name: string;
  readonly organizationId: string;
  readonly filter: EventFilter;
  readonly events: StreamedEvent[];
  /** The last id of the stream, by which the reader resumes. */
  position: number;
}

/** The readers of a simulation, and the invariant that each has every event once and in order. */
export class EventReaders {
  readonly #world: World;
  readonly #readers: readonly Reader[];

  constructor(world: World) {
    this.#world = world;
    const filters: readonly EventFilter[] = [{}, { agentId: world.prng.of(AGENTS) }];
    this.#readers = world.apiKeys.flatMap(({ organizationId }) =>
      filters.map((filter) => ({
        name: `the reader of ${organizationId} ${filter.agentId ?? ''}`,
        organizationId,
        filter,
        events: [],
        position: 0,
      })),
    );
  }

  /** Starts the readers, which read until `isEnough`. */
  async read(isEnough: () => boolean): Promise<void> {
    await Promise.all(this.#readers.map((reader) => this.#follow(reader, isEnough)));
  }

  haveReached(position: number): boolean {
    return this.#readers.every((reader) => reader.position >= position);
  }

  /** Compares the events up to the position with the audit log. */
  assertComplete(position: number): void {
    for (const { name, organizationId, filter, events, position: reached } of this.#readers) {
      if (reached < position)
        throw new InvariantViolation(`${name} is at ${reached}, and the audit log at ${position}`);
      const expected = this.#world.database.streamOf(organizationId, filter.agentId ?? null, position);
      const received = events.filter(({ id }) => id <= position);
      for (const [index, row] of expected.entries()) {
        const event = received[index];
        if (event === undefined || textOf(event) !== textOf(row))
          throw new InvariantViolation(`${name} lacks ${textOf(row)} and has ${event && textOf(event)}`);
      }
      const more = received[expected.length];
      if (more !== undefined)
        throw new InvariantViolation(`${name} has ${textOf(more)}, which is not its own`);
    }
  }

  async #follow(reader: Reader, isEnough: () => boolean): Promise<void> {
    const { prng, virtualClock, eventLog } = this.#world;
    while (!isEnough()) {
      const killed = new AbortController();
      const stopTimer = virtualClock.after(prng.around(CONNECTION_MS), () => killed.abort());
      const lastEventId = String(reader.position);
      const { organizationId, filter } = reader;
      eventLog.count('stream: opened');
      await anyHangup(this.#world).stream(
        (dependencies, signal) =>
          openEventStream(
            dependencies,
            { organizationId, filter, lastEventId, isKeyActive: async () => true },
            signal,
          ),
        (item) => this.#receive(reader, item),
        killed.signal,
      );
      stopTimer();
      await virtualClock.sleep(prng.between(10, 3_000));
    }
  }

  #receive(reader: Reader, item: StreamItem): void {
    if (item.kind === 'reset') throw new InvariantViolation(`${reader.name} is reset at ${reader.position}`);
    const id = item.kind === 'event' ? item.event.id : item.position;
    const isLater = item.kind === 'event' ? id > reader.position : id >= reader.position;
    if (!isLater) throw new InvariantViolation(`${reader.name} gets ${id} after ${reader.position}`);
    reader.position = id;
    if (item.kind !== 'event') return;
    this.#world.eventLog.count(`stream: ${item.event.action}`);
    reader.events.push(item.event);
  }
}

/** Returns the columns that the stream and the audit log have in common. */
function textOf({
  id,
  at,
  action,
  subjectId,
  fromStatus,
  toStatus,
  reason,
  cancellationId,
}: StreamedRow): string {
  return JSON.stringify([id, at, action, subjectId, fromStatus, toStatus, reason, cancellationId]);
}
