import type { z } from 'zod';
import type { HttpProxy, LiveKitKeyPair, LiveKitServer } from '../ports/livekit.ts';
import type { DatabaseAddress } from './database-address.ts';
import type { EnvironmentVariables } from './environment-variables.ts';
import { PROXY_EXPECTED, proxyFor } from './proxy.ts';
import { RENAMED_SETTINGS, withCurrentNames } from './renamed-settings.ts';
import { rangeOf } from './setting-schemas.ts';
import { type LOG_LEVELS, SETTINGS } from './settings.ts';

/**
 * Lists every invalid setting with the expected value. The message contains no values except origins, because values may
 * be secrets.
 */
export class SettingsError extends Error {
  override readonly name = 'SettingsError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(['Invalid settings:', ...problems.map((problem) => `  ${problem}`)].join('\n'));
    this.problems = problems;
  }
}

type Name = keyof typeof SETTINGS;
type Values = { readonly [N in Name]: z.output<(typeof SETTINGS)[N]['schema']> };

export interface Settings {
  /** Null: start the built-in emulator. */
  readonly livekit: LiveKitServer | null;
  readonly database: DatabaseAddress;
  readonly host: string;
  readonly port: number;
  readonly keepAliveTimeoutMs: number;
  readonly shutdownDelayMs: number;
  /** IP addresses and CIDR ranges. */
  readonly trustedProxies: readonly string[];
  /** Exact origins; or `*`, every origin. */
  readonly corsOrigins: readonly string[];
  /** Requests per 60 s; 0: no limit. */
  readonly rateLimits: {
    readonly calls: number;
    readonly cancels: number;
    readonly anonymous: number;
  };
  readonly logLevel: (typeof LOG_LEVELS)[number];
  /** In addition to LiveKit's own key. */
  readonly webhookKeys: readonly LiveKitKeyPair[];
  /** A part of the operations' dependencies. */
  readonly operations: {
    readonly cancelTimeoutMs: number;
    readonly backgroundTimeoutMs: number;
    readonly readTimeoutMs: number;
    readonly retry: {
      readonly initialDelayMs: number;
      readonly maxDelayMs: number;
      readonly maxAgeMs: number;
    };
    readonly callStartTimeoutMs: number;
    /** 0: no limit. */
    readonly requestsPerMinute: number;
    /** Null: no limit. */
    readonly retention: {
      readonly endedCallsMs: number | null;
      readonly auditMs: number | null;
      readonly eventIdsMs: number;
    };
    readonly callSettings: {
      readonly policy: {
        readonly agentLeftGraceMs: number;
        readonly reconnectGraceMs: number;
        readonly recreatedRoomWindowMs: number;
      };
      readonly agentIdKey: string;
    };
  };
  readonly reconciler: { readonly concurrency: number; readonly reconcileSchedule: string };
  /** For the commands that call a running server. */
  readonly client: {
    readonly url: string;
    readonly apiKey: string | null;
    readonly proxy: HttpProxy | null;
  };
}

/**
 * Returns the settings of an environment. An empty variable counts as unset.
 * @param mode only a server requires LIVEKIT_URL in production
 * @throws SettingsError that lists all problems
 */
