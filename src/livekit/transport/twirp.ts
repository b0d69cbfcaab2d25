import { Buffer } from 'node:buffer';
import { type IncomingHttpHeaders, type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { AccessToken, type VideoGrant } from 'livekit-server-sdk';
import type { LiveKitError } from '../../domain/livekit-error.ts';
import type { HttpProxy } from '../../platform/proxy.ts';
import type { RequestOptions } from '../../ports/livekit.ts';
import { type Agents, agentsFor } from '../agents.ts';

interface LiveKitServer {
  readonly url: string;
  readonly apiKey: string;
  readonly apiSecret: string;
  readonly agents: Agents;
}

export interface TwirpRequest<Answer> extends RequestOptions {
  readonly method: string;
  /** To be sent as JSON; bytes are protobuf. The answer comes in the same encoding. */
  readonly body: object | Uint8Array;
  readonly grant: VideoGrant;
  /** Reads the body of a 200. An error that it throws makes the request one that LiveKit did not answer. */
  readonly read: (body: AsyncIterable<Uint8Array>) => Promise<Answer>;
}

interface AnswerHead {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
}

export type TwirpOutcome<Answer> =
  | { readonly kind: 'answered'; readonly answer: Answer }
  | { readonly kind: 'not_found' }
  | LiveKitError;

/** Sends one request. Never rejects: a failure is an outcome. */
export type RoomServiceTransport = <Answer>(request: TwirpRequest<Answer>) => Promise<TwirpOutcome<Answer>>;

/** Longer than a clock that is set back an hour is wrong. */
export const TOKEN_TTL = '2h';

/** Of thousands of participants in one room it is less. */
const LONGEST_TEXT = 4 * 1024 * 1024;

const JSON_TYPE = 'application/json';
const PROTOBUF_TYPE = 'application/protobuf';

/**
 * The transport over HTTP to one LiveKit.
 * @param shutdown ends the requests that are under way
 */
export function httpTransport(
  {
    proxy = null,
    ...server
  }: {
    readonly url: string;
    readonly apiKey: string;
    readonly apiSecret: string;
    readonly proxy?: HttpProxy | null;
  },
  shutdown?: AbortSignal,
): RoomServiceTransport {
  const agents = agentsFor(server.url, proxy);
  return (request) => askRoomService({ ...server, agents }, request, shutdown);
}

/**
 * One request to LiveKit's room service. Not by the SDK's client: that keeps the Retry-After of a 429 to itself,
 * believes any body of a 200, and follows redirects. Nor by fetch, which holds several times what it reads.
 * Never rejects: what goes wrong is an outcome.
 */
async function askRoomService<Answer>(
  server: LiveKitServer,
  request: TwirpRequest<Answer>,
  closing?: AbortSignal,
): Promise<TwirpOutcome<Answer>> {
  const { method, body, grant, timeoutMs } = request;
  const isProtobuf = body instanceof Uint8Array;
  const overdue = AbortSignal.timeout(timeoutMs);
  let response: IncomingMessage | null = null;
  try {
    const token = new AccessToken(server.apiKey, server.apiSecret, { ttl: TOKEN_TTL });
    token.addGrant(grant);
    response = await post(new URL(`${server.url}/twirp/livekit.RoomService/${method}`), {
      headers: {
        authorization: `Bearer ${await token.toJwt()}`,
        'content-type': isProtobuf ? PROTOBUF_TYPE : JSON_TYPE,
      },
      body: isProtobuf ? body : JSON.stringify(body),
      agents: server.agents,
      signal: closing === undefined ? overdue : AbortSignal.any([overdue, closing]),
    });
    const { statusCode: status = 0, headers } = response;
    return await readAnswer({ status, headers }, response, request);
  } catch (error) {
    if (overdue.aborted) return noAnswerWithin(timeoutMs);
    if (closing?.aborted) return { kind: 'unavailable', code: null, detail: 'hangup was stopped meanwhile' };
    return { kind: 'unavailable', code: null, detail: describeFault(error) };
  } finally {
    // Of what was not read to its end the connection is closed.
    response?.destroy();
  }
}

/** A POST that follows no redirect. Resolves when the answer begins. @throws whatever ends it before */
export function post(
  url: URL,
  {
    headers,
    body,
    agents,
    signal,
  }: {
    headers: Readonly<Record<string, string>>;
    body: string | Uint8Array;
    agents: Agents;
    signal: AbortSignal;
  },
): Promise<IncomingMessage> {
  const send = url.protocol === 'https:' ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    // Whatever Node makes of the connection, the deadline holds.
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    const attempt = (agent: Agents['kept']) => {
      const request = send(url, { agent, method: 'POST', headers, signal }, resolve);
      request.on('error', (error) => {
        // A kept connection that the server closed meanwhile says nothing of LiveKit, and asking twice is harmless.
        if (request.reusedSocket && !signal.aborted) attempt(agents.fresh());
        else reject(error);
      });
      // Then Node gives the connection away, with the request unanswered and its signal unheard.
      request.on('upgrade', (_, socket) => {
        socket.destroy();
        reject(new Error('the answer is a change of protocol (HTTP 101)'));
      });
      request.end(body);
    };
    attempt(agents.kept);
  });
}

