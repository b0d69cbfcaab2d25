import { createParser } from 'eventsource-parser';
import { ApiError, openEventStream } from './api-client.ts';

/** The server sends a comment every 15 s. */
const INACTIVITY_TIMEOUT_MS = 45_000;
const NO_DATA = new ApiError(`no data from the server for ${INACTIVITY_TIMEOUT_MS / 1_000} s`, {
  status: null,
  isTransient: true,
});
/** More than any event of hangup. */
const MAX_EVENT_LENGTH = 1024 * 1024;

export interface ReceivedEvent {
  readonly id: string;
  /** One JSON object. */
  readonly data: string;
}

/** The part of an event stream that survives its connections. */
export interface StreamState {
  /** The id of the last event; null before the first connection. */
  lastEventId: string | null;
  /** The delay before the next connection, as the server requests it. */
  retryMs: number;
}

/**
 * Connects once, and yields the events until the connection ends. Keeps the state current.
 * @throws ApiError when the server sends an error; the signal's reason if the signal aborts; the error of the connection
 */
export async function* receiveEvents(
  query: Parameters<typeof openEventStream>[0]['query'],
  state: StreamState,
  { signal, onOpen }: { signal: AbortSignal; onOpen: () => void },
): AsyncGenerator<ReceivedEvent, void, undefined> {
  const inactive = new AbortController();
  const timer = setTimeout(() => inactive.abort(NO_DATA), INACTIVITY_TIMEOUT_MS);
  let received: ReceivedEvent[] = [];
  const parser = createParser({
    maxBufferSize: MAX_EVENT_LENGTH,
    onEvent: ({ id = '', data }) => received.push({ id, data }),
    onRetry: (retryMs) => {
      state.retryMs = retryMs;
    },
  });
  try {
    const response = await openEventStream({
      query,
      lastEventId: state.lastEventId,
      signal: AbortSignal.any([signal, inactive.signal]),
    });
    state.lastEventId = response.headers.get('last-event-id') ?? state.lastEventId;
    onOpen();
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      timer.refresh();
      parser.feed(decoder.decode(chunk, { stream: true }));
      const events = received;
      received = [];
      for (const event of events) {
        yield event;
        state.lastEventId = event.id;
      }
    }
  } finally {
    clearTimeout(timer);
  }
}
