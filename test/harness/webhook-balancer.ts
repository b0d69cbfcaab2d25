import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { z } from 'zod';
import type { Prng } from '../simulation/prng.ts';
import { type Answer, answerOf } from './answers.ts';

export interface WebhookBalancer {
  /** For `webhookUrls` of LiveKit. */
  readonly url: string;
  /** The outcomes of all responses with 200, by LiveKit's id of the event. */
  readonly outcomes: ReadonlyMap<string, readonly string[]>;
}

const Event = z.object({ id: z.string() });
const Accepted = z.object({ data: z.object({ outcome: z.string() }) });
/** The part of the webhooks that two servers receive at once. */
const DUPLICATES = 0.1;

/**
 * Starts a load balancer for LiveKit's webhooks, which sends each to a random server.
 * @param servers returns the URLs of the running servers
 * @param onAnswer receives each response of a server
 */
export async function startWebhookBalancer({
  servers,
  prng,
  onAnswer,
}: {
  servers: () => readonly string[];
  prng: Prng;
  onAnswer: (answer: Answer) => void;
}): Promise<WebhookBalancer> {
  const outcomes = new Map<string, string[]>();

  /** Returns the status of the response; 502 without one. */
  async function deliver(body: string, authorization: string): Promise<number> {
    const answer = await answerOf('webhook', `${prng.of(servers())}/webhooks/livekit`, {
      method: 'POST',
      headers: { 'content-type': 'application/webhook+json', authorization },
      body,
    });
    if (answer === null) return 502;
    onAnswer(answer);
    if (answer.status === 200) {
      const { id } = Event.parse(JSON.parse(body));
      const { outcome } = Accepted.parse(JSON.parse(answer.text)).data;
      outcomes.set(id, [...(outcomes.get(id) ?? []), outcome]);
    }
    return answer.status;
  }

  const server = createServer(async (incoming, response) => {
    const body = Buffer.concat(await incoming.toArray()).toString();
    const { authorization = '' } = incoming.headers;
    const deliveries = [deliver(body, authorization)];
    if (prng.happens(DUPLICATES)) deliveries.push(deliver(body, authorization));
    // LiveKit repeats the webhook if the first server failed, also if the second one applied it.
    const [status = 502] = await Promise.all(deliveries);
    response.writeHead(status).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, outcomes };
}
