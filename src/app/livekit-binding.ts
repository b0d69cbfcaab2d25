import { formatServers, previousServer } from '../domain/livekit-servers.ts';
import { type Settings, SettingsError } from '../platform/config.ts';
import { describeDatabase } from '../platform/database-address.ts';
import type { LiveKitServerStore } from '../ports/store.ts';
import type { Clock, Logger } from '../ports/system.ts';
import { readLiveKitServers } from '../store/open-store.ts';

/** Much shorter than the time after which a missing room ends its call. */
const CHECK_INTERVAL_MS = 1_000;

/** The record in the database of the LiveKit that this process uses. */
export interface LiveKitBinding {
  /** Resolves if this process runs on the emulator and another process serves the database with a real LiveKit. */
  readonly conflict: Promise<SettingsError>;
  release(): void;
}

type BindingSettings = Pick<Settings, 'livekit' | 'database'>;

/**
 * Refuses the emulator on a database that has served a real LiveKit, because the emulator would end its calls. Call this
 * before opening the database, which would migrate an older one.
 * @throws SettingsError, DatabaseError
 */
export async function assertBindable(
  settings: BindingSettings,
  options: Parameters<typeof readLiveKitServers>[1],
): Promise<void> {
  if (settings.livekit !== null) return;
  const servers = await readLiveKitServers(settings.database, options);
  if (servers.length > 0) throw bindingError(settings, servers);
}

/** Records the LiveKit and watches for a different one. Call this when the server listens. @throws the store's errors */
export async function bindLiveKit(
  store: LiveKitServerStore,
  settings: BindingSettings,
  { clock, log }: { clock: Clock; log: Logger },
): Promise<LiveKitBinding> {
  const conflict = Promise.withResolvers<SettingsError>();
  const { livekit } = settings;
  if (livekit !== null) {
    const previousUrl = previousServer(livekit.url, await store.listLiveKitServers());
    if (previousUrl !== null) {
      log.warn(
        { livekit: livekit.url, previousUrl },
        'this database was used with a different LIVEKIT_URL; live calls without a room on this LiveKit will end',
      );
    }
    await store.recordLiveKitServer({ url: livekit.url, now: clock.now() });
  }
  let conflictingUrl: string | null = null;
  const checkBinding = async () => {
    if (livekit === null) {
      const servers = await store.listLiveKitServers();
      if (servers.length > 0) conflict.resolve(bindingError(settings, servers));
      return;
    }
    const latestUrl = previousServer(livekit.url, await store.listLiveKitServers());
    if (latestUrl !== null && latestUrl !== conflictingUrl) {
      log.error(
        { livekit: livekit.url, conflictingUrl: latestUrl },
        "another hangup process uses this database with a different LIVEKIT_URL; each ends the other's calls: stop one of them",
      );
    }
    conflictingUrl = latestUrl;
  };
  // Errors are ignored, because the readiness check logs that the database cannot be used.
  const timer = setInterval(() => void checkBinding().catch(() => {}), CHECK_INTERVAL_MS);
  return { conflict: conflict.promise, release: () => clearInterval(timer) };
}

function bindingError({ database }: BindingSettings, servers: readonly string[]): SettingsError {
  return new SettingsError([
    `LIVEKIT_URL: required, because ${describeDatabase(database)} contains calls of ${formatServers(servers)}, which the built-in emulator would end. To try hangup, set DATABASE_URL to another ${database.kind === 'sqlite' ? 'file' : 'database'}`,
  ]);
}
