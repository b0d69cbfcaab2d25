import { setTimeout as delay } from 'node:timers/promises';
import PQueue from 'p-queue';
import { onTestFinished } from 'vitest';
import { type Emulator, startEmulator } from '../../src/emulator/emulator.ts';
import type { Prng } from '../simulation/prng.ts';
import { type Answer, answerOf } from './answers.ts';
import { API_KEY, API_SECRET } from './livekit.ts';
import { startWebhookBalancer, type WebhookBalancer } from './webhook-balancer.ts';

/** Clients that create and cancel calls, a LiveKit with the rooms of the calls, and its webhooks. */
export interface Traffic {
  readonly emulator: Emulator;
  readonly webhooks: Pick<WebhookBalancer, 'outcomes'>;
  /** All responses. */
  readonly answers: readonly Answer[];
  /** Ids of the calls whose creation was answered 201. */
  readonly created: ReadonlySet<string>;
  /** Ids of the calls that were cancelled by a response. */
  readonly cancelled: ReadonlySet<string>;
  /** Ids of the calls whose caller left. */
  readonly left: ReadonlySet<string>;
  /** Ids of the calls of which two cancels were both answered 200. */
  readonly cancelledTwice: readonly string[];
  /** Creates each call, opens its room, and ends the call. Resolves when each client has its final response. */
  run(ids: readonly string[]): Promise<void>;
}

const CLIENTS = 48;
const MAX_PAUSE_MS = 200;
const MAX_WEBHOOK_RETRIES = 500;
const DEPARTURE_TIMEOUT_MS = 500;
const ENDS = { cancel: 80, cancelWithoutKey: 8, cancelTwice: 5, leave: 7 };

/**
 * Starts the clients of one organization. A client repeats a request, on any server, until the response is final.
 * @param servers returns the URLs of the running servers
 * @param key an API key with the scopes to create and cancel calls
 * @param clients the number of calls at once
 */
export async function startTraffic({
  servers,
  key,
  prng,
  clients = CLIENTS,
}: {
  servers: () => readonly string[];
  key: string;
  prng: Prng;
  clients?: number;
}): Promise<Traffic> {
  const answers: Answer[] = [];
  const created = new Set<string>();
  const cancelled = new Set<string>();
  const left = new Set<string>();
  const cancelledTwice: string[] = [];
  const webhooks = await startWebhookBalancer({
    servers,
    prng: prng.fork(),
    onAnswer: (answer) => answers.push(answer),
  });
  const emulator = await startEmulator({
    apiKey: API_KEY,
    apiSecret: API_SECRET,
    webhookUrls: [webhooks.url],
    webhookRetryDelaysMs: Array.from({ length: MAX_WEBHOOK_RETRIES }, () => MAX_PAUSE_MS),
    departureTimeoutMs: DEPARTURE_TIMEOUT_MS,
  });
  onTestFinished(() => emulator.stop());

  async function repeat(
    kind: Answer['kind'],
    path: string,
    options: Omit<RequestInit, 'headers'> & { headers?: Record<string, string> },
    dice: Prng,
  ): Promise<Answer> {
    const headers = { 'x-api-key': key, 'content-type': 'application/json', ...options.headers };
    for (;;) {
      const answer = await answerOf(kind, `${dice.of(servers())}/api/v1${path}`, { ...options, headers });
      if (answer !== null) answers.push(answer);
      if (answer !== null && answer.status < 500) return answer;
      await delay(dice.between(1, MAX_PAUSE_MS));
    }
  }

  async function create(id: string, dice: Prng): Promise<void> {
    const { status, text } = await repeat(
      'create',
      '/calls',
      {
        method: 'POST',
        headers: { 'idempotency-key': `create ${id}` },
        body: JSON.stringify({ id, agentId: 'agent' }),
      },
      dice,
    );
    if (status !== 201) throw new Error(`the creation of ${id} was answered ${status}: ${text}`);
    created.add(id);
  }

  /** @returns whether the response is 200 */
  async function cancel(id: string, dice: Prng, headers: Record<string, string>): Promise<boolean> {
    const { status, text } = await repeat('cancel', `/calls/${id}`, { method: 'DELETE', headers }, dice);
    // After a lost response, or after the other one of two cancels.
    const wasCancelled = status === 400 && text.includes('Cannot cancel call with status: cancelled');
    if (status !== 200 && !wasCancelled)
      throw new Error(`the cancel of ${id} was answered ${status}: ${text}`);
    cancelled.add(id);
    return status === 200;
  }

  async function end(id: string, dice: Prng, leave: () => void): Promise<void> {
    switch (dice.among(ENDS)) {
      case 'cancel':
        await cancel(id, dice, { 'idempotency-key': `cancel ${id}` });
        return;
      case 'cancelWithoutKey':
        await cancel(id, dice, {});
        return;
      case 'cancelTwice': {
        const both = await Promise.all([cancel(id, dice, {}), cancel(id, dice.fork(), {})]);
        if (both.every((isCancelled) => isCancelled)) cancelledTwice.push(id);
        return;
      }
      case 'leave':
        leave();
        left.add(id);
    }
  }

  async function runCall(id: string, dice: Prng): Promise<void> {
    await create(id, dice);
    const caller = emulator.join(id, { identity: 'caller' });
    // A cancel can come before the webhooks of the room.
    if (dice.happens(0.5)) await emulator.webhooksDelivered(id);
    else await delay(dice.between(0, MAX_PAUSE_MS));
    await end(id, dice, () => caller.leave());
  }

  return {
    emulator,
    webhooks,
    answers,
    created,
    cancelled,
    left,
    cancelledTwice,
    async run(ids) {
      const queue = new PQueue({ concurrency: clients });
      await queue.addAll(
        ids.map((id) => {
          const dice = prng.fork();
          return () => runCall(id, dice);
        }),
      );
    },
  };
}
