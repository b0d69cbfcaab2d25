import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { HttpProxy } from '../platform/proxy.ts';

/** The connections to one LiveKit. */
export interface Agents {
  /** Keeps connections for the next request. */
  readonly kept: HttpAgent;
  /** A connection of its own, for one request. */
  fresh(): HttpAgent;
}

/** As long as Node's own agents keep a connection that is not used. */
const KEPT_MS = 5_000;

/** @param proxy what leads there; null for the direct way */
export function agentsFor(url: string, proxy: HttpProxy | null): Agents {
  const Agent = url.startsWith('https:') ? HttpsAgent : HttpAgent;
  const proxyEnv = proxy && { HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url, NO_PROXY: proxy.except };
  const way = proxyEnv === null ? {} : { proxyEnv };
  return {
    kept: new Agent({ ...way, keepAlive: true, scheduling: 'lifo', timeout: KEPT_MS }),
    fresh: () => new Agent(way),
  };
}
