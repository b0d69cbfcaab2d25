import { setGlobalProxyFromEnv } from 'node:http';
import { z } from 'zod';
import { errorCode } from '../domain/errors.ts';
import { parseJson } from '../domain/json.ts';
import { SettingsError } from '../platform/config.ts';
import { trustSystemCertificates } from '../platform/system-ca.ts';
import { CliError } from './output.ts';
import { readSettings } from './settings.ts';

const REQUEST_TIMEOUT_MS = 15_000;

interface ApiErrorDetails extends Pick<ApiError, 'status' | 'isTransient'> {
  readonly requestId?: string | null;
  readonly retryAfterMs?: number | null;
}

/** A request that did not succeed. */
export class ApiError extends CliError {
  /** The status of the response; null without a complete response. */
  readonly status: number | null;
  /** Whether the same request may succeed later: without a response, or with 429, 500, 502, 503 or 504. */
  readonly isTransient: boolean;
  /** The request's id in the log of the server; null without a response of hangup. */
  readonly requestId: string | null;
  /** The time after which the server accepts the request again; null if the server did not send it. */
  readonly retryAfterMs: number | null;

  constructor(message: string, details: ApiErrorDetails) {
    super(message);
    this.status = details.status;
    this.isTransient = details.isTransient;
    this.requestId = details.requestId ?? null;
    this.retryAfterMs = details.retryAfterMs ?? null;
  }
}

export interface ApiResponse<Data> {
  /** The unchanged body. */
  readonly text: string;
  readonly data: Data;
}

export interface RequestOptions<Data> {
  readonly query?: Readonly<Record<string, readonly string[] | string | undefined>>;
  /** Sent as JSON. */
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
  readonly dataSchema: z.ZodType<Data>;
  /** Ends the message of an error after which the request may have had its effect. */
  readonly uncertainty?: string;
  readonly signal?: AbortSignal;
}

interface ServerAccess {
  readonly server: string;
  readonly apiKey: string;
}

let access: ServerAccess | null = null;

/** Returns the server at HANGUP_URL. The first call sets up certificates and proxy for `fetch`. @throws SettingsError */
export function connectToServer(): ServerAccess {
  access ??= prepareAccess();
  return access;
}

function prepareAccess(): ServerAccess {
  const { url: server, apiKey, proxy } = readSettings().client;
  if (apiKey === null)
    throw new SettingsError([
      'HANGUP_API_KEY: required; create a key with `hangup keys create` on the server',
    ]);
  trustSystemCertificates(server);
  if (proxy !== null) {
    setGlobalProxyFromEnv({ HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url, NO_PROXY: proxy.noProxy });
  }
  return { server, apiKey };
}

/**
 * Sends a request to the REST API and returns its response.
 * @param path the path after /api/v1
 * @throws ApiError for any response that is not a success of hangup; the signal's reason if the signal aborts
 */
