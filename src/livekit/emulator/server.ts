import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { type KeyPair, readGrants } from './access.ts';
import type { FaultSwitches } from './faults.ts';
import { fromProtobuf, toProtobuf } from './protobuf.ts';
import { answerRoomService, noResponse, ROOM_SERVICE_METHODS } from './room-service.ts';
import type { RoomState } from './room-state.ts';
import { type Answer, livekitError, malformed, methodNameOf, route, twirpError } from './twirp.ts';

/** Ours: the real server has no such bound, and no request of ours comes near it. */
const MAX_BODY_BYTES = 1024 * 1024;

export interface RoomServiceServer {
  readonly port: number;
  /** Closes the port and destroys every connection; what has not been done by then is not done. */
  close(): Promise<void>;
  /** Listens again, on the same port. */
  reopen(): Promise<void>;
}

export interface ServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly keys: KeyPair;
  readonly rooms: RoomState;
  readonly faults: FaultSwitches;
  /** From a request to its answer that nobody on the room's node responds. */
  readonly deadNodeDelayMs: number;
}

/** LiveKit's API door: HTTP in front of the room service, with the faults in between. */
export async function listen(options: ServerOptions): Promise<RoomServiceServer> {
  const { host, port, keys, rooms, faults, deadNodeDelayMs } = options;
  let closing = new AbortController();
  const server = createServer((request, response) => {
    // Whatever breaks here breaks this connection alone, as a crash in a handler does in life.
    handle(request, response, closing.signal).catch(() => response.destroy());
  });
  const boundPort = await open(port);

  async function open(wantedPort: number): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once('error', reject).listen(wantedPort, host, resolve);
    await promise;
    server.off('error', reject);
    return Address.parse(server.address()).port;
  }

  async function handle(request: IncomingMessage, response: ServerResponse, closed: AbortSignal) {
    const path = request.url?.split('?')[0] ?? '/';
    const fault = faults.of(methodNameOf(path) ?? path);
    const body = await readBody(request);
    const apply = () => answer(request, path, body, closed);
    switch (fault?.kind) {
      case undefined:
        return send(response, await apply());
      case 'status500':
        return send(response, livekitError('internal', 'internal error'));
      case 'status503':
        return send(response, noResponse());
      case 'hang':
        return;
      case 'reset':
        return request.socket.resetAndDestroy();
      case 'status429':
        response.setHeader('retry-after', fault.retryAfterS);
        return send(response, twirpError('resource_exhausted', 'too many requests'));
      case 'applyThen503':
        await apply();
        return send(response, noResponse());
      case 'applyThenReset':
        await apply();
        return request.socket.resetAndDestroy();
      case 'slow':
        await sleep(fault.delayMs, undefined, { signal: closed, ref: false });
        return send(response, await apply());
    }
  }

  async function answer(
    request: IncomingMessage,
    path: string,
    body: Buffer | null,
    closed: AbortSignal,
  ): Promise<Answer> {
    const access = await readGrants(request.headers.authorization, keys);
    if ('refusal' in access) return access.refusal;
    const routed = route(
      { httpMethod: request.method ?? '', path, contentType: request.headers['content-type'] ?? '' },
      ROOM_SERVICE_METHODS,
    );
    if ('status' in routed) return routed;
    if (body === null) return twirpError('malformed', `the request is over ${MAX_BODY_BYTES} bytes`);
    const { method, encoding } = routed;
    const message = encoding === 'json' ? parseJson(body) : fromProtobuf(method, body);
    if (message === undefined) return malformed(encoding);
    const answered = answerRoomService(method, message, access.grants, rooms);
    if (answered.status === noResponse().status) {
      await sleep(deadNodeDelayMs, undefined, { signal: closed, ref: false });
    }
    return encoding === 'json' ? answered : toProtobuf(method, answered);
  }

  return {
    port: boundPort,
    async close() {
      if (!server.listening) return;
      closing.abort();
      const { promise, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      server.closeAllConnections();
      await promise;
    },
    async reopen() {
      if (server.listening) return;
      closing = new AbortController();
      await open(boundPort);
    },
  };
}

const Address = z.object({ port: z.number() });

/** Null when it is too long; the rest of it is read and dropped, so that the caller gets its answer. */
async function readBody(request: IncomingMessage): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length <= MAX_BODY_BYTES) chunks.push(chunk);
  }
  return length > MAX_BODY_BYTES ? null : Buffer.concat(chunks);
}

/** Undefined when it is no JSON, or no UTF-8. */
function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    return undefined;
  }
}

function send(response: ServerResponse, { status, contentType, body }: Answer): void {
  response.writeHead(status, { 'content-type': contentType }).end(body);
}
