import { formatServers, previousServer } from '../../domain/livekit-servers.ts';
import { WEBHOOK_CLOCK_TOLERANCE_S } from '../../domain/webhook-refusal.ts';
import type { Finding, LiveKitFacts } from '../diagnosis.ts';

/** By the Date header, which has whole seconds. */
const CLOCK_NOISE_MS = 3_000;
/** A webhook that is signed further ahead is refused: its token is not valid yet. */
const AHEAD_AT_MOST_MS = WEBHOOK_CLOCK_TOLERANCE_S * 1000;
/** LiveKit refuses a token that is signed further ahead of its clock than this (measured on 1.13.5). */
const BEHIND_AT_MOST_MS = 60_000;
/** The token of a webhook that is signed further behind has expired: LiveKit gives it 5 minutes. */
const EXPIRED_BEHIND_MS = 300_000 + WEBHOOK_CLOCK_TOLERANCE_S * 1000;

/**
 * @param facts null when no LiveKit is set
 * @param servers that the database was served with, by their URL
 */
export function judgeLiveKit(
  url: string,
  facts: LiveKitFacts | null,
  servers: readonly string[] = [],
): Finding[] {
  const check = 'livekit';
  if (facts === null) {
    if (servers.length > 0) {
      return [
        {
          check,
          level: 'failure',
          message: `LIVEKIT_URL is not set, and the database has the calls of ${formatServers(servers)}: hangup does not run on its built-in emulator with it`,
          advice: 'set LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET',
        },
      ];
    }
    return [
      {
        check,
        level: 'warning',
        message:
          'LIVEKIT_URL is not set: hangup runs on its built-in emulator, and no real call is ever cancelled',
        advice: 'set LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET',
      },
    ];
  }
  if (facts.kind === 'unreachable') {
    return [
      {
        check,
        level: 'failure',
        message: `${url} does not answer: ${facts.detail}`,
        advice: 'check LIVEKIT_URL, and that LiveKit runs and is reached from here',
      },
    ];
  }
  const { verdict, clockAheadMs } = facts;
  if (verdict.kind === 'no_livekit') {
    return [
      {
        check,
        level: 'failure',
        message: `what answers at ${url} is no LiveKit server (HTTP ${verdict.status})`,
        advice: 'check LIVEKIT_URL',
      },
    ];
  }
  const before = previousServer(url, servers);
  return [
    before === null
      ? { check, level: 'ok', message: `${url} answers` }
      : {
          check,
          level: 'warning',
          message: `${url} answers, and the database was last served with ${before}: live calls whose rooms are there would end`,
          advice: 'check LIVEKIT_URL and DATABASE_URL, unless it is another name of the same LiveKit',
        },
    judgeCredentials(verdict, clockAheadMs),
    judgeClock(clockAheadMs),
    {
      check: 'version',
      level: 'unknown',
      message: 'LiveKit tells its version only to those who join a room, which the doctor does not',
    },
  ];
}

function judgeCredentials(
  verdict: Exclude<Extract<LiveKitFacts, { kind: 'answered' }>['verdict'], { kind: 'no_livekit' }>,
  clockAheadMs: number | null,
): Finding {
  const check = 'credentials';
  if (verdict.kind === 'accepted') return { check, level: 'ok', message: 'LiveKit takes key and secret' };
  // It looks at the key first, and at what is signed then: the secret may be right.
  if (verdict.by === 'token' && Math.abs(clockAheadMs ?? 0) > BEHIND_AT_MOST_MS) {
    return {
      check,
      level: 'unknown',
      message: 'LiveKit knows the key; it takes nothing that is signed at a time so far from its own',
    };
  }
  return verdict.by === 'key'
    ? {
        check,
        level: 'failure',
        message: 'LiveKit does not know the key',
        advice: 'set LIVEKIT_API_KEY to one of the `keys` of your LiveKit server, or add it there',
      }
    : {
        check,
        level: 'failure',
        message: 'LiveKit does not take what is signed with the secret',
        advice:
          'check that LIVEKIT_API_SECRET is the secret of LIVEKIT_API_KEY; if it is, compare the clocks',
      };
}

function judgeClock(aheadMs: number | null): Finding {
  const check = 'clock';
  if (aheadMs === null) {
    return {
      check,
      level: 'unknown',
      message: 'the answer of LiveKit has no Date header, so its clock cannot be told from here',
    };
  }
  const seconds = Math.round(Math.abs(aheadMs) / 1000);
  // A proxy writes the header anew.
  const source = 'by the Date header of its answer, which is that of a proxy where there is one';
  if (Math.abs(aheadMs) <= CLOCK_NOISE_MS) {
    return {
      check,
      level: 'ok',
      message: `LiveKit's is this one's, within ${CLOCK_NOISE_MS / 1000} s (${source})`,
    };
  }
  const message = `LiveKit's is ${seconds} s ${aheadMs > 0 ? 'ahead' : 'behind'} (${source})`;
  const advice = 'set both clocks by NTP';
  if (aheadMs > AHEAD_AT_MOST_MS) {
    return {
      check,
      level: 'failure',
      message: `${message}: its webhooks are refused (clock_skew), because they are not valid yet`,
      advice,
    };
  }
  if (aheadMs <= -EXPIRED_BEHIND_MS) {
    return {
      check,
      level: 'failure',
      message: `${message}: it refuses our tokens, which are not valid yet, and its webhooks are refused (clock_skew), because they have expired`,
      advice,
    };
  }
  if (aheadMs < -BEHIND_AT_MOST_MS) {
    return {
      check,
      level: 'failure',
      message: `${message}: it refuses our tokens, for they are not valid yet`,
      advice,
    };
  }
  return { check, level: 'warning', message, advice };
}
