import type { StreamEvent, StreamEventsInput } from './api-types.ts';
import { sleep, withDeadline } from './deadline.ts';
import { errorOf, HangupError, isObject, networkError, parseJson, timeoutError } from './errors.ts';
import { EventParser, type ParsedMessage } from './event-parser.ts';
import type { Transport } from './transport.ts';

/** A change of a call, a room deletion, a cancellation or a hold, or a `reset`: earlier events are missing. */
export type HangupEvent = Exclude<StreamEvent, { type: 'opened' }>;

export interface SubscribeOptions {
  /** An abort rejects the next event with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** The `id` of the last event that you have: the subscription continues after this event. By default only new events. */
  readonly lastEventId?: string | undefined;
  /** Called for each connection. Changes after `lastEventId` are events of the subscription. */
  readonly onOpen?: ((position: { readonly lastEventId: string | null }) => void) | undefined;
  /** Called before the subscription connects again. The error is null when the server ended the connection. */
  readonly onDisconnect?: ((lost: Disconnection) => void) | undefined;
  /** How long a connection can be silent. By default two missed heartbeats of 15 s, and 5 s for the network. */
  readonly silenceTimeoutMs?: number | undefined;
}

export interface Disconnection {
  readonly error: HangupError | null;
  readonly retryInMs: number;
}

/** The events, in order and each of them once. Leaving a loop over the subscription closes the connection. */
export interface Subscription extends AsyncIterableIterator<HangupEvent> {
  /** The position after the last received event; null before the first connection. */
  readonly lastEventId: string | null;
  /** Closes the connection, and ends the loop over the events. */
  close(): void;
}

const SILENCE_TIMEOUT_MS = 2 * 15_000 + 5_000;
const INITIAL_RETRY_MS = 1_000;

/** Connects with the first call of `next`, and connects again until the subscription is closed. */
export function subscribe(
  transport: Transport,
  filter: StreamEventsInput,
  options: SubscribeOptions,
): Subscription {
  const closing = new AbortController();
  const stream = new EventStream(transport, filter, options);
  const events = stream.events(closing.signal);
  const close = () => closing.abort(CLOSED);
  const next = async (): Promise<IteratorResult<HangupEvent, undefined>> => {
    try {
      return await events.next();
    } catch (error) {
      if (error === CLOSED) return DONE;
      throw error;
    }
  };
  return {
    get lastEventId() {
      return stream.lastEventId;
    },
    close,
    next,
    async return() {
      close();
      // Waits until the connection is closed.
      await events.return(undefined).catch(() => {});
      return DONE;
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

const CLOSED = new Error('the subscription is closed');
const DONE = { done: true, value: undefined } as const;

class EventStream {
  lastEventId: string | null;
  private readonly transport: Transport;
  private readonly filter: StreamEventsInput;
  private readonly options: SubscribeOptions;
  private retryMs = INITIAL_RETRY_MS;
  private failures = 0;

  constructor(transport: Transport, filter: StreamEventsInput, options: SubscribeOptions) {
    this.transport = transport;
    this.filter = filter;
    this.options = options;
    this.lastEventId = options.lastEventId ?? null;
  }

  async *events(closed: AbortSignal): AsyncGenerator<HangupEvent, undefined, undefined> {
    const { signal: aborted, onDisconnect } = this.options;
    for (;;) {
      const connection = new AbortController();
      const unlink = link([aborted, closed], connection);
      let error: HangupError | null = null;
      try {
        yield* this.receive(connection.signal);
      } catch (thrown) {
        connection.signal.throwIfAborted();
        if (!(thrown instanceof HangupError && this.transport.isOutage(thrown))) throw thrown;
        error = thrown;
      } finally {
        unlink();
        connection.abort();
      }
      await this.waitToReconnect(error, [aborted, closed], onDisconnect);
    }
  }

  private async waitToReconnect(
    error: HangupError | null,
    signals: readonly (AbortSignal | undefined)[],
    onDisconnect: SubscribeOptions['onDisconnect'],
  ): Promise<void> {
    this.failures += 1;
    const backoffMs = this.retryMs + this.transport.retryDelayMs(this.failures);
    const retryInMs = Math.max(backoffMs, 1_000 * (error?.retryAfter ?? 0));
    onDisconnect?.({ error, retryInMs });
    const waiting = new AbortController();
    const unlink = link(signals, waiting);
    try {
      await sleep(retryInMs, waiting.signal);
    } finally {
      unlink();
    }
  }

  /** Connects once, and yields the events until the server ends the connection. */
  private async *receive(signal: AbortSignal): AsyncGenerator<HangupEvent, void, undefined> {
    const { silenceTimeoutMs = SILENCE_TIMEOUT_MS, onOpen } = this.options;
    const reader = await this.connect(signal);
    const parser = new EventParser();
    const decoder = new TextDecoder();
    const silence = {
      timeoutMs: silenceTimeoutMs,
      onTimeout: () => timeoutError(silenceTimeoutMs, this.context),
    };
    try {
      onOpen?.({ lastEventId: this.lastEventId });
      for (;;) {
        const { done, value } = await withDeadline(signal, silence, () =>
          reader.read().catch((error: unknown) => {
            throw networkError(error, this.context);
          }),
        );
        if (done) return;
        for (const { id, data } of this.read(parser, decoder.decode(value, { stream: true }))) {
          signal.throwIfAborted();
          if (id !== null) this.lastEventId = id;
          if (data !== null) yield this.parse(data);
        }
        this.retryMs = parser.retryMs ?? this.retryMs;
      }
    } finally {
      reader.cancel().catch(() => {});
    }
  }

  private async connect(signal: AbortSignal): Promise<ReadableStreamDefaultReader<Uint8Array>> {
    const { transport, lastEventId } = this;
    const { attemptTimeoutMs: timeoutMs } = transport;
    const url = transport.urlOf('/events', { ...this.filter });
    const headers = transport.headers({
      accept: 'text/event-stream',
      ...(lastEventId !== null && { 'last-event-id': lastEventId }),
    });
    const deadline = { timeoutMs, onTimeout: () => timeoutError(timeoutMs, this.context) };
    return withDeadline(signal, deadline, async () => {
      const response = await transport.send(url, { headers, signal });
      const { status, body } = response;
      const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true;
      if (status !== 200 || !isStream || body === null) {
        throw errorOf(response, await transport.readBody(response), this.context);
      }
      this.lastEventId = response.headers.get('last-event-id') ?? lastEventId;
      this.failures = 0;
      transport.markAnswered();
      return body.getReader();
    });
  }

  private read(parser: EventParser, chunk: string): ParsedMessage[] {
    try {
      return parser.push(chunk);
    } catch (cause) {
      throw this.unexpected(cause);
    }
  }

  private parse(data: string): HangupEvent {
    const event = parseJson(data);
    if (isObject(event) && typeof event['type'] === 'string') return event as HangupEvent;
    throw this.unexpected();
  }

  private unexpected(cause?: unknown): HangupError {
    const message = `${this.transport.server} sent an event that is not from hangup.`;
    return new HangupError(message, { code: 'unexpected_response', cause });
  }

  private get context() {
    return { server: this.transport.server, idempotencyKey: null };
  }
}

/** Aborts the controller with the first signal. Returns a function that removes the listeners. */
function link(signals: readonly (AbortSignal | undefined)[], controller: AbortController): () => void {
  const listeners = signals.flatMap((signal) => {
    if (signal === undefined) return [];
    const abort = () => controller.abort(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    return [() => signal.removeEventListener('abort', abort)];
  });
  return () => {
    for (const remove of listeners) remove();
  };
}
