import type { LiveKitServer } from '../../ports/livekit.ts';
import { createDirectClient } from './direct-client.ts';
import { createProxiedClient } from './proxied-client.ts';
import type { ResponseHead } from './response-parser.ts';

/** Sends requests to one server, without following redirects. */
export interface HttpClient {
  post(request: PostRequest): HttpExchange;
}

export interface PostRequest {
  /** After the URL of the server. */
  readonly path: string;
  readonly authorization: string;
  readonly contentType: string;
  readonly body: string | Uint8Array;
}

/** A request in flight. */
export interface HttpExchange {
  /** Rejects with the network error, or with the error of the abort. */
  readonly response: Promise<HttpResponse>;
  /** Closes the connection, and fails the response and its body. Without effect when the response is read to its end. */
  abort(error: Error): void;
}

export interface HttpResponse extends ResponseHead {
  /** For one reader. Throws the network error, or the error of the abort. */
  readonly body: AsyncIterable<Uint8Array>;
}

/** Creates the client of a LiveKit server. Only requests through a proxy use node:http. */
export function createHttpClient({ url, proxy = null }: LiveKitServer): HttpClient {
  return proxy === null ? createDirectClient(url) : createProxiedClient(url, proxy);
}
