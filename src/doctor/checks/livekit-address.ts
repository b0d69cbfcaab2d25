import { formatServers, previousServer } from '../../domain/livekit-servers.ts';
import type { LiveKitFacts } from '../../ports/diagnostics.ts';
import type { Finding } from '../finding.ts';

/**
 * @param livekit null when LIVEKIT_URL is not set
 * @param servers URLs of the LiveKit servers that the database was used with, the latest first
 */
export function assessLiveKitAddress(
  livekit: { readonly url: string; readonly facts: LiveKitFacts } | null,
  servers: readonly string[],
): Finding {
  const check = 'livekit';
  if (livekit === null) {
    const advice = 'set LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET';
    return servers.length > 0
      ? {
          check,
          level: 'failure',
          message: `LIVEKIT_URL is not set, and the database has calls of ${formatServers(servers)}: hangup does not start its built-in emulator on this database`,
          advice,
        }
      : {
          check,
          level: 'warning',
          message: 'LIVEKIT_URL is not set: hangup uses its built-in emulator and cannot cancel real calls',
          advice,
        };
  }
  const { url, facts } = livekit;
  if (facts.kind === 'unreachable') {
    return {
      check,
      level: 'failure',
      message: `${url} does not respond: ${facts.detail}`,
      advice: 'check LIVEKIT_URL, and that LiveKit is running and reachable from this machine',
    };
  }
  if (facts.verdict.kind === 'not_livekit') {
    return {
      check,
      level: 'failure',
      message: `${url} is not a LiveKit server (HTTP ${facts.verdict.status})`,
      advice: 'check LIVEKIT_URL',
    };
  }
  const previous = previousServer(url, servers);
  if (previous === null) return { check, level: 'ok', message: `${url} responds` };
  return {
    check,
    level: 'warning',
    message: `${url} responds, but the database was last used with ${previous}: hangup would end the live calls of that server`,
    advice: 'check LIVEKIT_URL and DATABASE_URL, unless both addresses belong to the same LiveKit',
  };
}
