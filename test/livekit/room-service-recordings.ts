import { readdirSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { AccessToken } from 'livekit-server-sdk';
import { z } from 'zod';
import type { LiveKitUnderTest, WebhookInbox } from '../harness/livekit.ts';
import { FIXTURES } from './webhook-recordings.ts';

/*
 * Recordings of a real server's room service (livekit-server 1.13.5): one JSON line for each step.
 * `scripts/record-room-service.ts` makes them. Only values of turn_password and tokens are not stored.
 */
export const RECORDINGS = join(FIXTURES, 'room-service');

/** A token is signed anew for each run, because recorded tokens expire. */
const Token = z.strictObject({
  video: z.record(z.string(), z.union([z.string(), z.boolean()])).nullable(),
  apiKey: z.string().optional(),
  apiSecret: z.string().optional(),
  ttl: z.union([z.string(), z.number()]).optional(),
});

/** Content as text, or as base64 if the content is protobuf. */
const Content = z.union([z.strictObject({ text: z.string() }), z.strictObject({ base64: z.string() })]);
export type Content = z.infer<typeof Content>;

const Request = z.strictObject({
  method: z.string(),
  path: z.string(),
  contentType: z.string().nullable(),
  authorization: z.union([z.string(), Token]).nullable(),
  body: Content,
});
export type RecordedRequest = z.infer<typeof Request>;

const Response = z.strictObject({ status: z.number(), contentType: z.string().nullable(), body: Content });
export type RecordedResponse = z.infer<typeof Response>;

/** An event that the room sends after a step. A real server applies some requests after its response. */
const after = { event: z.string().optional() };

const Step = z.union([
  z.strictObject({ request: Request, room: z.string().optional(), ...after }),
  z.strictObject({ join: z.string(), room: z.string(), kind: z.literal('agent').optional(), ...after }),
  z.strictObject({ publishAudio: z.string(), room: z.string(), ...after }),
]);
export type Step = z.infer<typeof Step>;

const RecordedStep = z.union([
  Step,
  z.strictObject({ request: Request, room: z.string().optional(), ...after, response: Response }),
]);

export interface Exchange {
  readonly request: RecordedRequest;
  readonly response: RecordedResponse;
}

export const RECORDING_NAMES = readdirSync(RECORDINGS).map((file) => file.replace(/\.jsonl$/, ''));

/** The steps of test/livekit/fixtures/room-service/NAME.jsonl, and its exchanges in the same order. */
export function loadRecording(name: string): {
  readonly steps: readonly Step[];
  readonly exchanges: readonly Exchange[];
} {
  const lines = readFileSync(join(RECORDINGS, `${name}.jsonl`), 'utf8')
    .trim()
    .split('\n')
    .map((line) => RecordedStep.parse(JSON.parse(line)));
  return {
    steps: lines.map((line) => {
      if (!('response' in line)) return line;
      const { response: _, ...step } = line;
      return step;
    }),
    exchanges: lines.flatMap((line) =>
      'response' in line ? [{ request: line.request, response: line.response }] : [],
    ),
  };
}

/** Runs the steps in order. @returns one exchange for each request */
export async function play(
  steps: readonly Step[],
  livekit: LiveKitUnderTest,
  inbox: WebhookInbox,
): Promise<Exchange[]> {
  const exchanges: Exchange[] = [];
  const participants = new Map<string, Awaited<ReturnType<LiveKitUnderTest['join']>>>();
  for (const step of steps) {
    const room = step.room ?? '';
    const before = inbox.webhooksOf(room).length;
    if ('join' in step) {
      const { kind } = step;
      const participant = await livekit.join(room, step.join, kind === undefined ? {} : { kind });
      participants.set(step.join, participant);
    } else if ('publishAudio' in step) {
      await participants.get(step.publishAudio)?.publishAudio();
    } else {
      exchanges.push({ request: step.request, response: await send(step.request, livekit) });
    }
    if (step.event !== undefined) {
      await inbox.waitFor(room, (all) => all.slice(before).some(({ event }) => event.event === step.event));
    }
  }
  return exchanges;
}

async function send(
  { method, path, contentType, authorization, body }: RecordedRequest,
  { url, apiKey, apiSecret }: LiveKitUnderTest,
): Promise<RecordedResponse> {
  let header = authorization;
  let token: string | null = null;
  if (header !== null && typeof header === 'object') {
    const { video, ttl = 60, ...signer } = header;
    const keys = { apiKey, apiSecret, ...signer };
    const accessToken = new AccessToken(keys.apiKey, keys.apiSecret, { ttl });
    if (video !== null) accessToken.addGrant(video);
    token = await accessToken.toJwt();
    header = `Bearer ${token}`;
  }
  const bytes = 'text' in body ? Buffer.from(body.text) : Buffer.from(body.base64, 'base64');
  const { promise, resolve, reject } = Promise.withResolvers<RecordedResponse>();
  // fetch would add a content type.
  const sent = request(
    new URL(path, url),
    {
      method,
      agent: false,
      headers: {
        'content-length': bytes.length,
        ...(contentType !== null && { 'content-type': contentType }),
        ...(header !== null && { authorization: header }),
      },
    },
    async (response) => {
      const content = Buffer.concat(await response.toArray());
      const type = response.headers['content-type'] ?? null;
      resolve({
        status: response.statusCode ?? 0,
        contentType: type,
        body:
          type === 'application/protobuf'
            ? { base64: content.toString('base64') }
            : { text: withoutSecrets(content.toString(), token) },
      });
    },
  );
  sent.on('error', reject);
  sent.end(bytes);
  return promise;
}

function withoutSecrets(text: string, token: string | null): string {
  const withoutToken = token === null ? text : text.replaceAll(token, 'TOKEN');
  return withoutToken.replaceAll(/("turn_password":\s*)"[^"]+"/g, '$1"PASSWORD"');
}
