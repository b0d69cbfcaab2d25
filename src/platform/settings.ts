import { validate } from 'node-cron';
import { z } from 'zod';
import { databaseAddress } from './database-address.ts';
import {
  addressRanges,
  credential,
  hangupApiKey,
  hangupUrl,
  integer,
  livekitUrl,
  origins,
  webhookKeys,
} from './setting-schemas.ts';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

/** All settings. A test compares this table with docs/configure.md. */
export const SETTINGS = {
  LIVEKIT_URL: {
    schema: livekitUrl.optional(),
    description:
      'Your LiveKit server (ws, wss, http or https). If unset, hangup starts its built-in emulator',
  },
  LIVEKIT_API_KEY: {
    schema: credential,
    description: 'API key of your LiveKit server; required with LIVEKIT_URL',
  },
  LIVEKIT_API_SECRET: {
    schema: credential,
    description: 'Secret of LIVEKIT_API_KEY; required with LIVEKIT_URL',
  },
  DATABASE_URL: {
    schema: databaseAddress,
    default: 'file:data/hangup.db',
    description: 'SQLite database file, created if missing; or the URL of a Postgres database',
  },
  HOST: {
    schema: z.string().regex(/^[A-Za-z0-9.:_-]+$/, 'expected a host name or an IP address'),
    default: '127.0.0.1',
    description: 'Address to listen on',
  },
  PORT: {
    schema: integer(0, 65_535),
    default: '8080',
    description: 'Port to listen on; 0 selects a free port',
  },
  KEEP_ALIVE_TIMEOUT_MS: {
    schema: integer(1_000, 3_600_000),
    default: '75000',
    description:
      'How long idle connections stay open; must be longer than the idle timeout of a load balancer in front of hangup',
  },
  SHUTDOWN_DELAY_MS: {
    schema: integer(0, 15_000),
    default: '0',
    description:
      'How long hangup serves after a signal to stop, with 503 at `/readyz`: the time in which a load balancer takes it out',
  },
  TRUSTED_PROXIES: {
    schema: addressRanges.optional(),
    description:
      'Reverse proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` hangup reads, for the log, RATE_LIMIT_ANONYMOUS and the console: IP addresses and CIDR ranges, separated by commas',
  },
  CORS_ORIGINS: {
    schema: origins.optional(),
    description:
      'Web origins whose pages may use the API, separated by commas, such as `https://app.example.com`; or `*`, every origin',
  },
  RATE_LIMIT_CALLS: {
    schema: integer(0, 1_000_000_000),
    default: '600',
    description:
      'Requests per API key and 60 s, except cancels, retries of room deletions, cancellations and the read of the key itself; 0: no limit',
  },
  RATE_LIMIT_CANCELS: {
    schema: integer(0, 1_000_000_000),
    default: '6000',
    description: 'Cancels of single calls and retries of room deletions, per API key and 60 s; 0: no limit',
  },
  RATE_LIMIT_ANONYMOUS: {
    schema: integer(0, 1_000_000_000),
    default: '60',
    description: 'Requests without a valid API key per address and 60 s; 0: no limit',
  },
  LOG_LEVEL: {
    schema: z.enum(LOG_LEVELS, { error: `expected one of ${LOG_LEVELS.join(', ')}` }),
    default: 'info',
    description: `Lowest level in the log: ${LOG_LEVELS.join(', ')}`,
  },
  NODE_ENV: {
    schema: z.string().regex(/^[\w.-]+$/, 'expected a word such as production, without quotes'),
    default: 'development',
    description: 'Only `development` and `test` can start the emulator; other values require LIVEKIT_URL',
  },
  LIVEKIT_WEBHOOK_KEYS: {
    schema: webhookKeys.optional(),
    description:
      "Additional keys that may sign LiveKit's webhooks, as `key:secret,key:secret`; for key rotation",
  },
  LIVEKIT_CANCEL_TIMEOUT_MS: {
    schema: integer(100, 4_000),
    default: '2500',
    description: 'How long a cancel request waits for LiveKit to delete the room',
  },
  LIVEKIT_BACKGROUND_TIMEOUT_MS: {
    schema: integer(100, 60_000),
    default: '10000',
    description:
      'Timeout of a background request to LiveKit; above 3000, because LiveKit reports a dead node after 3 s',
  },
  LIVEKIT_READ_TIMEOUT_MS: {
    schema: integer(50, 4_000),
    default: '500',
    description: "How long a read of a live call waits for the room's participants",
  },
  RETRY_INITIAL_DELAY_MS: {
    schema: integer(10, 60_000),
    default: '1000',
    description: 'Delay before the first retry of a room deletion; doubles with each attempt',
  },
  RETRY_MAX_DELAY_MS: {
    schema: integer(10, 3_600_000),
    default: '60000',
    description: 'Longest delay between two attempts; at least RETRY_INITIAL_DELAY_MS',
  },
  RETRY_MAX_AGE_MS: {
    schema: integer(1_000, 2_592_000_000),
    default: '86400000',
    description: 'Stop retrying a room deletion after this time, and log an error (24 h)',
  },
  AGENT_LEFT_GRACE_MS: {
    schema: integer(0, 3_600_000),
    default: '30000',
    description: 'How long a phone that was left alone stays on the line before the call ends; 0: no limit',
  },
  RECONNECT_GRACE_MS: {
    schema: integer(0, 3_600_000),
    default: '25000',
    description: 'How long a participant who left or lost the connection has to return before the call ends',
  },
  RECREATED_ROOM_WINDOW_MS: {
    schema: integer(0, 2_592_000_000),
    default: '86400000',
    description:
      'For how long after a call ends hangup deletes a room that its participants recreate (24 h: lifetime of a SIP token)',
  },
  ADOPT_AGENT_ID_KEY: {
    schema: z.string().regex(/^[\w.-]{1,64}$/, 'expected 1 to 64 of A-Z a-z 0-9 _ - .'),
    default: 'agentId',
    description: "Key in the room's JSON metadata that contains the agent id of an adopted call",
  },
  RECONCILE_SCHEDULE: {
    schema: z.string().refine(
      // node-cron accepts five fields as minutes, which would make the interval 60 times as long.
      (text) => text.trim().split(/\s+/).length === 6 && validate(text),
      'expected a cron expression with six fields, seconds first, such as */15 * * * * *',
    ),
    default: '*/15 * * * * *',
    description: "When calls are reconciled with LiveKit's rooms: a cron expression with seconds, in UTC",
  },
  CALL_START_TIMEOUT_MS: {
    schema: integer(1_000, 31_536_000_000),
    default: '86400000',
    description:
      'A call whose room never appeared fails this long after `scheduledAt`, or after its registration (24 h)',
  },
  LIVEKIT_REQUESTS_PER_MINUTE: {
    schema: integer(0, 1_000_000),
    default: '0',
    description:
      'Maximum number of requests to LiveKit per minute, cancels first; 0: no limit (LiveKit Cloud allows about 1000)',
  },
  CALL_RETENTION_DAYS: {
    schema: integer(0, 36_500),
    default: '0',
    description: 'Delete ended calls after this many days, unless their rooms may still exist; 0: no limit',
  },
  AUDIT_RETENTION_DAYS: {
    schema: integer(0, 36_500),
    default: '0',
    description: 'Delete audit entries after this many days; 0: no limit',
  },
  EVENT_DEDUP_HOURS: {
    schema: integer(1, 87_600),
    default: '48',
    description: 'How long to keep LiveKit event ids for deduplication',
  },
  HANGUP_URL: {
    schema: hangupUrl,
    default: 'http://127.0.0.1:8080',
    description: 'URL of the server, for `hangup calls`, `hangup stop` and `hangup mcp`',
  },
  HANGUP_API_KEY: {
    schema: hangupApiKey.optional(),
    description: 'API key, for `hangup calls`, `hangup stop` and `hangup mcp`',
  },
  RETRY_CONCURRENCY: {
    schema: integer(1, 256),
    default: '16',
    description:
      'How many room deletions run at once in the background; at least 64 while an emergency stop cancels calls, and then at least 128',
  },
} as const satisfies Record<string, { schema: z.ZodType; default?: string; description: string }>;
