import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { publicError } from '../api/errors.ts';
import type { EventStream, StreamMessage } from '../api/events/event-stream.ts';
import { HEARTBEAT_INTERVAL_MS } from '../api/trpc.ts';
import type { ServerDependencies } from '../operations/dependencies.ts';
import type { HttpRequest } from './request.ts';
import { commonHeaders } from './response.ts';

/** A reader that does not take the bytes of one full buffer in this time is disconnected. */
const DRAIN_TIMEOUT_MS = 10_000;
/** Time for the last bytes of a stream when the server shuts down. */
const END_TIMEOUT_MS = 1_000;

/** Makes clients connect again soon after a restart. */
const RETRY_HINT = 'retry: 1000\n\n';

/** No cache and no proxy keeps events back. nginx reads `x-accel-buffering`. */
export const STREAM_HEADERS: readonly string[] = [
  'content-type',
  'text/event-stream',
  'x-accel-buffering',
  'no',
];

export interface StreamOptions extends Pick<ServerDependencies, 'timers' | 'metrics'> {
  /** Aborted when the server shuts down. */
  readonly draining: AbortSignal;
}

/** Sends a stream as server-sent events, until one side ends it. */
export async function sendEvents(
  request: HttpRequest,
  response: ServerResponse,
  stream: EventStream,
  options: StreamOptions,
): Promise<void> {
  const head = (position: readonly string[]) =>
    response.writeHead(200, [...commonHeaders(request), ...STREAM_HEADERS, ...position]);
  if (request.method === 'HEAD') {
    head([]).end();
    return;
  }
  let position = '';
  await sendStream(response, options, {
    // The position of a stream with a rare filter moves without events.
    heartbeat: () => `: heartbeat\nid: ${position}\n\n`,
    open: async function* (signal) {
      for await (const message of stream.open(signal)) {
        if (!response.headersSent) {
          // Many parsers ignore an id without data.
          head(['last-event-id', message.id]);
          yield `: hangup\nid: ${message.id}\n\n`;
        }
        position = message.id;
        if (message.data !== null) yield formatMessage(message);
      }
    },
  });
}

function formatMessage({ id, data }: StreamMessage<{ readonly type: string }>): string {
  return `id: ${id}\nevent: ${data?.type}\ndata: ${JSON.stringify(data)}\n\n`;
}

/**
 * Writes chunks until they end, the client disconnects, or the server shuts down. Takes the next chunk
 * only while the response's buffer has room, so that a reader costs the memory of one buffer (64 KiB) and one page of events.
 */
export async function sendStream(
  response: ServerResponse,
  { timers, metrics, draining }: StreamOptions,
  {
    open,
    heartbeat = null,
  }: {
    /** Writes the headers before the first chunk. */
    readonly open: (signal: AbortSignal) => AsyncIterable<string | Uint8Array>;
    readonly heartbeat?: (() => string) | null;
  },
): Promise<void> {
  const closed = new AbortController();
  const { signal } = closed;
  const close = () => closed.abort();
  const drain = () => {
    close();
    if (!response.headersSent) return;
    response.end(RETRY_HINT);
    const stopTimer = timers.after(END_TIMEOUT_MS, () => response.destroy());
    response.once('close', stopTimer);
  };
  response.once('close', close);
  draining.addEventListener('abort', drain, { once: true });
  if (response.destroyed || draining.aborted) close();
  // A stream is open once its start is known.
  let isOpen = false;
  const stopHeartbeat = timers.every(HEARTBEAT_INTERVAL_MS, () => {
    const isWritable = response.headersSent && !response.writableEnded && !response.writableNeedDrain;
    if (heartbeat !== null && isWritable) response.write(heartbeat());
  });
  try {
    for await (const chunk of open(signal)) {
      if (!isOpen) metrics.eventStreams(1);
      isOpen = true;
      if (signal.aborted) break;
      if (response.write(chunk)) continue;
      if (!(await hasDrained(response, { timers, signal }))) {
        metrics.eventReaderDropped();
        response.destroy();
        break;
      }
    }
    if (response.headersSent) response.end();
  } catch (error) {
    // The client connects again and gets the error as a response. A client that has disconnected gets none.
    if (!response.headersSent && !response.destroyed) throw error;
    response.end();
    if (!signal.aborted && publicError(error).code >= 500) throw error;
  } finally {
    stopHeartbeat();
    draining.removeEventListener('abort', drain);
    if (isOpen) metrics.eventStreams(-1);
  }
}

/** Returns false when the client has not taken the buffered bytes in time. True: also when the stream has ended. */
async function hasDrained(
  response: ServerResponse,
  { timers, signal }: { timers: ServerDependencies['timers']; signal: AbortSignal },
): Promise<boolean> {
  const late = new AbortController();
  const stopTimer = timers.after(DRAIN_TIMEOUT_MS, () => late.abort());
  try {
    await once(response, 'drain', { signal: AbortSignal.any([signal, late.signal]) });
  } catch {
    // Aborted.
  } finally {
    stopTimer();
  }
  return !late.signal.aborted;
}
