import { isDeepStrictEqual } from 'node:util';
import { createParser, type EventSourceMessage } from 'eventsource-parser';
import type { z } from 'zod';
import { EventData } from '../../src/api/events/event-data.ts';
import type { Hangup } from './hangup.ts';

/** The messages of a response with server-sent events. The connection ends with the loop over them. */
export async function* messagesOf(response: Response): AsyncGenerator<EventSourceMessage, void, undefined> {
  let received: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (message) => received.push(message) });
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    parser.feed(decoder.decode(chunk, { stream: true }));
    const messages = received;
    received = [];
    yield* messages;
  }
}

/** Returns the status and the text of a response. An error in a subscription of tRPC has the status in its data. */
export async function readAnswer(response: Response): Promise<{ status: number; text: string }> {
  const { status } = response;
  if (response.headers.get('content-type') !== 'text/event-stream') {
    return { status, text: await response.text() };
  }
  if (!new URL(response.url).pathname.startsWith('/trpc/')) {
    await response.body?.cancel();
    return { status, text: '' };
  }
  for await (const { event, data } of messagesOf(response)) {
    if (event === 'serialized-error') return { status: JSON.parse(data).data.httpStatus, text: data };
    if (event === undefined) return { status, text: data };
  }
  return { status, text: '' };
}

export type StreamedData = z.output<typeof EventData>;

/** An open event stream over REST. */
export interface OpenStream extends AsyncDisposable {
  readonly response: Response;
  /** Everything that was received. */
  text(): string;
  /** The data of the received events. Each has the id and the type of its message, and exactly the documented fields. */
  events(): readonly StreamedData[];
  /** Resolves when the server has ended the stream. */
  readonly ended: Promise<void>;
}

type StreamTarget = Pick<Hangup, 'url' | 'key'>;

/** Opens an event stream, and reads it until the stream is disposed. */
export async function openStream(
  { url, key }: StreamTarget,
  query = '',
  { lastEventId }: { lastEventId?: string } = {},
): Promise<OpenStream> {
  const closing = new AbortController();
  const response = await fetch(`${url}/api/v1/events${query}`, {
    headers: { 'x-api-key': key, ...(lastEventId !== undefined && { 'last-event-id': lastEventId }) },
    signal: closing.signal,
  });
  let text = '';
  const events: StreamedData[] = [];
  const parser = createParser({ onEvent: (message) => events.push(readEvent(message)) });
  const decoder = new TextDecoder();
  const read = async () => {
    for await (const chunk of response.body ?? []) {
      const part = decoder.decode(chunk, { stream: true });
      text += part;
      parser.feed(part);
    }
  };
  const ended = read();
  // An abort of the test is not an error.
  ended.catch(() => {});
  return {
    response,
    text: () => text,
    events: () => events,
    ended,
    async [Symbol.asyncDispose]() {
      closing.abort();
      await ended.catch(() => {});
    },
  };
}

/** Returns the data of a message after a check of its shape. */
export function readEvent({ id, event, data }: EventSourceMessage): StreamedData {
  const value = JSON.parse(data);
  const parsed = EventData.parse(value);
  // zod drops undocumented fields.
  if (!isDeepStrictEqual(parsed, value) || parsed.id !== id || parsed.type !== event) {
    throw new Error(`unexpected message: ${data}`);
  }
  return parsed;
}

/** Appends events to the audit log at once, each about a kilobyte long. */
export async function appendEvents({ database, organizationId, sql }: Hangup, count: number): Promise<void> {
  const columns = 'at, organization_id, action, actor, subject_id, from_status, to_status, reason';
  const values = `i, '${organizationId}', 'call.status_changed', 'livekit', 'call' || i, 'ringing', 'active', '${'x'.repeat(800)}'`;
  await sql(
    database.kind === 'sqlite'
      ? `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
         INSERT INTO audit_log (${columns}) SELECT ${values} FROM n`
      : `WITH position AS (UPDATE audit_position SET last = last + ${count} RETURNING last - ${count} AS before)
         INSERT INTO audit_log (id, ${columns}) SELECT before + i, ${values} FROM position, generate_series(1, ${count}) AS i`,
  );
}
