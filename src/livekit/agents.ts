import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { HttpProxy } from '../ports/livekit.ts';

/** The connections to one LiveKit server. */
export interface Agents {
  /** Reuses connections. */
  readonly keepAlive: HttpAgent;
  /** Creates an agent that opens one new connection. */
  fresh(): HttpAgent;
}

/** The default of Node's own agents. */
const KEEP_ALIVE_TIMEOUT_MS = 5_000;

/** Returns the agents for a server. @param proxy null: direct connections */
export function agentsFor(url: string, proxy: HttpProxy | null): Agents {
  const Agent = url.startsWith('https:') ? HttpsAgent : HttpAgent;
  const proxyEnv = proxy && { HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url, NO_PROXY: proxy.noProxy };
  const options = proxyEnv === null ? {} : { proxyEnv };
  return {
    keepAlive: new Agent({ ...options, keepAlive: true, scheduling: 'lifo', timeout: KEEP_ALIVE_TIMEOUT_MS }),
    fresh: () => new Agent(options),
  };
}
