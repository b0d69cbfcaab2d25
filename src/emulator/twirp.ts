/** A complete HTTP response. */
export interface HttpResponse {
  readonly status: number;
  readonly contentType: string;
  readonly body: string | Uint8Array;
}

export const jsonResponse = (body: unknown): HttpResponse => ({
  status: 200,
  contentType: 'application/json',
  body: JSON.stringify(body),
});

export const textResponse = (status: number, body: string): HttpResponse => ({
  status,
  contentType: 'text/plain; charset=utf-8',
  body,
});

// The codes that the room service returns, of https://twitchtv.github.io/twirp/docs/spec_v7.html#error-codes.
const STATUS = {
  bad_route: 404,
  internal: 500,
  invalid_argument: 400,
  malformed: 400,
  not_found: 404,
  resource_exhausted: 429,
  unauthenticated: 401,
  unavailable: 503,
} as const;

export type TwirpCode = keyof typeof STATUS;

export const twirpError = (code: TwirpCode, msg: string, meta?: Record<string, string>): HttpResponse => ({
  status: STATUS[code],
  contentType: 'application/json',
  // JSON.stringify omits an undefined meta.
  body: JSON.stringify({ code, msg, meta }),
});

/** An error from LiveKit's own code. LiveKit puts the same prefix before each of its messages. */
export const livekitError = (code: TwirpCode, msg: string): HttpResponse =>
  twirpError(code, `twirp error unknown: ${msg}`);

export const malformedRequest = (encoding: Encoding = 'json'): HttpResponse =>
  twirpError('malformed', `the ${encoding} request could not be decoded`);

export type Encoding = 'json' | 'protobuf';

const PREFIX = '/twirp/livekit.RoomService/';

export interface RoutedRequest {
  readonly httpMethod: string;
  readonly path: string;
  readonly contentType: string;
}

/** Returns the RPC method in a path; null for a path outside the room service. */
export function parseMethodName(path: string): string | null {
  return path.startsWith(PREFIX) ? path.slice(PREFIX.length) : null;
}

/** Returns the RPC method and the encoding of a request, or an error response. The order of the checks is LiveKit's. */
export function route<Method extends string>(
  { httpMethod, path, contentType }: RoutedRequest,
  methods: readonly Method[],
): { readonly method: Method; readonly encoding: Encoding } | HttpResponse {
  const name = parseMethodName(path);
  if (name === null)
    return path === '/' ? textResponse(200, 'OK') : textResponse(404, '404 page not found\n');
  const badRoute = (msg: string) =>
    twirpError('bad_route', msg, { twirp_invalid_route: `${httpMethod} ${path}` });
  if (httpMethod !== 'POST') return badRoute(`unsupported method "${httpMethod}" (only POST is allowed)`);
  const method = methods.find((candidate) => candidate === name);
  if (method === undefined) return badRoute(`no handler for path "${path}"`);
  const mediaType = contentType.split(';')[0]?.trim().toLowerCase();
  switch (mediaType) {
    case 'application/json':
      return { method, encoding: 'json' };
    case 'application/protobuf':
      return { method, encoding: 'protobuf' };
    default:
      return badRoute(`unexpected Content-Type: "${contentType}"`);
  }
}
