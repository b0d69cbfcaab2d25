import { once } from 'node:events';
import { Agent, createServer, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { z } from 'zod';

/** One request to LiveKit. Times are Unix milliseconds. */
export interface RecordedRequest {
  /** The process that sent the request. */
  readonly sender: string;
  readonly method: string;
  /** Name of the one room that the request concerns; null: the request concerns no room or all rooms. */
  readonly room: string | null;
  readonly arrivedAt: number;
  /** The end of the response or of its connection; Infinity before. */
  endedAt: number;
}

/** hangup sends JSON, except for ListParticipants. */
const Body = z.object({ room: z.string().optional(), names: z.array(z.string()).optional() });

/**
 * Starts the HTTP proxy of one process, which forwards each request to `targetUrl`, whatever its host is. Returns the URL.
 * @param onRequest receives each request, and holds it until the promise resolves
 */
export async function startRecordingProxy(
  targetUrl: string,
  sender: string,
  onRequest: (recorded: RecordedRequest) => Promise<void>,
): Promise<string> {
  const agent = new Agent({ keepAlive: true });
  const server = createServer(async (incoming, response) => {
    const arrivedAt = Date.now();
    const { pathname } = new URL(incoming.url ?? '/', targetUrl);
    const body = Buffer.concat(await incoming.toArray());
    const recorded: RecordedRequest = {
      sender,
      method: pathname.split('/').at(-1) ?? '',
      room: roomOf(body, incoming.headers['content-type']),
      arrivedAt,
      endedAt: Infinity,
    };
    response.once('close', () => {
      recorded.endedAt = Date.now();
    });
    await onRequest(recorded);
    const { method, headers } = incoming;
    const { 'proxy-connection': _, connection: __, ...forwarded } = headers;
    forward(new URL(pathname, targetUrl), { method, headers: forwarded, agent }, body, response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
    agent.destroy();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function forward(
  url: URL,
  options: Parameters<typeof request>[1],
  body: Buffer,
  response: ServerResponse,
): void {
  request(url, options, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.on('error', () => response.destroy());
    answer.pipe(response);
  })
    .on('error', () => response.destroy())
    .end(body);
}

function roomOf(body: Buffer, contentType = ''): string | null {
  if (!contentType.startsWith('application/json')) return null;
  const { room, names } = Body.parse(JSON.parse(body.toString()));
  return room ?? names?.[0] ?? null;
}
