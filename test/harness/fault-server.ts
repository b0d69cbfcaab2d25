import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';

/** Handles one request: answers it, or breaks the connection. */
export type Fault = (response: ServerResponse, request: IncomingMessage) => void;

export interface ReceivedRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export interface FaultServer {
  readonly url: string;
  readonly requests: readonly ReceivedRequest[];
}

/** Starts a server whose first request meets the first fault, and so on. The last fault repeats. */
export async function startFaultServer(...faults: [Fault, ...Fault[]]): Promise<FaultServer> {
  const requests: ReceivedRequest[] = [];
  const server = createServer(async (request, response) => {
    const body = await text(request);
    const { method = '', url = '', headers } = request;
    requests.push({ method, url, headers, body });
    const fault = faults[Math.min(requests.length, faults.length) - 1];
    fault?.(response, request);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, requests };
}

export function json(status: number, body: unknown, headers: Record<string, string> = {}): Fault {
  return (response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
  };
}

export function html(status: number, headers: Record<string, string> = {}): Fault {
  return (response) => {
    response.writeHead(status, { 'content-type': 'text/html', ...headers }).end('<html>Bad gateway</html>');
  };
}

export function empty(status: number, headers: Record<string, string> = {}): Fault {
  return (response) => {
    response.writeHead(status, headers).end();
  };
}

/** Never answers. */
export const hang: Fault = () => {};

/** Sends the head only. */
export const hangAfterHead: Fault = (response) => {
  response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
};

/** Closes the connection without a response. */
export const disconnect: Fault = (response) => {
  response.destroy();
};

/** Resets the connection in the middle of the body. */
export const disconnectInBody: Fault = (response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
  response.write('{"data":{"id":"x"', () => response.destroy());
};
