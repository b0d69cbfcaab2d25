import { Buffer } from 'node:buffer';
import type { VideoGrant } from 'livekit-server-sdk';
import { parseJson } from '../../domain/json.ts';
import type { LiveKitError } from '../../domain/livekit-error.ts';
import type { LiveKitServer, RequestOptions } from '../../ports/livekit.ts';
import type { Clock } from '../../ports/system.ts';
import { createAccessTokens } from './access-tokens.ts';
import { createHttpClient, type HttpExchange } from './http-client.ts';
import type { ResponseHead, ResponseHeaders } from './response-parser.ts';

export interface TwirpRequest<Value> extends RequestOptions {
  readonly method: string;
  /** Sent as JSON, or as protobuf if it is bytes. The response has the same encoding. */
  readonly body: object | Uint8Array;
  readonly grant: VideoGrant;
  /** Reads the body of a 200. If it throws, the outcome is `unavailable`. */
  readonly read: (body: AsyncIterable<Uint8Array>) => Promise<Value>;
}

export type TwirpOutcome<Value> =
  | { readonly kind: 'answered'; readonly value: Value }
  | { readonly kind: 'not_found' }
  | LiveKitError;

/** Sends one request. Never rejects: a failure is an outcome. */
export type RoomServiceTransport = <Value>(request: TwirpRequest<Value>) => Promise<TwirpOutcome<Value>>;

/** The JSON of thousands of participants is smaller. */
const MAX_TEXT_BYTES = 4 * 1024 * 1024;

export const SHUTTING_DOWN: LiveKitError = {
  kind: 'unavailable',
  code: null,
  detail: 'hangup is shutting down',
};

const JSON_TYPE = 'application/json';
const PROTOBUF_TYPE = 'application/protobuf';

/** A function that fails one request in flight. */
type Fail = (failure: LiveKitError) => void;

/**
 * Creates the HTTP transport to one LiveKit server. The client of the SDK would hide the Retry-After of a 429, accept any
 * body of a 200 and follow redirects; fetch would hold several times the response in memory.
 * @param shutdown its abort fails the requests in flight
 */
export function httpTransport(
  server: LiveKitServer,
  { clock, shutdown }: { clock: Clock; shutdown?: AbortSignal },
): RoomServiceTransport {
  const client = createHttpClient(server);
  const accessToken = createAccessTokens(server, clock);
  const inFlight = new Set<Fail>();
  shutdown?.addEventListener('abort', () => {
    for (const fail of inFlight) fail(SHUTTING_DOWN);
  });

  return async <Value>(request: TwirpRequest<Value>): Promise<TwirpOutcome<Value>> => {
    if (shutdown?.aborted) return SHUTTING_DOWN;
    const { method, body, grant, timeoutMs } = request;
    const isProtobuf = body instanceof Uint8Array;
    let exchange: HttpExchange | null = null;
    const state: { failure: LiveKitError | null } = { failure: null };
    const fail: Fail = (failure) => {
      state.failure ??= failure;
      exchange?.abort(new Error(failure.kind));
    };
    const deadline = setTimeout(() => fail(timedOut(timeoutMs)), timeoutMs);
    inFlight.add(fail);
    try {
      const authorization = `Bearer ${await accessToken(grant)}`;
      if (state.failure !== null) return state.failure;
      exchange = client.post({
        path: `/twirp/livekit.RoomService/${method}`,
        authorization,
        contentType: isProtobuf ? PROTOBUF_TYPE : JSON_TYPE,
        body: isProtobuf ? body : JSON.stringify(body),
      });
      const response = await exchange.response;
      return await readResponse(response, response.body, request);
    } catch (error) {
      return state.failure ?? { kind: 'unavailable', code: null, detail: formatNetworkError(error) };
    } finally {
      clearTimeout(deadline);
      inFlight.delete(fail);
      // Closes the connection if the response was not read to its end.
      exchange?.abort(NOT_READ);
    }
  };
}

const NOT_READ = new Error('the response was not read to its end');

