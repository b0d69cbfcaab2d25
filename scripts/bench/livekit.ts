import { createHash, createHmac } from 'node:crypto';
import { z } from 'zod';
import type { Bench } from './context.ts';
import type { HttpRequest } from './load.ts';
import { type Program, startProgram } from './processes.ts';

export const CREDENTIALS = { apiKey: 'devkey', apiSecret: 'secretsecretsecretsecretsecretsecret' };
const TOKEN_LIFETIME_S = 3_600;

const StubState = z.object({
  deletedRooms: z.number(),
  /** From the first deletion to the last one. */
  deletionMs: z.number(),
  /** By method. */
  requests: z.record(z.string(), z.number()),
});
export type LiveKitStub = Program<z.infer<typeof StubState>>;

/** Starts the stub on the load's core. It lists `rooms` rooms, whose names begin with the prefix. */
export async function startLiveKitStub(
  { resources, cores }: Bench,
  options: { prefix?: string; rooms?: number } = {},
): Promise<LiveKitStub> {
  return resources.use(
    await startProgram('livekit-stub', { core: cores?.load ?? null, options, answer: StubState }),
  );
}

/** A webhook as LiveKit sends it: JSON, with a token that signs the body's hash. */
export function signWebhook(event: object): HttpRequest {
  const body = JSON.stringify(event);
  const nowS = Math.floor(Date.now() / 1_000);
  const claims = {
    iss: CREDENTIALS.apiKey,
    nbf: nowS,
    exp: nowS + TOKEN_LIFETIME_S,
    sha256: createHash('sha256').update(body).digest('base64'),
  };
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const signed = `${encode({ alg: 'HS256' })}.${encode(claims)}`;
  const signature = createHmac('sha256', CREDENTIALS.apiSecret).update(signed).digest('base64url');
  return {
    method: 'POST',
    path: '/webhooks/livekit',
    headers: { 'content-type': 'application/webhook+json', authorization: `${signed}.${signature}` },
    body,
  };
}
