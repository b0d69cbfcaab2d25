import { once } from 'node:events';
import type { Server } from 'node:http';
import type { Reconciler } from '../reconciler/reconciler.ts';

/** After this time the shutdown closes open connections and aborts requests to LiveKit. */
const SHUTDOWN_TIMEOUT_MS = 10_000;
const IDLE_SWEEP_INTERVAL_MS = 20;

/**
 * Stops accepting connections, then completes open requests and deletion attempts.
 * @param draining makes the server answer new requests with 503 and close their connections
 * @param requestAbort aborts the requests to LiveKit when the time is up
 */
export async function shutDown({
  server,
  whenIdle,
  draining,
  requestAbort,
  reconciler,
}: {
  server: Server;
  whenIdle: () => Promise<void>;
  draining: AbortController;
  requestAbort: AbortController;
  reconciler: Pick<Reconciler, 'stop'>;
}): Promise<void> {
  draining.abort();
  const forceCloseTimer = setTimeout(() => {
    server.closeAllConnections();
    requestAbort.abort();
  }, SHUTDOWN_TIMEOUT_MS);
  const closed = closeServer(server, whenIdle);
  await Promise.all([closed, reconciler.stop(closed)]);
  clearTimeout(forceCloseTimer);
}

async function closeServer(server: Server, whenIdle: () => Promise<void>): Promise<void> {
  if (server.listening) {
    const closed = once(server, 'close');
    server.close();
    // A connection that becomes idle after close() would keep the server open until its keep-alive timeout.
    const idleSweep = setInterval(() => server.closeIdleConnections(), IDLE_SWEEP_INTERVAL_MS);
    await closed;
    clearInterval(idleSweep);
  }
  await whenIdle();
}