/** @throws whatever the body, or the reading of it, does */
export async function readAnswer<Answer>(
  { status, headers }: AnswerHead,
  body: AsyncIterable<Uint8Array>,
  { body: asked, read }: Pick<TwirpRequest<Answer>, 'body' | 'read'>,
): Promise<TwirpOutcome<Answer>> {
  if (status !== 200) return failureOf({ status, headers }, await textOf(body));
  // In protobuf nothing at all is a list without rooms, in JSON any object is a deletion: it has to be LiveKit that says so.
  const isProtobuf = asked instanceof Uint8Array;
  if (typeOf(headers) !== (isProtobuf ? PROTOBUF_TYPE : JSON_TYPE)) {
    return {
      kind: 'unavailable',
      code: null,
      detail: `the answer is no ${isProtobuf ? 'protobuf' : 'JSON'}`,
    };
  }
  return { kind: 'answered', answer: await read(body) };
}

/** @throws Error when it is no JSON object, or one that tells of an error */
export async function readJson(body: AsyncIterable<Uint8Array>): Promise<object> {
  const text = await textOf(body);
  const json: unknown = JSON.parse(text);
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new Error('the answer is no JSON object');
  const said = parseError(text);
  if (said !== null) throw new Error(`the answer is an error with HTTP 200: ${said.code}`);
  return json;
}

/** Without its parameters, such as a charset. */
function typeOf(headers: IncomingHttpHeaders): string | undefined {
  return headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase();
}

/** @throws Error when it is over 4 MiB: what answers may be anything, and never end */
async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of body) {
    length += piece.length;
    if (length > LONGEST_TEXT) throw new Error('the answer is over 4 MiB');
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}

export function noAnswerWithin(timeoutMs: number): LiveKitError {
  return { kind: 'timed_out', detail: `no answer within ${Math.round(timeoutMs)} ms` };
}

function failureOf({ status, headers }: AnswerHead, text: string): { kind: 'not_found' } | LiveKitError {
  const said = typeOf(headers) === JSON_TYPE ? parseError(text) : null;
  // The code, not the status: bad_route is a 404 too, and means that this is not a LiveKit.
  if (said?.code === 'not_found') return { kind: 'not_found' };
  const detail = `${withoutTokens(said?.msg ?? text).slice(0, 300)} (HTTP ${status})`;
  const code = said?.code ?? 'no Twirp code';
  if (status === 429 || code === 'resource_exhausted') {
    return { kind: 'rate_limited', retryAfterMs: retryAfterMs(headers), detail: `${code}: ${detail}` };
  }
  if (status >= 500 || status === 408) {
    return { kind: 'unavailable', code: said?.code ?? null, detail: `${code}: ${detail}` };
  }
  // Not by the code alone: a token that LiveKit cannot verify is answered in plain text, without one.
  if (status === 401 || status === 403) return { kind: 'refused', by: 'credentials', code, detail };
  const isElsewhere = status === 404 || (status >= 300 && status < 400) || status < 300;
  return { kind: 'refused', by: isElsewhere ? 'address' : 'request', code, detail };
}

function parseError(text: string): { code: string; msg: string } | null {
  try {
    const json: unknown = JSON.parse(text);
    if (typeof json !== 'object' || json === null || !('code' in json)) return null;
    return { code: String(json.code).slice(0, 64), msg: 'msg' in json ? String(json.msg) : '' };
  } catch {
    return null;
  }
}

/** RFC 9110: whole seconds; the date that it may be instead is not worth a second clock. */
function retryAfterMs(headers: IncomingHttpHeaders): number | null {
  const text = headers['retry-after'] ?? '';
  return /^\d{1,5}$/.test(text) ? Number(text) * 1000 : null;
}

/** LiveKit repeats a token that it cannot verify. */
function withoutTokens(text: string): string {
  return text.replaceAll(/\beyJ[\w-]*\.[\w-]+\.[\w-]*/g, '[token]');
}

/** What OpenSSL says of a certificate of one's own CA. */
const OF_NO_KNOWN_CA =
  /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_(GET_ISSUER_CERT(_LOCALLY)?|VERIFY_LEAF_SIGNATURE))$/;

/** An answer that was not understood, or none: what Node says of a connection has a code, and not always words. */
export function describeFault(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (!('code' in error)) return error.message;
  const code = String(error.code);
  // Node's words advise to run another program.
  return OF_NO_KNOWN_CA.test(code)
    ? `its certificate is of no CA that is known here (${code}): set NODE_EXTRA_CA_CERTS to a file with the CA's`
    : `the connection failed: ${error.message || code}`;
}
