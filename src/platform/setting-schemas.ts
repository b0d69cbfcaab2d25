import { z } from 'zod';

/* Schemas of setting values. */

const WHITE_SPACE = /[\s\p{C}]/u;
const QUOTE_AT_AN_END = /^["'`\p{Pi}\p{Pf}]|["'`\p{Pi}\p{Pf}]$/u;

/** Rejects pasted white space and quotes: LiveKit would refuse each request, perhaps hours after the start. */
const isCredential = (text: string) => !WHITE_SPACE.test(text) && !QUOTE_AT_AN_END.test(text);
export const credential = z
  .string()
  .refine(isCredential, 'expected no white space, line breaks or surrounding quotes')
  .optional();

// LiveKit's own tools accept ws(s) and http(s). Its API is served over http(s), at the root of the host.
export const livekitUrl = z
  .string()
  .refine((text) => {
    // URL.parse drops white space at both ends, and line ends everywhere.
    const url = WHITE_SPACE.test(text) ? null : URL.parse(text);
    if (url === null || !/^(wss?|https?):$/.test(url.protocol)) return false;
    return url.pathname === '/' && !url.username && !url.password && !url.search && !url.hash;
  }, 'expected a URL such as wss://livekit.example.com (ws, wss, http or https, without a path)')
  .transform((text) => new URL(text).href.replace(/^ws/, 'http').replace(/\/$/, ''));

export const hangupUrl = z
  .url({ protocol: /^https?$/, error: 'expected a URL such as https://hangup.example.com' })
  .regex(
    /^https?:\/\/[^/?#@]+(\/[^/?#]+)*\/?$/i,
    'expected a URL such as https://hangup.example.com, without user, password, query and fragment',
  )
  .refine((text) => !/\/api(\/v1)?\/?$/.test(text), 'expected the URL without /api/v1');

export const hangupApiKey = z
  .string()
  .regex(/^[\x21-\x7e]+$/, 'expected one API key, without spaces or line breaks')
  .refine(isCredential, 'expected one API key, without quotes');

export const webhookKeys = z
  .string()
  .regex(/^[^:,\s]+:[^:,\s]+(,[^:,\s]+:[^:,\s]+)*$/, 'expected key:secret pairs, separated by commas')
  .refine((text) => text.split(/[:,]/).every(isCredential), 'expected keys and secrets without quotes')
  .transform((text) =>
    text.split(',').map((pair) => {
      const [apiKey = '', apiSecret = ''] = pair.split(':');
      return { apiKey, apiSecret };
    }),
  );

const addressRange = z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()], {
  error: 'expected IP addresses or CIDR ranges, separated by commas, such as 127.0.0.1,10.0.0.0/8',
});
export const addressRanges = z
  .string()
  .transform((text) => text.split(',').map((part) => part.trim()))
  .pipe(z.array(addressRange));

/** Accepts origins exactly as browsers send them: another spelling would never match. */
export const origins = z
  .string()
  .transform((text) => text.split(',').map((part) => part.trim()))
  .superRefine((parts, context) => {
    const isOnly = parts.length === 1;
    for (const part of parts.filter((one) => !(isOnly && one === '*') && !isOrigin(one))) {
      // A user and a password are secrets.
      const shown = JSON.stringify(part.replace(/\/\/.*@/, '//').slice(0, 100));
      context.addIssue(
        `expected origins as browsers send them, without user and password, separated by commas, such as https://app.example.com, or only *; found ${shown}`,
      );
    }
  });

function isOrigin(text: string): boolean {
  // A pattern such as https://*.example.com would match no origin.
  const url = WHITE_SPACE.test(text) || text.includes('*') ? null : URL.parse(text);
  if (url === null) return false;
  // URL has no origin for other schemes, such as capacitor://localhost of a mobile app.
  if (!/^https?:$/.test(url.protocol)) return /^[a-z][a-z\d+.-]*:\/\/[a-z\d.-]+(?::\d+)?$/.test(text);
  return url.origin === text;
}

/** Accepts decimal digits only: no sign, exponent or white space. */
export function integer(min: number, max: number) {
  const expected = `expected an integer from ${min} to ${max}`;
  return z
    .string()
    .regex(/^\d{1,15}$/, expected)
    .transform(Number)
    .pipe(z.number().min(min, expected).max(max, expected));
}

/** Returns the smallest and the largest value of an integer setting; null: a setting of another kind. */
export function rangeOf(schema: z.ZodType): { min: number; max: number } | null {
  const number = schema instanceof z.ZodPipe ? schema.out : null;
  if (!(number instanceof z.ZodNumber) || number.minValue === null || number.maxValue === null) return null;
  return { min: number.minValue, max: number.maxValue };
}
