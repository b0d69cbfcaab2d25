import { sleep, withDeadline } from './deadline.ts';
import { errorOf, HangupError, isObject, networkError, parseJson, timeoutError } from './errors.ts';

export interface RequestOptions {
  /** An abort rejects with the signal's reason. A request that has reached the server can still have its effect. */
  readonly signal?: AbortSignal | undefined;
  /** The limit for all attempts together. Infinity: no limit. */
  readonly timeoutMs?: number | undefined;
  /** The limit for one attempt. */
  readonly attemptTimeoutMs?: number | undefined;
  /** 1: no retry. */
  readonly maxAttempts?: number | undefined;
}

/** The options of one request of a long wait. */
export interface PersistentOptions extends RequestOptions {
  /** Repeats the request also after a web page of a proxy: see `Transport.isOutage`. */
  readonly isPersistent?: boolean | undefined;
}

export interface ChangeOptions extends RequestOptions {
  /** 1 to 255 characters. By default a new UUID. All retries send the same key, so that the change happens once. */
  readonly idempotencyKey?: string | undefined;
}

/** A failed attempt that is about to be repeated. */
export interface Retry {
  readonly error: HangupError;
  /** The number of the failed attempt, from 1. */
  readonly attempt: number;
  readonly delayMs: number;
}

export interface HangupOptions
  extends Pick<RequestOptions, 'timeoutMs' | 'attemptTimeoutMs' | 'maxAttempts'> {
  /** The address of hangup, such as `https://hangup.example.com`. */
  readonly url: string | URL;
  readonly apiKey: string;
  /** Additional headers of each request, for a gateway. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** By default the global `fetch`. */
  readonly fetch?: ((url: string, init: RequestInit) => Promise<Response>) | undefined;
  /** Returns the delay after failed attempt 1, 2 and so on. A longer Retry-After replaces the delay. */
  readonly retryDelayMs?: ((attempt: number) => number) | undefined;
  /** For your log. */
  readonly onRetry?: ((retry: Retry) => void) | undefined;
}

type Query = Readonly<Record<string, string | number | readonly string[] | undefined>>;

interface Change {
  readonly query?: Query;
  readonly body?: object;
}

const DEFAULT_TIMEOUT_MS = 30_000;
const DEFAULT_ATTEMPT_TIMEOUT_MS = 10_000;
const DEFAULT_MAX_ATTEMPTS = 8;
const INITIAL_DELAY_MS = 250;
const MAX_DELAY_MS = 8_000;

/** Full jitter: clients that failed together do not come back together. */
const jitteredDelayMs = (attempt: number) =>
  Math.random() * Math.min(MAX_DELAY_MS, INITIAL_DELAY_MS * 2 ** (attempt - 1));

/** Sends requests to the REST API, and repeats the failed ones. */
export class Transport {
  /** The address of hangup, without a slash at the end. */
  readonly server: string;
  readonly attemptTimeoutMs: number;
  readonly retryDelayMs: (attempt: number) => number;
  private readonly options: HangupOptions;
  private hasAnswered = false;

