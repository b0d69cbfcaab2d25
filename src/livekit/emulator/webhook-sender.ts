import { createHash } from 'node:crypto';
import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { AccessToken, type WebhookEvent } from 'livekit-server-sdk';
import type { KeyPair } from './access.ts';

/** LiveKit's own: five attempts in all. */
export const WEBHOOK_RETRY_DELAYS_MS: readonly number[] = [1_000, 2_000, 4_000, 8_000];

// LiveKit's protocol, webhook/resource_url_notifier.go: what waits behind a slow receiver is given up.
const MAX_WAITING = 200;
const MAX_AGE_MS = 30_000;

const TOKEN_LIFETIME_S = 5 * 60;

interface WaitingEvent {
  readonly event: WebhookEvent;
  readonly queuedAtMs: number;
}

/** Signs events and posts them to one URL: first in, first out for each room's name, in memory only. */
export class WebhookSender {
  readonly #url: string;
  readonly #keys: KeyPair;
  readonly #retryDelaysMs: readonly number[];
  /** By room name; only rooms with an event under way are in it. */
  readonly #queues = new Map<string, { readonly waiting: WaitingEvent[]; drained: Promise<void> }>();
  readonly #stopping = new AbortController();

  constructor(url: string, keys: KeyPair, retryDelaysMs: readonly number[]) {
    this.#url = url;
    this.#keys = keys;
    this.#retryDelaysMs = retryDelaysMs;
  }

  send(event: WebhookEvent): void {
    if (this.#stopping.signal.aborted) return;
    const roomName = event.room?.name ?? '';
    const queue = this.#queues.get(roomName);
    const waitingEvent = { event, queuedAtMs: Date.now() };
    if (queue === undefined) {
      const waiting = [waitingEvent];
      this.#queues.set(roomName, { waiting, drained: this.#drain(roomName, waiting) });
    } else if (queue.waiting.length < MAX_WAITING) {
      queue.waiting.push(waitingEvent);
    }
  }

  /** Resolves once no event of the room waits or is under way. */
  async drained(roomName: string): Promise<void> {
    await this.#queues.get(roomName)?.drained;
  }

  /** Gives up what waits and what is under way. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all([...this.#queues.values()].map(({ drained }) => drained));
  }

  async #drain(roomName: string, waiting: WaitingEvent[]): Promise<void> {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      if (this.#stopping.signal.aborted) break;
      if (Date.now() - next.queuedAtMs <= MAX_AGE_MS) await this.#deliver(next.event);
    }
    this.#queues.delete(roomName);
  }

  /** Never rejects: whom the event did not reach in the last attempt, it does not reach. */
  async #deliver(event: WebhookEvent): Promise<void> {
    const body = event.toJsonString();
    // Signed once: a repeated attempt carries the same token, as the real one does.
    const token = await this.#sign(body);
    for (const delayMs of [0, ...this.#retryDelaysMs]) {
      try {
        await sleep(delayMs, undefined, { signal: this.#stopping.signal, ref: false });
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

  /** The status answered. No time-out, as the real one has none: a slow receiver holds up its room's queue. */
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

/** A refusal counts as delivered: the event is not sent again. LiveKit takes 501 for one too. */
function isDelivered(status: number): boolean {
  return status === 501 || (status < 500 && status !== 429);
}