/** Returns the outcome of a response. @throws the error of the body or of `read` */
export async function readResponse<Value>(
  { status, headers }: ResponseHead,
  body: AsyncIterable<Uint8Array>,
  { body: requestBody, read }: Pick<TwirpRequest<Value>, 'body' | 'read'>,
): Promise<TwirpOutcome<Value>> {
  if (status !== 200) return toLiveKitError({ status, headers }, await readText(body));
  // Any server could send this: an empty protobuf body is a list without rooms, any JSON object confirms a deletion.
  const isProtobuf = requestBody instanceof Uint8Array;
  if (mediaType(headers) !== (isProtobuf ? PROTOBUF_TYPE : JSON_TYPE)) {
    return {
      kind: 'unavailable',
      code: null,
      detail: `the response is not ${isProtobuf ? 'protobuf' : 'JSON'}`,
    };
  }
  return { kind: 'answered', value: await read(body) };
}

/** Returns the JSON object in a response's body. @throws Error for another body, and for a Twirp error */
export async function readJson(body: AsyncIterable<Uint8Array>): Promise<object> {
  const text = await readText(body);
  const json: unknown = JSON.parse(text);
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new Error('the response is not a JSON object');
  const twirpError = parseTwirpError(text);
  if (twirpError !== null) throw new Error(`the response is an error with HTTP 200: ${twirpError.code}`);
  return json;
}

/** Returns the media type without parameters such as a charset. */
function mediaType(headers: ResponseHeaders): string | undefined {
  return headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase();
}

/** Returns the text of a response. @throws Error over 4 MiB: another server's response may never end */
async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > MAX_TEXT_BYTES) throw new Error('the response is over 4 MiB');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Returns the failure of a request without a response in time. */
export function timedOut(timeoutMs: number): LiveKitError {
  return { kind: 'timed_out', detail: `no response within ${Math.round(timeoutMs)} ms` };
}

function toLiveKitError(
  { status, headers }: ResponseHead,
  text: string,
): { kind: 'not_found' } | LiveKitError {
  const twirpError = mediaType(headers) === JSON_TYPE ? parseTwirpError(text) : null;
  // The status does not decide: bad_route is a 404 too, and means that the server is not LiveKit.
  if (twirpError?.code === 'not_found') return { kind: 'not_found' };
  const detail = `${redactTokens(twirpError?.msg ?? text).slice(0, 300)} (HTTP ${status})`;
  const code = twirpError?.code ?? 'no Twirp code';
  if (status === 429 || code === 'resource_exhausted') {
    return { kind: 'rate_limited', retryAfterMs: retryAfterMs(headers), detail: `${code}: ${detail}` };
  }
  if (status >= 500 || status === 408) {
    return { kind: 'unavailable', code: twirpError?.code ?? null, detail: `${code}: ${detail}` };
  }
  // The status decides: LiveKit rejects an invalid token in plain text, without a code.
  if (status === 401 || status === 403) return { kind: 'refused', reason: 'credentials', code, detail };
  const isWrongAddress = status === 404 || (status >= 300 && status < 400) || status < 300;
  return { kind: 'refused', reason: isWrongAddress ? 'address' : 'request', code, detail };
}

/** Returns the Twirp error in a response's body; null if there is none. */
function parseTwirpError(text: string): { code: string; msg: string } | null {
  const json = parseJson(text);
  if (typeof json !== 'object' || json === null || !('code' in json)) return null;
  return { code: String(json.code).slice(0, 64), msg: 'msg' in json ? String(json.msg) : '' };
}

/** Returns the Retry-After header, in milliseconds. Supports seconds only: LiveKit does not send RFC 9110's dates. */
function retryAfterMs(headers: ResponseHeaders): number | null {
  const text = headers['retry-after'] ?? '';
  return /^\d{1,5}$/.test(text) ? Number(text) * 1000 : null;
}

/** Removes tokens from a text: LiveKit's error contains the token that it cannot verify. */
function redactTokens(text: string): string {
  return text.replaceAll(/\beyJ[\w-]*\.[\w-]+\.[\w-]*/g, '[token]');
}

/** OpenSSL's codes for a certificate of an unknown CA. */
const UNTRUSTED_CERTIFICATE_CODES =
  /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_(GET_ISSUER_CERT(_LOCALLY)?|VERIFY_LEAF_SIGNATURE))$/;

/** Formats an error of the network or of an invalid response. Some network errors of Node have a code and no message. */
export function formatNetworkError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (!('code' in error)) return error.message;
  const code = String(error.code);
  // Node's own message suggests an option of Node.
  return UNTRUSTED_CERTIFICATE_CODES.test(code)
    ? `its certificate is not signed by a trusted CA (${code}): set NODE_EXTRA_CA_CERTS to a file with the CA certificate`
    : `the connection failed: ${error.message || code}`;
}
