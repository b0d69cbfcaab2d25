import { unauthorized } from '../../domain/errors.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { EventFilter, StreamedEvent } from '../../ports/event-store.ts';
import type { ServerDependencies } from '../dependencies.ts';

const PAGE_SIZE = 100;
const KEY_CHECK_INTERVAL_MS = 15_000;

export type StreamItem =
  /** The stream continues at this position: every earlier event of the filter was returned. */
  | { readonly kind: 'position'; readonly position: number }
  /** The requested position is not on record any more, or never was. The stream continues at this position. */
  | { readonly kind: 'reset'; readonly position: number; readonly at: Timestamp }
  | { readonly kind: 'event'; readonly event: StreamedEvent };

type StreamDependencies = Pick<ServerDependencies, 'store' | 'clock' | 'timers' | 'eventFeed'>;

interface StreamRequest {
  readonly organizationId: string;
  readonly filter: EventFilter;
  /** The id of the last event that the client has; null: only new events. */
  readonly lastEventId: string | null;
  /** Whether the API key of the request is still valid. */
  readonly isKeyActive: () => Promise<boolean>;
}

/**
 * Returns events in the order of their commits, first the position of the stream. Reads a page only when the consumer has
 * taken the previous one, so a slow consumer costs the memory of one page. Ends when the signal is aborted.
 * @throws RequestError unauthorized when the API key was revoked or has expired; the errors of the store
 */
export async function* openEventStream(
  dependencies: StreamDependencies,
  { isKeyActive, ...request }: StreamRequest,
  signal: AbortSignal,
): AsyncGenerator<StreamItem, void, undefined> {
  const keyEnded = new AbortController();
  const checkKey = async () => {
    // A key that cannot be read now is checked again later.
    if (!(await isKeyActive().catch(() => true))) keyEnded.abort();
  };
  const stopChecks = dependencies.timers.every(KEY_CHECK_INTERVAL_MS, () => void checkKey());
  try {
    yield* readEvents(dependencies, request, AbortSignal.any([signal, keyEnded.signal]));
    if (keyEnded.signal.aborted) throw unauthorized();
  } finally {
    stopChecks();
  }
}

async function* readEvents(
  { store, clock, eventFeed }: StreamDependencies,
  { organizationId, filter, lastEventId }: Omit<StreamRequest, 'isKeyActive'>,
  signal: AbortSignal,
): AsyncGenerator<StreamItem, void, undefined> {
  const reset = async () => {
    const { newest } = await store.getEventRange();
    return { kind: 'reset', position: newest, at: clock.now() } as const;
  };
  const { oldest, newest } = await store.getEventRange();
  let position = lastEventId === null ? newest : parsePosition(lastEventId);
  if (position === null || position > newest || position + 1 < oldest) {
    const item = await reset();
    position = item.position;
    yield { kind: 'position', position };
    yield item;
  } else yield { kind: 'position', position };
  while (!signal.aborted) {
    const page = await store.listEvents({ organizationId, filter, after: position, limit: PAGE_SIZE });
    if (page.isPruned) {
      const item = await reset();
      position = item.position;
      yield item;
      continue;
    }
    for (const event of page.events) {
      yield { kind: 'event', event };
      if (signal.aborted) return;
    }
    if (page.position > position) {
      position = page.position;
      yield { kind: 'position', position };
    }
    if (page.isLast) await eventFeed.waitForEvent(position, signal);
  }
}

/** Returns null for a text that is not the id of an event. */
function parsePosition(text: string): number | null {
  return /^\d{1,15}$/.test(text) ? Number(text) : null;
}