  /** @throws TypeError for a wrong option */
  constructor(options: HangupOptions) {
    const { protocol, origin, pathname } = new URL(options.url);
    if (protocol !== 'https:' && protocol !== 'http:') {
      throw new TypeError(`url: expected http:// or https://, received ${protocol}`);
    }
    // Each request would get 404, which looks like a call that does not exist.
    const [path] = /\/(api\/v1|trpc|openapi\.json|docs)(?=\/*$)/.exec(pathname) ?? [];
    if (path !== undefined) {
      throw new TypeError(`url: expected the address of hangup, without ${path}`);
    }
    // The error of Headers would contain the key.
    if (typeof options.apiKey !== 'string' || !/^[\t\n\r ]*[\x21-\x7e]+[\t\n\r ]*$/.test(options.apiKey)) {
      throw new TypeError('apiKey: expected an API key; `hangup keys create` creates a key');
    }
    this.server = `${origin}${pathname.replace(/\/+$/, '')}`;
    this.options = options;
    this.attemptTimeoutMs = options.attemptTimeoutMs ?? DEFAULT_ATTEMPT_TIMEOUT_MS;
    this.retryDelayMs = options.retryDelayMs ?? jitteredDelayMs;
    this.headers({});
  }

  /** Records a success of hangup: the url is correct. */
  markAnswered(): void {
    this.hasAnswered = true;
  }

  /**
   * Whether hangup is expected to return. Once it has answered, the url is correct: a later web page or HTML 404 is from an
   * ingress during a deployment.
   */
  isOutage({ isRetryable, code, status }: HangupError): boolean {
    return isRetryable || (this.hasAnswered && code === 'unexpected_response' && status !== null);
  }

  get<Data>(path: string, query: Query, options: PersistentOptions | undefined): Promise<Data> {
    return this.repeat(this.urlOf(path, query), { method: 'GET', headers: this.headers({}) }, options);
  }

  /** Sends an Idempotency-Key, so that a repeated request has one effect. */
  async change<Data>(
    method: 'POST' | 'DELETE',
    path: string,
    { query = {}, body }: Change,
    options: ChangeOptions | undefined,
  ): Promise<Data> {
    const idempotencyKey = options?.idempotencyKey ?? randomKey();
    const headers = this.headers({
      'idempotency-key': quote(idempotencyKey),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    });
    const init = { method, headers, ...(body !== undefined && { body: toJson(body) }) };
    return this.repeat(this.urlOf(path, query), init, options, idempotencyKey);
  }

  /** Sends a change that accepts no Idempotency-Key. Unless `maxAttempts` is 1, repeating it must have no further effect. */
  async changeWithoutKey<Data>(
    method: 'POST' | 'DELETE',
    path: string,
    { body }: Pick<Change, 'body'>,
    options: RequestOptions | undefined,
  ): Promise<Data> {
    const headers = this.headers(body === undefined ? {} : { 'content-type': 'application/json' });
    const init = { method, headers, ...(body !== undefined && { body: toJson(body) }) };
    return this.repeat(this.urlOf(path, {}), init, options);
  }

  /** Sends one request and returns its response, of any status. @throws HangupError without a response */
  async send(url: URL, init: RequestInit, idempotencyKey: string | null = null): Promise<Response> {
    const { fetch: send = fetch } = this.options;
    try {
      // A redirect would send the key to another server, and change DELETE to GET.
      return await send(String(url), { ...init, redirect: 'manual' });
    } catch (error) {
      throw networkError(error, { server: this.server, idempotencyKey });
    }
  }

  /** Returns the body. @throws HangupError if the connection ends first */
  async readBody(response: Response, idempotencyKey: string | null = null): Promise<string> {
    try {
      return await response.text();
    } catch (error) {
      throw networkError(error, { server: this.server, idempotencyKey });
    }
  }

  urlOf(path: string, query: Query): URL {
    const url = new URL(`${this.server}/api/v1${path}`);
    for (const [name, value] of Object.entries(query)) {
      if (value === undefined) continue;
      for (const item of Array.isArray(value) ? value : [value]) {
        if (typeof item !== 'string' && typeof item !== 'number') {
          throw new TypeError(`${name}: expected text or a number, received ${describe(item)}`);
        }
        url.searchParams.append(name, wellFormed(name, String(item)));
      }
    }
    return url;
  }

  headers(more: Record<string, string>): Headers {
    // A list of names would join `Content-Type` and `content-type` to one value.
    const headers = new Headers(this.options.headers);
    headers.set('x-api-key', this.options.apiKey);
    for (const [name, value] of Object.entries(more)) headers.set(name, value);
    return headers;
  }

  private repeat<Data>(
    url: URL,
    init: RequestInit,
    options: PersistentOptions = {},
    idempotencyKey: string | null = null,
  ): Promise<Data> {
    const timeoutMs = options.timeoutMs ?? this.options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const attemptTimeoutMs = options.attemptTimeoutMs ?? this.attemptTimeoutMs;
    const maxAttempts = options.maxAttempts ?? this.options.maxAttempts ?? DEFAULT_MAX_ATTEMPTS;
    const context = { server: this.server, idempotencyKey };
    const endsAt = performance.now() + timeoutMs;
    let last: HangupError | undefined;
    const total = { timeoutMs, onTimeout: () => last ?? timeoutError(timeoutMs, context) };
    const perAttempt = {
      timeoutMs: attemptTimeoutMs,
      onTimeout: () => timeoutError(attemptTimeoutMs, context),
    };
    return withDeadline(options.signal, total, async (signal) => {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await withDeadline(signal, perAttempt, (attemptSignal) =>
            this.attempt<Data>(url, { ...init, signal: attemptSignal }, idempotencyKey),
          );
        } catch (error) {
          signal.throwIfAborted();
          if (!(error instanceof HangupError) || attempt >= maxAttempts) throw error;
          if (!(options.isPersistent ? this.isOutage(error) : error.isRetryable)) throw error;
          const delayMs = Math.max(this.retryDelayMs(attempt), 1_000 * (error.retryAfter ?? 0));
          if (performance.now() + delayMs >= endsAt) throw error;
          last = error;
          this.options.onRetry?.({ error, attempt, delayMs });
          await sleep(delayMs, signal);
        }
      }
    });
  }

  private async attempt<Data>(url: URL, init: RequestInit, idempotencyKey: string | null): Promise<Data> {
    const response = await this.send(url, init, idempotencyKey);
    const body = await this.readBody(response, idempotencyKey);
    const json = response.ok ? parseJson(body) : undefined;
    if (isObject(json) && 'data' in json) {
      this.markAnswered();
      return json['data'] as Data;
    }
    throw errorOf(response, body, { server: this.server, idempotencyKey });
  }
}

/** Returns a new key. Browsers have randomUUID only on HTTPS and on localhost. */
function randomKey(): string {
  if (typeof crypto.randomUUID === 'function') return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Returns the key as the quoted string of the header, so that spaces and quotes stay unchanged. */
function quote(key: string): string {
  return `"${key.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}

/** Returns a path segment. @throws TypeError for an id that would change the path */
export function segment(id: string): string {
  if (typeof id !== 'string' || id === '' || id === '.' || id === '..') {
    throw new TypeError(`id: expected the id of a call or a cancellation, received ${JSON.stringify(id)}`);
  }
  return encodeURIComponent(wellFormed('id', id));
}

/** Returns the JSON of a body. @throws TypeError for a value that JSON would replace without an error */
function toJson(body: object): string {
  return JSON.stringify(body, (name, value: unknown) => {
    wellFormed('a name', name);
    if (typeof value === 'number' && !Number.isFinite(value)) {
      throw new TypeError(`${name}: expected a finite number, received ${value}`);
    }
    return typeof value === 'string' ? wellFormed(name, value) : value;
  });
}

/** Returns the text. @throws TypeError for half of a surrogate pair, which UTF-8 would replace with U+FFFD */
function wellFormed(name: string, text: string): string {
  if (/\p{Surrogate}/u.test(text)) throw new TypeError(`${name}: contains half of a surrogate pair`);
  return text;
}

function describe(value: unknown): string {
  return value === null ? 'null' : typeof value;
}
