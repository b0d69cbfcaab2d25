import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { JsonValue } from '@bufbuild/protobuf';
import { z } from 'zod';
import { authorize, type KeyPair } from './authorization.ts';
import { wait } from './environment.ts';
import type { FaultInjector } from './fault-injector.ts';
import { fromProtobuf, toProtobuf } from './protobuf.ts';
import { handleRoomServiceRequest, nodeUnavailable, ROOM_SERVICE_METHODS } from './room-service.ts';
import type { RoomState } from './room-state.ts';
import {
  type HttpResponse,
  livekitError,
  malformedRequest,
  parseMethodName,
  route,
  twirpError,
} from './twirp.ts';

/** A limit of the emulator. LiveKit has no limit, and hangup sends far smaller requests. */
const MAX_BODY_BYTES = 1024 * 1024;

export interface RoomServiceServer {
  readonly port: number;
  /** Closes the port and destroys every connection. Requests that are not applied yet are dropped. */
  close(): Promise<void>;
  /** Listens on the same port again. */
  reopen(): Promise<void>;
}

export interface ServerOptions {
  readonly host: string;
  /** 0 selects a free port. */
  readonly port: number;
  readonly keys: KeyPair;
  readonly rooms: RoomState;
  readonly faults: FaultInjector;
  /** The delay of the `unavailable` response for a room on a dead node. */
  readonly deadNodeDelayMs: number;
}

/** Serves the room service over HTTP and injects the active faults. */
export async function startServer(options: ServerOptions): Promise<RoomServiceServer> {
  const { host, port, keys, rooms, faults, deadNodeDelayMs } = options;
  let closing = new AbortController();
  const server = createServer((request, response) => {
    // An error breaks only its own connection, like a crashed handler in LiveKit.
    handle(request, response, closing.signal).catch(() => response.destroy());
  });
  const boundPort = await bind(port);

  async function bind(requestedPort: number): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once('error', reject).listen(requestedPort, host, resolve);
    await promise;
    server.off('error', reject);
    return Address.parse(server.address()).port;
  }

  async function handle(request: IncomingMessage, response: ServerResponse, closed: AbortSignal) {
    const path = request.url?.split('?')[0] ?? '/';
    const fault = faults.get(parseMethodName(path) ?? path);
    const body = await readBody(request);
    const apply = () => respond(request, path, body, closed);
    switch (fault?.kind) {
      case undefined:
        return send(response, await apply());
      case 'status500':
        return send(response, livekitError('internal', 'internal error'));
      case 'status503':
        return send(response, nodeUnavailable());
      case 'hang':
        return;
      case 'reset':
        return request.socket.resetAndDestroy();
      case 'status429':
        response.setHeader('retry-after', fault.retryAfterS);
        return send(response, twirpError('resource_exhausted', 'too many requests'));
      case 'applyThen503':
        await apply();
        return send(response, nodeUnavailable());
      case 'applyThenReset':
        await apply();
        return request.socket.resetAndDestroy();
      case 'slow':
        await wait(fault.delayMs, closed, rooms.environment);
        return send(response, await apply());
    }
  }

  async function respond(
    request: IncomingMessage,
    path: string,
    body: Buffer | null,
    closed: AbortSignal,
  ): Promise<HttpResponse> {
    const access = await authorize(request.headers.authorization, keys);
    if ('refusal' in access) return access.refusal;
    const routed = route(
      { httpMethod: request.method ?? '', path, contentType: request.headers['content-type'] ?? '' },
      ROOM_SERVICE_METHODS,
    );
    if ('status' in routed) return routed;
    if (body === null) return twirpError('malformed', `the request exceeds ${MAX_BODY_BYTES} bytes`);
    const { method, encoding } = routed;
    const message = encoding === 'json' ? parseJson(body) : fromProtobuf(method, body);
    if (message === undefined) return malformedRequest(encoding);
    const result = handleRoomServiceRequest(method, message, access.grants, rooms);
    if (result.status === nodeUnavailable().status) {
      await wait(deadNodeDelayMs, closed, rooms.environment);
    }
    return encoding === 'json' ? result : toProtobuf(method, result);
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
      await bind(boundPort);
    },
  };
}

const Address = z.object({ port: z.number() });

/** Returns the body; null if the body is too long. Reads the complete request, because an early response may get lost. */
async function readBody(request: IncomingMessage): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length <= MAX_BODY_BYTES) chunks.push(chunk);
  }
  return length > MAX_BODY_BYTES ? null : Buffer.concat(chunks);
}

/** Returns the value of a JSON body; undefined if the body is not JSON in UTF-8. */
function parseJson(body: Buffer): JsonValue | undefined {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    return undefined;
  }
}

function send(response: ServerResponse, { status, contentType, body }: HttpResponse): void {
  response.writeHead(status, { 'content-type': contentType }).end(body);
}
