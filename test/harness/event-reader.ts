import { setTimeout as delay } from 'node:timers/promises';
import type { Prng } from '../simulation/prng.ts';
import { messagesOf, readEvent, type StreamedData } from './event-stream.ts';

/** A client of the event stream that changes its server now and then, and when its connection breaks. */
export interface EventReader {
  /** All received events. */
  readonly events: readonly StreamedData[];
  /** The number of connections so far. */
  connections(): number;
  stop(): Promise<void>;
}

const MAX_EVENTS_PER_CONNECTION = 500;
const PAUSE_MS = 20;

/** Starts a reader at the beginning of the stream. @param servers returns the URLs of the running servers */
export function readEventsAnywhere({
  servers,
  key,
  prng,
}: {
  servers: () => readonly string[];
  key: string;
  prng: Prng;
}): EventReader {
  const events: StreamedData[] = [];
  const stopping = new AbortController();
  let connections = 0;
  let last: string | undefined;

  async function readSome(): Promise<void> {
    const server = prng.of(servers().filter((url) => url !== last || servers().length === 1));
    last = server;
    const response = await fetch(`${server}/api/v1/events`, {
      headers: { 'x-api-key': key, 'last-event-id': events.at(-1)?.id ?? '0' },
      signal: stopping.signal,
    });
    if (response.status !== 200) throw new Error(`HTTP ${response.status}`);
    connections += 1;
    let left = prng.between(1, MAX_EVENTS_PER_CONNECTION);
    for await (const message of messagesOf(response)) {
      events.push(readEvent(message));
      left -= 1;
      if (left === 0) return;
    }
  }

  async function read(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        await readSome();
      } catch (error) {
        // A connection that breaks is a TypeError of fetch. A wrong event ends the reader.
        if (error instanceof Error && error.message.startsWith('unexpected message')) throw error;
        await delay(PAUSE_MS);
      }
    }
  }

  const ended = read();
  ended.catch(() => {});
  return {
    events,
    connections: () => connections,
    async stop() {
      stopping.abort();
      await ended;
    },
  };
}
