import { randomBytes, randomUUIDv7 } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createHttpServer } from '../http/server.ts';
import { createRoomService } from '../livekit/room-service.ts';
import { circuitBreaker } from '../livekit/transport/circuit-breaker.ts';
import { rateLimit } from '../livekit/transport/rate-limit.ts';
import { withRequestMetrics } from '../livekit/transport/request-metrics.ts';
import { httpTransport } from '../livekit/transport/twirp.ts';
import { createWebhookParser } from '../livekit/webhook-parser.ts';
import { instrumentStore } from '../metrics/instrument-store.ts';
import { prometheusMetrics } from '../metrics/prometheus.ts';
import { checkReadiness } from '../operations/health/check-readiness.ts';
import { systemClock } from '../platform/clock.ts';
import type { LiveKitAddress, Settings, SettingsError } from '../platform/config.ts';
import { trustSystemCertificates } from '../platform/system-ca.ts';
import type { Store } from '../ports/store.ts';
import type { Clock, Logger, Random } from '../ports/system.ts';
import { createReconciler } from '../reconciler/reconciler.ts';
import { openServerStore } from '../store/open-store.ts';
import { assertBindable, bindLiveKit, type LiveKitBinding } from './livekit-binding.ts';

/** How long stopping waits for what is in hand; then connections are closed, and LiveKit is asked no more. */
const PATIENCE_MS = 10_000;
/** Where nobody asks /readyz, the log says all the same that the database takes no write, or is not there any more. */
const LOOKS_EVERY_MS = 60_000;

export { systemClock };

export const systemRandom: Random = {
  fraction: () => Math.random(),
  bytes: (count) => randomBytes(count),
  id: (prefix) => `${prefix}_${randomUUIDv7().replaceAll('-', '')}`,
};

export interface App {
  /** Where it listens: http://HOST:PORT. */
  readonly url: string;
  readonly store: Store;
  /** Resolves when it must not serve any more, with why. */
  readonly lost: Promise<SettingsError>;
  /** Answers what it has begun to answer, settles what it has begun to delete, closes the database. */
  stop(): Promise<void>;
}

/**
 * The whole service, wired and listening.
 * @param livekit where the settings name none, the built-in emulator
 * @throws DatabaseError, SettingsError when the database is not for the emulator, or the listen error of node:net
 */
export async function startApp({
  settings,
  livekit,
  log,
  version,
  clock = systemClock,
  random = systemRandom,
}: {
  settings: Settings;
  livekit: LiveKitAddress;
  log: Logger;
  version: string;
  clock?: Clock;
  random?: Random;
}): Promise<App> {
  trustSystemCertificates(livekit.url);
  assertBindable(settings);
  const store = await openServerStore(settings.databaseFile, {
    clock,
    onMigrating: (migrations) =>
      log.info({ migrations }, 'the database is brought up to date; a big one takes minutes'),
    onLate: (method, durationMs) =>
      log.warn({ method, durationMs }, 'a write that took too long, and was answered 503, is done after all'),
  });
  try {
    // Read alone, it could serve, and cancel nothing.
    await store.checkWritable();
  } catch (error) {
    await store.close();
    throw error;
  }
  const metrics = prometheusMetrics({ clock, version });
  const recorded = instrumentStore(store, metrics);
  const closing = new AbortController();
  const breaker = circuitBreaker(withRequestMetrics(httpTransport(livekit, closing.signal), metrics), {
    clock,
    log,
    onRecovered: (downMs) => reconciler.livekitIsBack(downMs),
  });
  const transport = rateLimit(breaker.transport, {
    requestsPerMinute: settings.requestsPerMinute,
    onQueueLength: (length) => metrics.livekitRequestsQueued(length),
    shutdown: closing.signal,
  });
  const base = {
    store: recorded,
    rooms: createRoomService(transport),
    metrics,
    clock,
    random,
    log,
    retry: settings.retry,
    cancelTimeoutMs: settings.cancelTimeoutMs,
    backgroundTimeoutMs: settings.backgroundTimeoutMs,
    readTimeoutMs: settings.readTimeoutMs,
    callStartTimeoutMs: settings.callStartTimeoutMs,
    requestsPerMinute: settings.requestsPerMinute,
    retention: settings.retention,
    events: {
      policy: {
        agentLeftGraceMs: settings.agentLeftGraceMs,
        reconnectGraceMs: settings.reconnectGraceMs,
        recreatedRoomWindowMs: settings.recreatedRoomWindowMs,
      },
      agentIdKey: settings.agentIdKey,
    },
  };
  let isStopping = false;
  const reconciler = createReconciler(base, {
    concurrency: settings.retryConcurrency,
    reconcileSchedule: settings.reconcileSchedule,
    awaySince: breaker.openSince,
  });
  const { server, sayLast, atRest } = createHttpServer({
    dependencies: { ...base, nudge: (at) => reconciler.nudge(at) },
    readWebhook: createWebhookParser([livekit, ...settings.webhookKeys], clock),
    watched: {
      scrape: () => metrics.scrape({ takeCensus: () => recorded.countLive(), isLiveKitUp: breaker.isUp() }),
      isLiveKitUp: breaker.isUp,
    },
    isStopping: () => isStopping,
    keepAliveTimeoutMs: settings.keepAliveTimeoutMs,
    trustedProxies: settings.trustedProxies,
    log,
    version,
  });
  let claim: LiveKitBinding | undefined;
  const looking = setInterval(() => void checkReadiness(base), LOOKS_EVERY_MS);
  const closeServer = async () => {
    if (server.listening) {
      const closed = once(server, 'close');
      server.close();
      // One that is busy now is idle later, and would keep the server open until its keep-alive ends.
      const sweep = setInterval(() => server.closeIdleConnections(), 20);
      await closed;
      clearInterval(sweep);
    }
    await atRest();
  };
  const stop = async () => {
    isStopping = true;
    clearInterval(looking);
    claim?.release();
    sayLast();
    const cut = setTimeout(() => {
      server.closeAllConnections();
      closing.abort();
    }, PATIENCE_MS);
    await Promise.all([closeServer(), reconciler.stop()]);
    clearTimeout(cut);
    await store.close();
  };
  try {
    server.listen(settings.port, settings.host);
    await once(server, 'listening');
    // Before the first request is read, and not for a start whose port is taken.
    claim = await bindLiveKit(store, settings, { clock, log });
  } catch (error) {
    await stop();
    throw error;
  }
  // Not before: one whose port is taken must not ask LiveKit for anything.
  reconciler.begin();
  const { port } = server.address() as AddressInfo;
  const host = settings.host.includes(':') ? `[${settings.host}]` : settings.host;
  return { url: `http://${host}:${port}`, store, lost: claim.lost, stop };
}