export function parseSettings(rawEnvironment: EnvironmentVariables, mode: 'server' | 'cli'): Settings {
  const { environment, conflicts } = withCurrentNames(rawEnvironment);
  const problems = [...conflicts];
  const values = Object.fromEntries(
    Object.entries(SETTINGS).map(([name, setting]) => {
      // Compose files and systemd units set variables to empty strings.
      const text = environment[name] || ('default' in setting ? setting.default : undefined);
      const result = setting.schema.safeParse(text);
      if (!result.success)
        problems.push(`${givenName(name, rawEnvironment)}: ${result.error.issues[0]?.message}`);
      return [name, result.data];
    }),
  ) as Values;
  problems.push(...crossFieldProblems(values, environment, mode));
  const proxy = proxyFor(values.LIVEKIT_URL, environment);
  const clientProxy = proxyFor(values.HANGUP_URL, environment);
  if (proxy === 'invalid' || clientProxy === 'invalid') problems.push(PROXY_EXPECTED);
  if (problems.length > 0) throw new SettingsError(problems);
  return {
    livekit: livekitAddress(values, proxy),
    database: values.DATABASE_URL,
    host: values.HOST,
    port: values.PORT,
    keepAliveTimeoutMs: values.KEEP_ALIVE_TIMEOUT_MS,
    shutdownDelayMs: values.SHUTDOWN_DELAY_MS,
    trustedProxies: values.TRUSTED_PROXIES ?? [],
    corsOrigins: values.CORS_ORIGINS ?? [],
    rateLimits: {
      calls: values.RATE_LIMIT_CALLS,
      cancels: values.RATE_LIMIT_CANCELS,
      anonymous: values.RATE_LIMIT_ANONYMOUS,
    },
    logLevel: values.LOG_LEVEL,
    webhookKeys: values.LIVEKIT_WEBHOOK_KEYS ?? [],
    operations: {
      cancelTimeoutMs: values.LIVEKIT_CANCEL_TIMEOUT_MS,
      backgroundTimeoutMs: values.LIVEKIT_BACKGROUND_TIMEOUT_MS,
      readTimeoutMs: values.LIVEKIT_READ_TIMEOUT_MS,
      retry: {
        initialDelayMs: values.RETRY_INITIAL_DELAY_MS,
        maxDelayMs: values.RETRY_MAX_DELAY_MS,
        maxAgeMs: values.RETRY_MAX_AGE_MS,
      },
      callStartTimeoutMs: values.CALL_START_TIMEOUT_MS,
      requestsPerMinute: values.LIVEKIT_REQUESTS_PER_MINUTE,
      retention: {
        endedCallsMs: daysToMs(values.CALL_RETENTION_DAYS),
        auditMs: daysToMs(values.AUDIT_RETENTION_DAYS),
        eventIdsMs: values.EVENT_DEDUP_HOURS * 3_600_000,
      },
      callSettings: {
        policy: {
          agentLeftGraceMs: values.AGENT_LEFT_GRACE_MS,
          reconnectGraceMs: values.RECONNECT_GRACE_MS,
          recreatedRoomWindowMs: values.RECREATED_ROOM_WINDOW_MS,
        },
        agentIdKey: values.ADOPT_AGENT_ID_KEY,
      },
    },
    reconciler: { concurrency: values.RETRY_CONCURRENCY, reconcileSchedule: values.RECONCILE_SCHEDULE },
    client: {
      url: values.HANGUP_URL.replace(/\/$/, ''),
      apiKey: values.HANGUP_API_KEY ?? null,
      proxy: clientProxy === 'invalid' ? null : clientProxy,
    },
  };
}

/** Returns the name of a setting in the environment, which may be its old name. */
function givenName(name: string, rawEnvironment: EnvironmentVariables): string {
  const oldName = [...RENAMED_SETTINGS].find(([, newName]) => newName === name)?.[0];
  return oldName !== undefined && rawEnvironment[oldName] && !rawEnvironment[name] ? oldName : name;
}

function daysToMs(days: number): number | null {
  return days === 0 ? null : days * 86_400_000;
}

function livekitAddress(values: Values, proxy: ReturnType<typeof proxyFor>): LiveKitServer | null {
  const { LIVEKIT_URL: url, LIVEKIT_API_KEY: apiKey, LIVEKIT_API_SECRET: apiSecret } = values;
  return url && apiKey && apiSecret && proxy !== 'invalid' ? { url, apiKey, apiSecret, proxy } : null;
}

function crossFieldProblems(
  values: Values,
  environment: EnvironmentVariables,
  mode: 'server' | 'cli',
): string[] {
  const problems: string[] = [];
  const credentials = ['LIVEKIT_API_KEY', 'LIVEKIT_API_SECRET'] as const;
  if (environment.LIVEKIT_URL) {
    for (const name of credentials) {
      if (!environment[name])
        problems.push(`${name}: required with LIVEKIT_URL; take it from your LiveKit server's configuration`);
    }
  } else {
    for (const name of credentials) {
      if (environment[name])
        problems.push(`LIVEKIT_URL: required with ${name}; set it to the server of that key`);
    }
    // Values such as `prod` and `staging` also mean a real server.
    if (!['development', 'test'].includes(values.NODE_ENV) && mode === 'server') {
      problems.push(
        'LIVEKIT_URL: required unless NODE_ENV is development or test, because only these start the built-in emulator',
      );
    }
  }
  if (values.RETRY_MAX_DELAY_MS < values.RETRY_INITIAL_DELAY_MS) {
    problems.push('RETRY_MAX_DELAY_MS: expected at least RETRY_INITIAL_DELAY_MS');
  }
  return problems;
}

/** Returns the rows of the table in docs/configure.md. A cell without a value is empty. */
export function describeSettings(): { name: string; default: string; range: string; description: string }[] {
  return Object.entries(SETTINGS).map(([name, setting]) => {
    const range = rangeOf(setting.schema);
    return {
      name,
      default: 'default' in setting ? setting.default : '',
      range: range === null ? '' : `${range.min} to ${range.max}`,
      description: setting.description,
    };
  });
}
