/** The kind of a failure. Statuses of the server have one code each; the last three mean that hangup sent no answer. */
export type HangupErrorCode =
  | 'bad_request'
  | 'unauthorized'
  | 'forbidden'
  | 'not_found'
  | 'conflict'
  | 'precondition_failed'
  | 'payload_too_large'
  | 'idempotency_key_reused'
  | 'rate_limited'
  | 'server_error'
  | 'unavailable'
  | 'refused'
  | 'network_error'
  | 'timeout'
  | 'unexpected_response';

const CODES: Readonly<Record<number, HangupErrorCode>> = {
  400: 'bad_request',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'not_found',
  408: 'timeout',
  409: 'conflict',
  412: 'precondition_failed',
  413: 'payload_too_large',
  422: 'idempotency_key_reused',
  429: 'rate_limited',
  500: 'server_error',
};

/** Either nothing has changed, or the Idempotency-Key prevents a second change. */
const RETRYABLE: readonly HangupErrorCode[] = [
  'rate_limited',
  'server_error',
  'unavailable',
  'network_error',
  'timeout',
];

export interface HangupErrorDetails {
  readonly code: HangupErrorCode;
  readonly status?: number | null;
  readonly requestId?: string | null;
  readonly retryAfter?: number | null;
  readonly idempotencyKey?: string | null;
  readonly cause?: unknown;
}

/** The only error of a request, apart from the reason of an aborted signal and a TypeError for a wrong argument. */
export class HangupError extends Error {
  override readonly name = 'HangupError';
  readonly code: HangupErrorCode;
  /** The HTTP status; null without a response. */
  readonly status: number | null;
  /** The request's id in the log of the server. Include the id in bug reports. */
  readonly requestId: string | null;
  /** Seconds until the server accepts the request again, if the server sent them. */
  readonly retryAfter: number | null;
  /** The key of a request that changes something. Repeat the request with this key, and the change happens once. */
  readonly idempotencyKey: string | null;

  constructor(
    message: string,
    {
      code,
      status = null,
      requestId = null,
      retryAfter = null,
      idempotencyKey = null,
      cause,
    }: HangupErrorDetails,
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.status = status;
    this.requestId = requestId;
    this.retryAfter = retryAfter;
    this.idempotencyKey = idempotencyKey;
  }

  /** Whether the same request may succeed later: after 408, 429, a 5xx, a network error or a timeout. */
  get isRetryable(): boolean {
    return RETRYABLE.includes(this.code);
  }
}

/** Returns the error for a response that is not a success of hangup. */
export function errorOf(response: Response, body: string, context: ErrorContext): HangupError {
  const { status, headers } = response;
  const details = {
    status,
    requestId: headers.get('x-request-id'),
    retryAfter: retryAfterOf(headers),
    idempotencyKey: context.idempotencyKey,
  };
  const message = errorMessage(body);
  if (status >= 400 && message !== null) {
    return new HangupError(message, { ...details, code: codeOf(status) });
  }
  if (response.type === 'opaqueredirect' || (status >= 300 && status < 400)) {
    const target = headers.get('location') ?? 'another address';
    return new HangupError(
      `${context.server} redirects to ${target}. Set url to the address of hangup, without a redirect.`,
      { ...details, status: status === 0 ? null : status, code: 'unexpected_response' },
    );
  }
  if (status >= 500) {
    // Also statuses of one proxy's own, such as 521 and 530 of Cloudflare.
    return new HangupError(`The proxy at ${context.server} has no response from hangup (HTTP ${status}).`, {
      ...details,
      code: 'unavailable',
    });
  }
  const code = status === 408 || status === 429 ? codeOf(status) : 'unexpected_response';
  const content = body === '' ? 'an empty response' : 'a response that is not from hangup';
  return new HangupError(
    `${context.server} returned ${content} (HTTP ${status}). Check that url is the address of hangup.`,
    { ...details, code },
  );
}

export interface ErrorContext {
  readonly server: string;
  readonly idempotencyKey: string | null;
}

export function networkError(cause: unknown, { server, idempotencyKey }: ErrorContext): HangupError {
  // Browsers hide the reason from the page.
  const page: unknown = 'document' in globalThis ? Reflect.get(globalThis, 'location') : undefined;
  const hint = isObject(page)
    ? ` If the address is correct, CORS_ORIGINS of hangup must contain ${page['origin']}.`
    : '';
  return new HangupError(`No response from ${server}: ${describe(cause)}.${hint}`, {
    code: 'network_error',
    idempotencyKey,
    cause,
  });
}

export function timeoutError(timeoutMs: number, { server, idempotencyKey }: ErrorContext): HangupError {
  return new HangupError(`No complete response from ${server} within ${timeoutMs} ms.`, {
    code: 'timeout',
    idempotencyKey,
  });
}

function codeOf(status: number): HangupErrorCode {
  return CODES[status] ?? (status >= 500 ? 'unavailable' : 'refused');
}

/** Returns the message in an error of hangup; null for any other body. */
function errorMessage(body: string): string | null {
  const json = parseJson(body);
  if (!isObject(json) || !isObject(json['error'])) return null;
  const { message } = json['error'];
  return typeof message === 'string' ? message : null;
}

/** Node.js puts the cause of a failed fetch into `cause`. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { message } = error.cause instanceof Error && error.cause.message !== '' ? error.cause : error;
  return message.replace(/[\s.:]+$/, '');
}

/** Returns the seconds of Retry-After. A date counts from the server's own clock, because the client's may be wrong. */
function retryAfterOf(headers: Headers): number | null {
  const value = headers.get('retry-after')?.trim();
  if (value === undefined || value === '') return null;
  if (/^\d+$/.test(value)) return Number(value);
  const at = Date.parse(value);
  if (Number.isNaN(at)) return null;
  const sentAt = Date.parse(headers.get('date') ?? '');
  return Math.max(0, Math.ceil((at - (Number.isNaN(sentAt) ? Date.now() : sentAt)) / 1_000));
}

/** Returns the value of a JSON text; undefined for any other text. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return;
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
