import { fileURLToPath } from 'node:url';
import { z } from 'zod';

/* The forms of settings' values. */

const WHITE_SPACE = /[\s\p{C}]/u;
const QUOTE_AT_AN_END = /^["'`\p{Pi}\p{Pf}]|["'`\p{Pi}\p{Pf}]$/u;

/** As it is sent to LiveKit: what was pasted with it makes LiveKit refuse each request, hours later perhaps. */
export const isCredential = (text: string) => !WHITE_SPACE.test(text) && !QUOTE_AT_AN_END.test(text);
export const credential = z
  .string()
  .refine(isCredential, 'expected without white space and line ends in it, and without quotes around it')
  .optional();

// LiveKit's own tools take ws(s) and http(s); its API is asked over http(s), at the root of the host.
export const livekitUrl = z
  .string()
  .refine((text) => {
    // It would drop white space at the ends, and line ends everywhere.
    const url = WHITE_SPACE.test(text) ? null : URL.parse(text);
    if (url === null || !/^(wss?|https?):$/.test(url.protocol)) return false;
    return url.pathname === '/' && !url.username && !url.password && !url.search && !url.hash;
  }, 'expected a URL such as wss://livekit.example.com (ws, wss, http or https, without a path)')
  .transform((text) => new URL(text).href.replace(/^ws/, 'http').replace(/\/$/, ''));

export const databaseFile = z.string().transform((text, context) => {
  const path = databasePath(text);
  if (path !== null) return path;
  context.addIssue({
    code: 'custom',
    message: 'expected file:PATH, such as file:data/hangup.db or file:///var/lib/hangup/hangup.db',
  });
  return z.NEVER;
});

function databasePath(text: string): string | null {
  // A file whose name ends with a space or a quote is not the one that is meant.
  if (text.trim() !== text || /\p{Cc}/u.test(text) || QUOTE_AT_AN_END.test(text)) return null;
  // file://data/hangup.db is a host called data, and :memory: SQLite keeps nowhere.
  if (!/^file:(\/\/(?=\/)|(?!\/\/|:memory:))[^?#]+$/.test(text)) return null;
  try {
    const path = text.startsWith('file:///') ? fileURLToPath(text) : text.slice('file:'.length);
    return path.includes('\0') ? null : path;
  } catch {
    // An encoded / is in no path.
    return null;
  }
}

export const webhookKeys = z
  .string()
  .regex(
    /^[^:,\s]+:[^:,\s]+(,[^:,\s]+:[^:,\s]+)*$/,
    'expected key:secret, or several of them with commas between',
  )
  .refine(
    (text) => text.split(/[:,]/).every(isCredential),
    'expected keys and secrets without quotes around them',
  )
  .transform((text) =>
    text.split(',').map((pair) => {
      const [apiKey = '', apiSecret = ''] = pair.split(':');
      return { apiKey, apiSecret };
    }),
  );

const addressRange = z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()], {
  error: 'expected addresses or CIDR ranges with commas between, such as 127.0.0.1,10.0.0.0/8',
});
export const addressRanges = z
  .string()
  .transform((text) => text.split(',').map((part) => part.trim()))
  .pipe(z.array(addressRange));

export function whole(min: number, max: number) {
  const expected = `expected a whole number from ${min} to ${max}`;
  return z
    .string()
    .regex(/^\d{1,15}$/, expected)
    .transform(Number)
    .refine((value) => value >= min && value <= max, expected);
}
