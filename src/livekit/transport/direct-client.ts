import { Buffer } from 'node:buffer';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { HttpClient, HttpResponse, PostRequest } from './http-client.ts';
import { ResponseBody } from './response-body.ts';
import { connectionError, createResponseParser, type ResponseHeaders } from './response-parser.ts';

/** The defaults of Node's own agents. */
const KEEP_ALIVE_TIMEOUT_MS = 5_000;
const MAX_IDLE_CONNECTIONS = 256;
const TCP_KEEP_ALIVE_DELAY_MS = 1_000;
/** A request that is sent at the end of the server's own timeout could meet a closed connection. */
const KEEP_ALIVE_MARGIN_MS = 1_000;
const SWEEP_INTERVAL_MS = 1_000;

/** The receiver of one response. */
interface Receiver {
  onResponse(response: HttpResponse & { readonly body: ResponseBody }): void;
  /** @param isRepeatable whether a server that closed an idle connection can be the cause */
  onError(error: Error, isRepeatable: boolean): void;
}

/** A connection that carries one request at a time. */
interface Connection {
  send(bytes: string | Uint8Array, receiver: Receiver): void;
  /** Closes the connection, and fails the response that it waits for. */
  destroy(error: Error): void;
  receiver(): Receiver | null;
}

interface IdleConnection {
  readonly connection: Connection;
  readonly untilMs: number;
}

/**
 * Creates a client that keeps idle connections for 5 s and reuses the latest first. A small request costs half of the CPU
 * time that it costs with node:http.
 * @param monotonicMs a clock that never goes back
 */
export function createDirectClient(serverUrl: string, monotonicMs = () => performance.now()): HttpClient {
  const url = new URL(serverUrl);
  const connect = connectorOf(url);
  const basePath = url.pathname.replace(/\/$/, '');
  /** The latest at the end. */
  let idle: IdleConnection[] = [];
  let sweepTimer: NodeJS.Timeout | null = null;

  const open = () => openConnection(connect, { onIdle, onClosed });

  function onIdle(connection: Connection, keepAliveMs: number): void {
    if (keepAliveMs <= 0 || idle.length >= MAX_IDLE_CONNECTIONS) {
      connection.destroy(CLOSED);
      return;
    }
    idle.push({ connection, untilMs: monotonicMs() + keepAliveMs });
    sweepTimer ??= setInterval(closeExpired, SWEEP_INTERVAL_MS).unref();
  }

  function onClosed(connection: Connection): void {
    idle = idle.filter((kept) => kept.connection !== connection);
  }

  function takeIdle(): Connection | null {
    const nowMs = monotonicMs();
    for (;;) {
      const latest = idle.pop();
      if (latest === undefined) return null;
      if (latest.untilMs > nowMs) return latest.connection;
      latest.connection.destroy(CLOSED);
    }
  }

  function closeExpired(): void {
    const nowMs = monotonicMs();
    for (const { connection, untilMs } of idle) if (untilMs <= nowMs) connection.destroy(CLOSED);
    if (idle.length > 0 || sweepTimer === null) return;
    clearInterval(sweepTimer);
    sweepTimer = null;
  }

  return {
    post(request) {
      const { promise, resolve, reject } = Promise.withResolvers<HttpResponse>();
      const bytes = serialize(request, { path: basePath + request.path, host: url.host });
      let isAborted = false;
      let body: ResponseBody | null = null;
      const receiver: Receiver = {
        onResponse(response) {
          body = response.body;
          resolve(response);
        },
        onError(error, isRepeatable) {
          // RoomService requests are safe to repeat.
          if (isRepeatable && !isAborted) sendOn(open());
          else reject(error);
        },
      };
      let connection: Connection;
      const sendOn = (chosen: Connection) => {
        connection = chosen;
        connection.send(bytes, receiver);
      };
      sendOn(takeIdle() ?? open());
      return {
        response: promise,
        abort(error) {
          isAborted = true;
          if (connection.receiver() === receiver) connection.destroy(error);
          body?.fail(error);
        },
      };
    },
  };
}

