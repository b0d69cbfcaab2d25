import { validate } from 'node-cron';
import { z } from 'zod';
import type { HttpProxy } from '../ports/livekit.ts';
import { PROXY_EXPECTED, proxyTo } from './proxy.ts';
import {
  addressRanges,
  credential,
  databaseFile,
  isCredential,
  livekitUrl,
  webhookKeys,
  whole,
} from './setting-schemas.ts';

/** Some settings are wrong; the message names each of them and what is expected, and holds no value. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(['Settings are wrong:', ...problems.map((problem) => `  ${problem}`)].join('\n'));
    this.problems = problems;
  }
}

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

/** Every setting there is. The README's table is this, and a test keeps it so. */
const SETTINGS = {
  LIVEKIT_URL: {
    schema: livekitUrl.optional(),
    meaning: 'Your LiveKit server (ws, wss, http or https). Unset: the built-in emulator',
  },
  LIVEKIT_API_KEY: {
    schema: credential,
    meaning: 'API key of that server; needed with LIVEKIT_URL',
  },
  LIVEKIT_API_SECRET: {
    schema: credential,
    meaning: 'Secret of that key; needed with LIVEKIT_URL',
  },
  DATABASE_URL: {
    schema: databaseFile,
    default: 'file:data/hangup.db',
    meaning: 'The SQLite file, made if absent',
  },
  HOST: {
    schema: z.string().regex(/^[A-Za-z0-9.:_-]+$/, 'expected a host name or an IP address'),
    default: '127.0.0.1',
    meaning: 'Address to listen on',
  },
  PORT: { schema: whole(0, 65_535), default: '8080', meaning: 'Port to listen on; 0 takes a free one' },
  KEEP_ALIVE_TIMEOUT_MS: {
    schema: whole(1_000, 3_600_000),
    default: '75000',
    meaning: 'Idle connections stay open this long: longer than those of a load balancer in front',
  },
  TRUSTED_PROXIES: {
    schema: addressRanges.optional(),
    meaning:
      'Proxies in front, as addresses and CIDR ranges with commas between: their `X-Forwarded-For` gives the address in the log',
  },
  LOG_LEVEL: {
    schema: z.enum(LOG_LEVELS, { error: `expected one of ${LOG_LEVELS.join(', ')}` }),
    default: 'info',
    meaning: LOG_LEVELS.join(', '),
  },
  NODE_ENV: {
    schema: z.string().regex(/^[\w.-]+$/, 'expected a word such as production, without quotes around it'),
    default: 'development',
    meaning: 'Only `development` and `test` start on the emulator; `production` needs LIVEKIT_URL',
  },
  LIVEKIT_WEBHOOK_KEYS: {
    schema: webhookKeys.optional(),
    meaning: "More keys that may sign LiveKit's webhooks, as `key:secret,key:secret`: to rotate keys",
  },
  LIVEKIT_REQUEST_TIMEOUT_MS: {
    schema: whole(100, 4_000),
    default: '2500',
    meaning: 'Deadline of the room deletion inside a cancel; its client waits for it',
  },
  LIVEKIT_BACKGROUND_TIMEOUT_MS: {
    schema: whole(100, 60_000),
    default: '10000',
    meaning: 'Deadline of a room deletion in the background (LiveKit takes 3 s to say that a node is dead)',
  },
  LIVEKIT_READ_TIMEOUT_MS: {
    schema: whole(50, 4_000),
    default: '500',
    meaning: 'Deadline of asking LiveKit who is in the room, when a live call is read',
  },
  RETRY_FIRST_DELAY_MS: {
    schema: whole(10, 60_000),
    default: '1000',
    meaning: 'Wait before a failed room deletion is tried again; doubles with each attempt',
  },
  RETRY_MAX_DELAY_MS: {
    schema: whole(10, 3_600_000),
    default: '60000',
    meaning: 'Longest wait between two attempts',
  },
  RETRY_MAX_AGE_MS: {
    schema: whole(1_000, 2_592_000_000),
    default: '86400000',
    meaning: 'A room deletion this old is given up, loudly (24 h)',
  },
  AGENT_LEFT_GRACE_MS: {
    schema: whole(0, 3_600_000),
    default: '30000',
    meaning: 'A phone that was left alone is hung up after this; 0 leaves it on the line',
  },
  CONNECTION_LOST_GRACE_MS: {
    schema: whole(0, 3_600_000),
    default: '25000',
    meaning: 'A participant who left or lost the connection may return for this long before the call ends',
  },
  ROOM_GUARD_MS: {
    schema: whole(0, 2_592_000_000),
    default: '86400000',
    meaning:
      "For this long an ended call's room is guarded against its own participants (24 h: the life of a SIP token)",
  },
  ADOPT_AGENT_ID_KEY: {
    schema: z.string().regex(/^[\w.-]{1,64}$/, 'expected 1 to 64 of A-Z a-z 0-9 _ - .'),
    default: 'agentId',
    meaning: "Key of the room's JSON metadata that names the agent of an adopted call",
  },
  COMPARE_SCHEDULE: {
    schema: z.string().refine(
      // One of five fields is by minutes: what is meant as seconds would be 60 times as long.
      (text) => text.trim().split(/\s+/).length === 6 && validate(text),
      'expected a cron expression of six fields, with seconds first, such as */15 * * * * *',
    ),
    default: '*/15 * * * * *',
    meaning: "When LiveKit's rooms are compared with the calls: a cron expression with seconds, in UTC",
  },
  NEVER_STARTED_AFTER_MS: {
    schema: whole(1_000, 31_536_000_000),
    default: '86400000',
    meaning:
      'A call whose room was never seen fails this long after `scheduledAt`, or its registration (24 h)',
  },
  LIVEKIT_REQUESTS_PER_MINUTE: {
    schema: whole(0, 1_000_000),
    default: '0',
    meaning: 'Limit of all requests to LiveKit, cancels first; 0: none (LiveKit Cloud allows about 1000)',
  },
  KEEP_ENDED_CALLS_DAYS: {
    schema: whole(0, 36_500),
    default: '0',
    meaning: 'Ended calls are deleted after this, when their room is known to be gone; 0 keeps them for ever',
  },
  KEEP_AUDIT_DAYS: {
    schema: whole(0, 36_500),
    default: '0',
    meaning: 'Who did what is forgotten after this; 0 keeps it for ever',
  },
  KEEP_EVENT_IDS_HOURS: {
    schema: whole(1, 87_600),
    default: '48',
    meaning: 'How long hangup keeps event ids to recognize repeated webhooks',
  },
  HANGUP_URL: {
    schema: z
      .url({ protocol: /^https?$/, error: 'expected a URL such as https://hangup.example.com' })
      .regex(
        /^https?:\/\/[^/?#@]+(\/[^/?#]+)*\/?$/i,
        'expected a URL such as https://hangup.example.com, without user, password, query and fragment',
      )
      .refine((text) => !/\/api(\/v1)?\/?$/.test(text), 'expected the URL in front of /api/v1'),
    default: 'http://127.0.0.1:8080',
    meaning: 'For `hangup calls`: where the server is',
  },
  HANGUP_API_KEY: {
    schema: z
      .string()
      .regex(/^[\x21-\x7e]+$/, 'expected one API key, without spaces or line ends')
      .refine(isCredential, 'expected one API key, without quotes around it')
      .optional(),
    meaning: 'For `hangup calls`: an API key',
  },
  RETRY_CONCURRENCY: {
    schema: whole(1, 256),
    default: '16',
    meaning: 'Room deletions tried at once in the background',
  },
} as const satisfies Record<string, { schema: z.ZodType; default?: string; meaning: string }>;

type Name = keyof typeof SETTINGS;
type Values = { readonly [N in Name]: z.output<(typeof SETTINGS)[N]['schema']> };

export interface LiveKitAddress {
  /** http or https, without a slash at the end. */
  readonly url: string;
  readonly apiKey: string;
  readonly apiSecret: string;
  /** The HTTP proxy that leads there; null when there is none on the way. */
  readonly proxy?: HttpProxy | null;
}

export interface Settings {
  /** Null: run on the built-in emulator. */
  readonly livekit: LiveKitAddress | null;
  readonly databaseFile: string;
  readonly host: string;
  readonly port: number;
  readonly keepAliveTimeoutMs: number;
  /** Addresses and CIDR ranges. */
  readonly trustedProxies: readonly string[];
  readonly logLevel: (typeof LOG_LEVELS)[number];
  readonly cancelTimeoutMs: number;
  readonly backgroundTimeoutMs: number;
  readonly readTimeoutMs: number;
  readonly retry: { readonly initialDelayMs: number; readonly maxDelayMs: number; readonly maxAgeMs: number };
  readonly retryConcurrency: number;
  /** Besides LiveKit's own. */
  readonly webhookKeys: readonly { readonly apiKey: string; readonly apiSecret: string }[];
  readonly agentLeftGraceMs: number;
  readonly reconnectGraceMs: number;
  readonly recreatedRoomWindowMs: number;
  readonly agentIdKey: string;
  readonly reconcileSchedule: string;
  readonly callStartTimeoutMs: number;
  /** 0: no limit. */
  readonly requestsPerMinute: number;
  /** Null: for ever. */
  readonly retention: {
    readonly endedCallsMs: number | null;
    readonly auditMs: number | null;
    readonly eventIdsMs: number;
  };
  /** For clients of a running server. */
  readonly client: {
    readonly url: string;
    readonly apiKey: string | null;
    readonly proxy: HttpProxy | null;
  };
}

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * @param purpose only serving calls for a LiveKit of one's own in production; keys are made without one.
 * @throws SettingsError that names all mistakes at once.
 */
export function parseSettings(environment: Environment, purpose: 'serve' | 'administer'): Settings {
  const problems: string[] = [];
  const values = Object.fromEntries(
    Object.entries(SETTINGS).map(([name, setting]) => {
      // What compose files and systemd units leave empty is unset.
      const text = environment[name] || ('default' in setting ? setting.default : undefined);
      const result = setting.schema.safeParse(text);
      if (!result.success) problems.push(`${name}: ${result.error.issues[0]?.message}`);
      return [name, result.data];
    }),
  ) as Values;
  problems.push(...contradictions(values, environment, purpose));
  const proxy = proxyTo(values.LIVEKIT_URL, environment);
  const clientProxy = proxyTo(values.HANGUP_URL, environment);
  if (proxy === 'wrong' || clientProxy === 'wrong') problems.push(PROXY_EXPECTED);
  if (problems.length > 0) throw new SettingsError(problems);
  return {
    livekit: livekitAddress(values, proxy),
    databaseFile: values.DATABASE_URL,
    host: values.HOST,
    port: values.PORT,
    keepAliveTimeoutMs: values.KEEP_ALIVE_TIMEOUT_MS,
    trustedProxies: values.TRUSTED_PROXIES ?? [],
    logLevel: values.LOG_LEVEL,
    cancelTimeoutMs: values.LIVEKIT_REQUEST_TIMEOUT_MS,
    backgroundTimeoutMs: values.LIVEKIT_BACKGROUND_TIMEOUT_MS,
    readTimeoutMs: values.LIVEKIT_READ_TIMEOUT_MS,
    retry: {
      initialDelayMs: values.RETRY_FIRST_DELAY_MS,
      maxDelayMs: values.RETRY_MAX_DELAY_MS,
      maxAgeMs: values.RETRY_MAX_AGE_MS,
    },
    retryConcurrency: values.RETRY_CONCURRENCY,
    webhookKeys: values.LIVEKIT_WEBHOOK_KEYS ?? [],
    agentLeftGraceMs: values.AGENT_LEFT_GRACE_MS,
    reconnectGraceMs: values.CONNECTION_LOST_GRACE_MS,
    recreatedRoomWindowMs: values.ROOM_GUARD_MS,
    agentIdKey: values.ADOPT_AGENT_ID_KEY,
    reconcileSchedule: values.COMPARE_SCHEDULE,
    callStartTimeoutMs: values.NEVER_STARTED_AFTER_MS,
    requestsPerMinute: values.LIVEKIT_REQUESTS_PER_MINUTE,
    retention: {
      endedCallsMs: daysMs(values.KEEP_ENDED_CALLS_DAYS),
      auditMs: daysMs(values.KEEP_AUDIT_DAYS),
      eventIdsMs: values.KEEP_EVENT_IDS_HOURS * 3_600_000,
    },
    client: {
      url: values.HANGUP_URL.replace(/\/$/, ''),
      apiKey: values.HANGUP_API_KEY ?? null,
      proxy: clientProxy === 'wrong' ? null : clientProxy,
    },
  };
}

function daysMs(days: number): number | null {
  return days === 0 ? null : days * 86_400_000;
}

function livekitAddress(values: Values, proxy: HttpProxy | null | 'wrong'): LiveKitAddress | null {
  const { LIVEKIT_URL: url, LIVEKIT_API_KEY: apiKey, LIVEKIT_API_SECRET: apiSecret } = values;
  return url && apiKey && apiSecret && proxy !== 'wrong' ? { url, apiKey, apiSecret, proxy } : null;
}

function contradictions(values: Values, environment: Environment, purpose: 'serve' | 'administer'): string[] {
  const problems: string[] = [];
  const credentials = ['LIVEKIT_API_KEY', 'LIVEKIT_API_SECRET'] as const;
  if (environment.LIVEKIT_URL) {
    for (const name of credentials) {
      if (!environment[name])
        problems.push(`${name}: expected with LIVEKIT_URL: a key of your LiveKit server`);
    }
  } else {
    for (const name of credentials) {
      if (environment[name])
        problems.push(`LIVEKIT_URL: expected with ${name}: the server that the key is for`);
    }
    // Also with `prod` and `staging`: who sets it means a server of theirs.
    if (!['development', 'test'].includes(values.NODE_ENV) && purpose === 'serve') {
      problems.push(
        'LIVEKIT_URL: expected unless NODE_ENV is development or test: elsewhere hangup does not run on its built-in emulator',
      );
    }
  }
  if (values.RETRY_MAX_DELAY_MS < values.RETRY_FIRST_DELAY_MS) {
    problems.push('RETRY_MAX_DELAY_MS: expected at least RETRY_FIRST_DELAY_MS');
  }
  return problems;
}

/** What systemd tells a service of Type=notify; null for what it did not start. */
export function readSystemd({ NOTIFY_SOCKET, WATCHDOG_USEC }: Environment): {
  readonly notifySocket: string;
  readonly watchdogMs: number | null;
} | null {
  if (!NOTIFY_SOCKET) return null;
  const watchdogMs = Number(WATCHDOG_USEC) / 1_000;
  return { notifySocket: NOTIFY_SOCKET, watchdogMs: watchdogMs > 0 ? watchdogMs : null };
}

/** What the README's table says of each setting. */
export function describeSettings(): { name: string; byDefault: string; meaning: string }[] {
  return Object.entries(SETTINGS).map(([name, setting]) => ({
    name,
    byDefault: 'default' in setting ? setting.default : '',
    meaning: setting.meaning,
  }));
}