export async function sendRequest<Data>(
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  { query = {}, body, headers = {}, dataSchema, uncertainty = '', signal }: RequestOptions<Data>,
): Promise<ApiResponse<Data>> {
  const { server, apiKey } = connectToServer();
  const url = urlOf(server, path, query);
  const timeout = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
  let response: Response;
  let text: string;
  try {
    response = await fetch(url, {
      method,
      headers: {
        'x-api-key': apiKey,
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      // A redirect would send the key to another server and change DELETE to GET.
      redirect: 'manual',
      signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
    });
    text = await response.text();
  } catch (error) {
    signal?.throwIfAborted();
    throw networkError(error, { server, uncertainty });
  }
  const json = parseJson(text);
  const success = z.object({ data: dataSchema }).safeParse(json).data;
  if (response.ok && success !== undefined) return { text, data: success.data };
  throw failureOf(response, json, { server, uncertainty });
}

/**
 * Opens the event stream. Each chunk of the body has to arrive before the signal aborts.
 * @throws ApiError for any response that is not a stream; the signal's reason if the signal aborts
 */
export async function openEventStream({
  query,
  lastEventId,
  signal,
}: {
  query: NonNullable<RequestOptions<unknown>['query']>;
  lastEventId: string | null;
  signal: AbortSignal;
}): Promise<Response> {
  const { server, apiKey } = connectToServer();
  const target = { server, uncertainty: '' };
  try {
    const response = await fetch(urlOf(server, '/events', query), {
      headers: {
        'x-api-key': apiKey,
        accept: 'text/event-stream',
        ...(lastEventId !== null && { 'last-event-id': lastEventId }),
      },
      redirect: 'manual',
      signal,
    });
    const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true;
    if (response.status === 200 && isStream) return response;
    throw failureOf(response, parseJson(await response.text()), target);
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof ApiError ? error : networkError(error, target);
  }
}

function urlOf(server: string, path: string, query: NonNullable<RequestOptions<unknown>['query']>): URL {
  const url = new URL(`${server}/api/v1${path}`);
  for (const [name, values = []] of Object.entries(query))
    for (const value of [values].flat()) url.searchParams.append(name, value);
  return url;
}

/** Returns the error for a response that is not a success of hangup. */
function failureOf(response: Response, json: unknown, target: Target): ApiError {
  const { status, headers } = response;
  const failure = ErrorBody.safeParse(json).data;
  if (status >= 400 && failure !== undefined) {
    return new ApiError(`${failure.error.message} (HTTP ${status}).${adviceForStatus(status)}`, {
      status,
      isTransient: status >= 500 || status === 429,
      requestId: headers.get('x-request-id'),
      retryAfterMs: parseRetryAfter(headers),
    });
  }
  return unexpectedResponse(response, target);
}

const ErrorBody = z.object({ error: z.object({ message: z.string() }) });

interface Target {
  readonly server: string;
  readonly uncertainty: string;
}

/** Returns the error for a response of another server, or of a proxy in front of hangup. */
function unexpectedResponse({ status, headers }: Response, { server, uncertainty }: Target): ApiError {
  if (status >= 300 && status < 400) {
    const target = headers.get('location') ?? 'an unknown address';
    return new ApiError(
      `${server} redirects to ${target} (HTTP ${status}). Set HANGUP_URL to the address of hangup.`,
      { status, isTransient: false },
    );
  }
  if (status >= 502 && status <= 504) {
    const message = `the proxy at ${server} received no response from hangup (HTTP ${status}). Check that hangup runs, then retry.`;
    return new ApiError(withSentence(message, uncertainty), {
      status,
      isTransient: true,
      retryAfterMs: parseRetryAfter(headers),
    });
  }
  return new ApiError(`${server} is not a hangup server (HTTP ${status}). Check HANGUP_URL.`, {
    status,
    isTransient: false,
  });
}

/** Returns the time in `retry-after`. hangup sends seconds, not a date. */
function parseRetryAfter(headers: Headers): number | null {
  const seconds = /^\d{1,6}$/.exec(headers.get('retry-after') ?? '')?.[0];
  return seconds === undefined ? null : Number(seconds) * 1_000;
}

function adviceForStatus(status: number): string {
  if (status === 401) return ' Set HANGUP_API_KEY to a valid key.';
  return status >= 500 ? " Find the cause in the server's log, or run `hangup doctor` there." : '';
}

/** Codes and messages of failures before the request was sent. fetch refuses some ports with `bad port`. */
const UNREACHABLE =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT)$|^(ERR_SSL|ERR_TLS|CERT)_|^bad port$/;
/** Of these: failures that stay until a setting changes. */
const MISCONFIGURED = /^(ERR_SSL|ERR_TLS|CERT)_|^bad port$/;

function networkError(error: unknown, { server, uncertainty }: Target): ApiError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = errorCode(cause);
  const detail = cause instanceof Error ? cause.message || code : String(cause);
  const reason = code || detail;
  const isTransient = !MISCONFIGURED.test(reason);
  if (code.startsWith('ERR_SSL_')) {
    const message = `${server} does not use TLS. Correct the scheme or the port of HANGUP_URL.`;
    return new ApiError(message, { status: null, isTransient });
  }
  if (UNREACHABLE.test(reason)) {
    const message = `cannot connect to ${server}: ${detail}. Check HANGUP_URL.`;
    return new ApiError(message, { status: null, isTransient });
  }
  const message = `incomplete response from ${server}: ${detail}.`;
  return new ApiError(withSentence(message, uncertainty), { status: null, isTransient });
}

function withSentence(message: string, sentence: string): string {
  return sentence === '' ? message : `${message} ${sentence}`;
}
