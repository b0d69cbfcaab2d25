import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import type { HttpProxy } from '../../ports/livekit.ts';
import type { HttpClient, HttpResponse, PostRequest } from './http-client.ts';
import type { ResponseHeaders } from './response-parser.ts';

/** The default of Node's own agents. */
const KEEP_ALIVE_TIMEOUT_MS = 5_000;

/** Creates a client with node:http, which implements proxies, tunnels through them, and NO_PROXY. */
export function createProxiedClient(serverUrl: string, proxy: HttpProxy): HttpClient {
  const isTls = serverUrl.startsWith('https:');
  const Agent = isTls ? HttpsAgent : HttpAgent;
  const send = isTls ? requestHttps : requestHttp;
  const proxyEnv = { HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url, NO_PROXY: proxy.noProxy };
  const keepAliveAgent = new Agent({
    proxyEnv,
    keepAlive: true,
    scheduling: 'lifo',
    timeout: KEEP_ALIVE_TIMEOUT_MS,
  });

  return {
    post({ path, authorization, contentType, body }: PostRequest) {
      const url = new URL(serverUrl + path);
      const headers = { authorization, 'content-type': contentType };
      const { promise, resolve, reject } = Promise.withResolvers<HttpResponse>();
      let message: IncomingMessage | null = null;
      let isAborted = false;
      let destroy: (error: Error) => void = () => {};

      const attempt = (agent: HttpAgent) => {
        const request = send(url, { agent, method: 'POST', headers }, (response) => {
          message = response.on('error', () => {});
          resolve(toResponse(response));
        });
        destroy = (error) => void request.destroy(error);
        request.on('error', (error) => {
          // The server may have closed an idle connection. RoomService requests are safe to repeat.
          if (request.reusedSocket && !isAborted) attempt(new Agent({ proxyEnv }));
          else reject(error);
        });
        // Node detaches an upgraded connection from the request: neither a response nor the abort would end the wait.
        request.on('upgrade', (_, socket) => {
          socket.destroy();
          reject(new Error('the response is a protocol upgrade (HTTP 101)'));
        });
        request.end(body);
      };
      attempt(keepAliveAgent);

      return {
        response: promise,
        abort(error) {
          isAborted = true;
          // Node does not report the abort in every state of a connection.
          reject(error);
          if (message === null) destroy(error);
          else message.destroy(error);
        },
      };
    },
  };
}

function toResponse(message: IncomingMessage): HttpResponse {
  const headers: ResponseHeaders = Object.fromEntries(
    Object.entries(message.headers).map(([name, value]) => [name, String(value)]),
  );
  return { status: message.statusCode ?? 0, headers, body: message };
}