function openConnection(
  connect: () => Socket,
  {
    onIdle,
    onClosed,
  }: {
    onIdle: (connection: Connection, keepAliveMs: number) => void;
    onClosed: (connection: Connection) => void;
  },
): Connection {
  const socket = connect().setNoDelay(true).setKeepAlive(true, TCP_KEEP_ALIVE_DELAY_MS);
  let receiver: Receiver | null = null;
  let body: ResponseBody | null = null;
  let keepAliveMs = 0;
  let isReused = false;

  const parser = createResponseParser({
    onHead(head) {
      keepAliveMs = keepAliveOf(head.headers);
      body = new ResponseBody(socket);
      receiver?.onResponse({ ...head, body });
    },
    onData: (bytes) => body?.push(bytes),
    onEnd(isReusable) {
      body?.end();
      body = null;
      receiver = null;
      if (!isReusable) {
        socket.destroy();
        return;
      }
      isReused = true;
      // The reader of the body may have paused the socket.
      socket.resume().unref();
      onIdle(connection, keepAliveMs);
    },
  });

  const connection: Connection = {
    send(bytes, next) {
      receiver = next;
      parser.start();
      socket.ref();
      socket.write(bytes);
    },
    destroy(error) {
      socket.destroy();
      onClosed(connection);
      const failed = receiver;
      receiver = null;
      if (body === null) failed?.onError(error, isReused);
      body?.fail(error);
      body = null;
    },
    receiver: () => receiver,
  };

  const parse = (step: () => void) => {
    try {
      step();
    } catch (error) {
      connection.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  };
  socket.on('data', (bytes: Buffer) => parse(() => parser.push(bytes)));
  const hangUp = () => connection.destroy(connectionError('socket hang up'));
  socket.on('end', () => {
    parse(parser.close);
    hangUp();
  });
  socket.on('error', connection.destroy);
  socket.on('close', hangUp);
  return connection;
}

const CLOSED = new Error('the idle connection is closed');

function serialize(
  { authorization, contentType, body }: PostRequest,
  { path, host }: { path: string; host: string },
): string | Uint8Array {
  const length = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
  const head = `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: keep-alive\r\nAuthorization: ${authorization}\r\nContent-Type: ${contentType}\r\nContent-Length: ${length}\r\n\r\n`;
  return typeof body === 'string' ? head + body : Buffer.concat([Buffer.from(head), body]);
}

/** Returns how long the server keeps the idle connection, at most {@link KEEP_ALIVE_TIMEOUT_MS}. */
function keepAliveOf(headers: ResponseHeaders): number {
  const seconds = /\btimeout=(\d{1,9})/.exec(headers['keep-alive'] ?? '')?.[1];
  if (seconds === undefined) return KEEP_ALIVE_TIMEOUT_MS;
  return Math.min(KEEP_ALIVE_TIMEOUT_MS, Number(seconds) * 1_000 - KEEP_ALIVE_MARGIN_MS);
}

/** Returns a function that opens a connection to the URL's server, with TLS for https. */
function connectorOf({ protocol, hostname, port }: URL): () => Socket {
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  if (protocol !== 'https:') return () => connectTcp({ host, port: Number(port || 80) });
  const options = {
    host,
    port: Number(port || 443),
    // An IP address is not a valid server name.
    servername: isIP(host) === 0 ? host : '',
    ALPNProtocols: ['http/1.1'],
  };
  let session: Buffer | undefined;
  return () => {
    const socket = connectTls(session === undefined ? options : { ...options, session });
    // A resumed session saves most of the handshake.
    socket.on('session', (received) => {
      session = received;
    });
    socket.on('error', () => {
      session = undefined;
    });
    return socket;
  };
}
