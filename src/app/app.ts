import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { createHttpServer } from '../http/server.ts';
import { createRoomService } from '../livekit/room-service.ts';
import { circuitBreaker } from '../livekit/transport/circuit-breaker.ts';
import { rateLimit } from '../livekit/transport/rate-limit.ts';
import { withRequestMetrics } from '../livekit/transport/request-metrics.ts';
import { httpTransport } from '../livekit/transport/twirp.ts';
import { createWebhookParser } from '../livekit/webhook-parser.ts';
import { instrumentStore } from '../metrics/instrument-store.ts';
import { prometheusMetrics } from '../metrics/prometheus.ts';
import { createTrafficMeter } from '../metrics/traffic.ts';
import { createEventFeed } from '../operations/events/event-feed.ts';
import { checkReadiness } from '../operations/health/check-readiness.ts';
import { readConsole, readRedoc, storeThread } from '../platform/assets.ts';
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
import { type RunDoctor, runDoctorProcess, startHealth } from './health.ts';
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
  /** Serves for `shutdownDelayMs`, then completes open requests and deletion attempts, and closes the database. */
  stop(): Promise<void>;
}

/**
 * Starts the complete service, and returns after its server listens.
 * @param livekit the LiveKit of the settings, or else the built-in emulator
 * @param sessionSecret signs the sessions of the console; the emulator's secret would end them at each restart
 * @throws DatabaseError, SettingsError if the database must not run on the emulator, or the listen error of node:net
 */
export async function startApp({
  settings,
  livekit,
  sessionSecret = livekit.apiSecret,
  log,
  version,
  clock = systemClock,
  random = systemRandom,
  timers = systemTimers,
  scheduler = createScheduler(clock),
  thread = storeThread(),
  runDoctor = runDoctorProcess,
}: {
  settings: Settings;
  livekit: LiveKitServer;
  sessionSecret?: string;
  log: Logger;
  version: string;
  clock?: Clock;
  random?: Random;
  timers?: Timers;
  scheduler?: Scheduler;
  thread?: ReturnType<typeof storeThread>;
  runDoctor?: RunDoctor;
}): Promise<App> {
  // The scheduler requires UTC.
  useUtcTimeZone();
  trustSystemCertificates(livekit.url);
  const onWaiting = (cause: string) => log.warn({ cause }, 'waiting up to 30 s for the database');
  await assertBindable(settings, { onWaiting });
  const store = await openServerStore(settings.database, {
    clock,
    timers,
    thread,
    onWaiting,
    onMigrating: (migrations) =>
      log.info({ migrations }, 'migrating the database; a large one takes minutes'),
    onLate: (method, durationMs) =>
      log.warn({ method, durationMs }, 'slow write committed after its request was answered 503'),
    onNotListening: (err) =>
      log.warn({ err }, 'cannot listen for events of other processes; event streams only poll meanwhile'),
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
  const traffic = createTrafficMeter();
  const requestAbort = new AbortController();
  const breaker = circuitBreaker(
    withRequestMetrics(
      httpTransport(livekit, { clock, shutdown: requestAbort.signal }),
      traffic.observe(metrics),
    ),
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
    eventFeed: createEventFeed({ store: instrumentedStore, timers, watchEvents: store.watchEvents }),
    log,
    ...settings.operations,
  };
  const { health, stop: stopRecording } = startHealth({
    store: instrumentedStore,
    clock,
    timers,
    traffic,
    runDoctor,
    version,
    storeKind: settings.database.kind,
    isLiveKitUp: breaker.isUp,
    liveKitSince: breaker.since,
  });
  const stopping = new AbortController();
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
      health,
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
    sessionSecret,
    stopping: stopping.signal,
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
    readConsole,
  });
  server.on('request', traffic.countRequest);
  let binding: LiveKitBinding | undefined;
  const readinessTimer = setInterval(() => void checkReadiness(dependencies), READINESS_CHECK_INTERVAL_MS);
  const stop = async () => {
    stopping.abort();
    if (server.listening && settings.shutdownDelayMs > 0) await delay(settings.shutdownDelayMs);
    clearInterval(readinessTimer);
    stopRecording();
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
