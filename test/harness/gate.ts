import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

export interface GateRequest {
  readonly path: string;
  readonly body: string;
}

/**
 * Starts a server that forwards each request to another server; returns its URL.
 * @param pass holds a request until the promise resolves, by which a test orders events
 */
export async function startGate(
  targetUrl: string,
  pass: (request: GateRequest) => Promise<void>,
): Promise<string> {
  const server = createServer(async (incoming, response) => {
    const path = incoming.url ?? '/';
    const body = Buffer.concat(await incoming.toArray());
    await pass({ path, body: body.toString() });
    const { method, headers } = incoming;
    request(new URL(path, targetUrl), { method, headers, agent: false }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    })
      .on('error', () => response.destroy())
      .end(body);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
