import { formatServers, previousServer } from '../domain/livekit-servers.ts';
import { type Settings, SettingsError } from '../platform/config.ts';
import type { LiveKitServerStore } from '../ports/store.ts';
import type { Clock, Logger } from '../ports/system.ts';
import { readLiveKitServers } from '../store/open-store.ts';

/** Much sooner than a room is believed to be absent. */
const LOOKS_EVERY_MS = 1_000;

/** What a process that serves a database says in it of its LiveKit. */
export interface LiveKitBinding {
  /** Resolves when this process runs on the emulator and another begins to serve the database with a LiveKit: it must end. */
  readonly lost: Promise<SettingsError>;
  release(): void;
}

type Claimed = Pick<Settings, 'livekit' | 'databaseFile'>;

/**
 * Nobody may try hangup out on a database that people's calls are in. Call it before the database is opened, which would
 * bring an older one up to date.
 * @throws SettingsError
 */
export function assertBindable(settings: Claimed): void {
  if (settings.livekit !== null) return;
  const servers = readLiveKitServers(settings.databaseFile);
  if (servers.length > 0) throw refusal(settings, servers);
}

/** To be called when it serves, and not for a start that fails. @throws whatever the store does */
export async function bindLiveKit(
  store: LiveKitServerStore,
  settings: Claimed,
  { clock, log }: { clock: Clock; log: Logger },
): Promise<LiveKitBinding> {
  const lost = Promise.withResolvers<SettingsError>();
  const { livekit } = settings;
  if (livekit !== null) {
    const before = previousServer(livekit.url, await store.listLiveKitServers());
    if (before !== null) {
      log.warn(
        { livekit: livekit.url, before },
        'this database was served with another LiveKit before: live calls whose rooms this one does not have will end',
      );
    }
    await store.recordLiveKitServer({ url: livekit.url, now: clock.now() });
  }
  let other: string | null = null;
  const look = async () => {
    if (livekit === null) {
      const servers = await store.listLiveKitServers();
      if (servers.length > 0) lost.resolve(refusal(settings, servers));
      return;
    }
    const last = previousServer(livekit.url, await store.listLiveKitServers());
    if (last !== null && last !== other) {
      log.error(
        { livekit: livekit.url, other: last },
        "another hangup serves this database with another LiveKit: each ends the live calls of the other's; stop the wrong one",
      );
    }
    other = last;
  };
  // A database that cannot be read is told by who watches its readiness.
  const looking = setInterval(() => void look().catch(() => {}), LOOKS_EVERY_MS);
  return { lost: lost.promise, release: () => clearInterval(looking) };
}

function refusal({ databaseFile }: Claimed, servers: readonly string[]): SettingsError {
  return new SettingsError([
    `LIVEKIT_URL: expected, for ${databaseFile} has the calls of ${formatServers(servers)}, which the built-in emulator would end; to try hangup out, give DATABASE_URL another file`,
  ]);
}
