/** An HTTP answer, ready to be sent. */
export interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string | Uint8Array;
}

export const json = (body: unknown): Answer => ({
  status: 200,
  contentType: 'application/json',
  body: JSON.stringify(body),
});

export const text = (status: number, body: string): Answer => ({
  status,
  contentType: 'text/plain; charset=utf-8',
  body,
});

// https://twitchtv.github.io/twirp/docs/spec_v7.html#error-codes, those that a room service answers with.
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

export const twirpError = (code: TwirpCode, msg: string, meta?: Record<string, string>): Answer => ({
  status: STATUS[code],
  contentType: 'application/json',
  // A meta that is not there is left out of the JSON.
  body: JSON.stringify({ code, msg, meta }),
});

/** LiveKit wraps what its own code says, so every such message begins like this. */
export const livekitError = (code: TwirpCode, msg: string): Answer =>
  twirpError(code, `twirp error unknown: ${msg}`);

export const malformed = (encoding: Encoding = 'json'): Answer =>
  twirpError('malformed', `the ${encoding} request could not be decoded`);

export type Encoding = 'json' | 'protobuf';

const PREFIX = '/twirp/livekit.RoomService/';

export interface Route {
  readonly httpMethod: string;
  readonly path: string;
  readonly contentType: string;
}

/** The RPC method that a path names; null for any path outside the room service. */
export function methodNameOf(path: string): string | null {
  return path.startsWith(PREFIX) ? path.slice(PREFIX.length) : null;
}

/** Finds the RPC method and its encoding, or the answer that ends the request here. The checks come in the real server's order. */
export function route<Method extends string>(
  { httpMethod, path, contentType }: Route,
  methods: readonly Method[],
): { readonly method: Method; readonly encoding: Encoding } | Answer {
  const name = methodNameOf(path);
  if (name === null) return path === '/' ? text(200, 'OK') : text(404, '404 page not found\n');
  const badRoute = (msg: string) =>
    twirpError('bad_route', msg, { twirp_invalid_route: `${httpMethod} ${path}` });
  if (httpMethod !== 'POST') return badRoute(`unsupported method "${httpMethod}" (only POST is allowed)`);
  const method = methods.find((known) => known === name);
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
