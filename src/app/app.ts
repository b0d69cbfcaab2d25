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
import { createEventFeed } from '../operations/events/event-feed.ts';
import { checkReadiness } from '../operations/health/check-readiness.ts';
import { readRedoc, storeThread } from '../platform/assets.ts';
import { systemClock, systemRandom, systemTimers } from '../platform/clock.ts';
import type { Settings, SettingsError } from '../platform/config.ts';
import { useUtcTimeZone } from '../platform/environment.ts';
import { trustSystemCertificates } from '../platform/system-ca.ts';
import type { LiveKitServer } from '../ports/livekit.ts';
import type { Store } from '../ports/store.ts';
import type { Clock, Logger, Random, Timers } from '../ports/system.ts';
import { createReconciler } from '../reconciler/reconciler.ts';
import { createScheduler, type Scheduler } from '../reconciler/scheduler.ts';
import { openServerStore } from '../store/open-store.ts';
import { assertBindable, bindLiveKit, type LiveKitBinding } from './livekit-binding.ts';
import { shutDown } from './shutdown.ts';

/** This check logs that the database is unusable, also without requests for /readyz. */
const READINESS_CHECK_INTERVAL_MS = 60_000;

export interface App {
  /** The listening address: http://HOST:PORT. */
  readonly url: string;
  readonly store: Store;
  /** Resolves with the reason when another process takes the database over with a real LiveKit. The caller must stop. */
  readonly conflict: Promise<SettingsError>;
  /** Completes open requests and deletion attempts, then closes the database. */
  stop(): Promise<void>;
}

/**
 * Starts the complete service, and returns after its server listens.
 * @param livekit the LiveKit of the settings, or else the built-in emulator
 * @throws DatabaseError, SettingsError if the database must not run on the emulator, or the listen error of node:net
 */
export async function startApp({
  settings,
  livekit,
  log,
  version,
  clock = systemClock,
  random = systemRandom,
  timers = systemTimers,
  scheduler = createScheduler(clock),
  thread = storeThread(),
}: {
  settings: Settings;
  livekit: LiveKitServer;
  log: Logger;
  version: string;
  clock?: Clock;
  random?: Random;
  timers?: Timers;
  scheduler?: Scheduler;
  thread?: ReturnType<typeof storeThread>;
}): Promise<App> {
  // The scheduler requires UTC.
  useUtcTimeZone();
  trustSystemCertificates(livekit.url);
  await assertBindable(settings);
  const store = await openServerStore(settings.database, {
    clock,
    thread,
    onMigrating: (migrations) =>
      log.info({ migrations }, 'migrating the database; a large one takes minutes'),
    onLate: (method, durationMs) =>
      log.warn({ method, durationMs }, 'slow write committed after its request was answered 503'),
  });
  try {
    // On a read-only database hangup would start but could not cancel calls.
    await store.checkWritable();
  } catch (error) {
    await store.close();
    throw error;
  }
  const metrics = prometheusMetrics({ clock, version });
  const instrumentedStore = instrumentStore(store, metrics);
  const requestAbort = new AbortController();
  const breaker = circuitBreaker(
    withRequestMetrics(httpTransport(livekit, { clock, shutdown: requestAbort.signal }), metrics),
    {
      clock,
      log,
      onOpened: () => reconciler.onLiveKitUnreachable(),
      onRecovered: (downMs) => reconciler.onLiveKitRecovered(downMs),
    },
  );
  const { transport, setPart } = rateLimit(breaker.transport, {
    requestsPerMinute: settings.operations.requestsPerMinute,
    onQueueLength: (length) => metrics.livekitRequestsQueued(length),
    shutdown: requestAbort.signal,
  });
  // Until the first heartbeat, the other processes on the database may use the complete limit.
  setPart(0);
  const dependencies = {
    store: instrumentedStore,
    rooms: createRoomService(transport),
    metrics,
    clock,
    timers,
    random,
    eventFeed: createEventFeed({ store: instrumentedStore, timers }),
    log,
    ...settings.operations,
  };
  const draining = new AbortController();
  const reconciler = createReconciler(dependencies, {
    ...settings.reconciler,
    openSince: breaker.openSince,
    scheduler,
    onRatePart: setPart,
  });
  const { server, whenIdle } = createHttpServer({
    dependencies: {
      ...dependencies,
      nudge: (at) => reconciler.nudge(at),
      onCancellation: () => reconciler.onCancellation(),
    },
    parseWebhook: createWebhookParser([livekit, ...settings.webhookKeys], clock),
    healthSources: {
      scrape: () =>
        metrics.scrape({
          countLive: () => instrumentedStore.countLive(),
          isLiveKitUp: breaker.isUp(),
          connections: store.countConnections(),
        }),
      isLiveKitUp: breaker.isUp,
      countConnections: store.countConnections,
    },
    draining: draining.signal,
    keepAliveTimeoutMs: settings.keepAliveTimeoutMs,
    trustedProxies: settings.trustedProxies,
    corsOrigins: settings.corsOrigins,
    rateLimits: {
      quotas: settings.rateLimits,
      limiters: {
        calls: store.createRateLimiter('calls'),
        cancels: store.createRateLimiter('cancels'),
        anonymous: store.createRateLimiter('anonymous'),
      },
    },
    version,
    readRedoc,
  });
  let binding: LiveKitBinding | undefined;
  const readinessTimer = setInterval(() => void checkReadiness(dependencies), READINESS_CHECK_INTERVAL_MS);
  const stop = async () => {
    clearInterval(readinessTimer);
    binding?.release();
    await shutDown({ server, whenIdle, draining, requestAbort, reconciler });
    await store.close();
  };
  try {
    server.listen(settings.port, settings.host);
    await once(server, 'listening');
    // After listening, so that a start on a taken port binds nothing; before the first request is read.
    binding = await bindLiveKit(store, settings, { clock, log });
  } catch (error) {
    await stop();
    throw error;
  }
  // After listening, so that a start on a taken port sends nothing to LiveKit.
  reconciler.start();
  const { port } = server.address() as AddressInfo;
  const host = settings.host.includes(':') ? `[${settings.host}]` : settings.host;
  return { url: `http://${host}:${port}`, store, conflict: binding.conflict, stop };
}
