import { createHash } from 'node:crypto';
import { request } from 'node:http';
import { AccessToken, type WebhookEvent } from 'livekit-server-sdk';
import type { KeyPair } from './authorization.ts';
import { type Environment, SYSTEM_ENVIRONMENT, wait } from './environment.ts';

/** LiveKit's retry delays: five attempts in total. */
export const WEBHOOK_RETRY_DELAYS_MS: readonly number[] = [1_000, 2_000, 4_000, 8_000];

// LiveKit's protocol, webhook/resource_url_notifier.go: events that wait too long for a slow receiver are dropped.
const MAX_QUEUED_EVENTS = 200;
const MAX_QUEUED_MS = 30_000;

const TOKEN_LIFETIME_S = 5 * 60;

interface QueuedEvent {
  readonly event: WebhookEvent;
  readonly queuedAtMs: number;
}

/** Signs events and posts them to one URL, in order for each room name. The queues exist in memory only. */
export class WebhookSender {
  readonly #url: string;
  readonly #keys: KeyPair;
  readonly #retryDelaysMs: readonly number[];
  /** By room name. A room without queued or in-flight events has no entry. */
  readonly #queues = new Map<string, { readonly queued: QueuedEvent[]; drained: Promise<void> }>();
  readonly #environment: Environment;
  readonly #stopping = new AbortController();

  constructor(
    url: string,
    keys: KeyPair,
    retryDelaysMs: readonly number[],
    environment: Environment = SYSTEM_ENVIRONMENT,
  ) {
    this.#url = url;
    this.#keys = keys;
    this.#retryDelaysMs = retryDelaysMs;
    this.#environment = environment;
  }

  send(event: WebhookEvent): void {
    if (this.#stopping.signal.aborted) return;
    const roomName = event.room?.name ?? '';
    const queue = this.#queues.get(roomName);
    const entry = { event, queuedAtMs: this.#environment.now() };
    if (queue === undefined) {
      const queued = [entry];
      this.#queues.set(roomName, { queued, drained: this.#drain(roomName, queued) });
    } else if (queue.queued.length < MAX_QUEUED_EVENTS) {
      queue.queued.push(entry);
    }
  }

  /** Resolves when the room has no queued or in-flight event. */
  async drained(roomName: string): Promise<void> {
    await this.#queues.get(roomName)?.drained;
  }

  /** Drops queued events and aborts requests in flight. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all([...this.#queues.values()].map(({ drained }) => drained));
  }

  async #drain(roomName: string, queued: QueuedEvent[]): Promise<void> {
    for (let next = queued.shift(); next !== undefined; next = queued.shift()) {
      if (this.#stopping.signal.aborted) break;
      if (this.#environment.now() - next.queuedAtMs <= MAX_QUEUED_MS) await this.#deliver(next.event);
    }
    this.#queues.delete(roomName);
  }

  /** Posts one event, with retries. Never rejects. The event is dropped after the last attempt. */
  async #deliver(event: WebhookEvent): Promise<void> {
    const body = event.toJsonString();
    // LiveKit signs an event once: each attempt carries the same token.
    const token = await this.#sign(body);
    for (const delayMs of [0, ...this.#retryDelaysMs]) {
      try {
        if (delayMs > 0) await wait(delayMs, this.#stopping.signal, this.#environment);
        if (isDelivered(await this.#post(body, token))) return;
      } catch {
        if (this.#stopping.signal.aborted) return;
      }
    }
  }

  async #sign(body: string): Promise<string> {
    const token = new AccessToken(this.#keys.apiKey, this.#keys.apiSecret, { ttl: TOKEN_LIFETIME_S });
    token.sha256 = createHash('sha256').update(body).digest('base64');
    return token.toJwt();
  }

  /** Resolves to the response status. LiveKit has no timeout either: a slow receiver blocks the room's queue. */
  #post(body: string, token: string): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const headers = { 'content-type': 'application/webhook+json', authorization: token };
    const options = { method: 'POST', headers, agent: false, signal: this.#stopping.signal };
    request(this.#url, options, (response) => {
      response.on('error', reject).resume();
      resolve(response.statusCode ?? 0);
    })
      .on('error', reject)
      .end(body);
    return promise;
  }
}

/** Like LiveKit, treats 501 and 4xx except 429 as delivered: these responses are not retried. */
function isDelivered(status: number): boolean {
  return status === 501 || (status < 500 && status !== 429);
}
