import { badRequest } from './errors.ts';
import { plainText } from './validators.ts';

/*
 * Characters in the header, as in a regular expression's set: a header cannot contain characters beyond U+00FF, and HTTP
 * removes the spaces at its ends.
 */
const IN_QUOTES = String.raw`\x20\x21\x23-\x5B\x5D-\x7E\xA0-\xFF`;
const ANYWHERE = String.raw`\x20-\x7E\xA0-\xFF`;
const AT_AN_END = String.raw`\x21\x23-\x7E\xA0-\xFF`;

/** The input of every mutation that a client may repeat under one key. The OpenAPI document shows the header. */
export const idempotencyKey = plainText(255).meta({
  description:
    'A key of 1 to 255 characters, alone or in double quotes. A request that repeats the key of an earlier request gets the first response again, for 24 h, with the header `idempotent-replayed: true`. The same key with another request gets 422.',
  examples: ['5f0c1d2e-register'],
  override: {
    type: 'string',
    pattern: `^(?:"(?:[${IN_QUOTES}]|\\\\["\\\\]){1,255}"|[${AT_AN_END}](?:[${ANYWHERE}]{0,253}[${AT_AN_END}])?)$`,
    maxLength: 512,
  },
});

/** For `Rest.headers`. The header is the key, or the key as a quoted string. */
export const IDEMPOTENCY_HEADERS = { 'idempotency-key': 'idempotencyKey' } as const;

/** The response header of a replay. */
export const REPLAYED_HEADER = 'idempotent-replayed';

/** A string of RFC 8941, which draft 07 of the Idempotency-Key header requires. */
const QUOTED = /^"((?:[^"\\]|\\["\\])*)"$/;

/**
 * Returns the key in an Idempotency-Key header: `abc` and `"abc"` are the same key.
 * @throws TRPCError 400
 */
export function parseIdempotencyKey(header: string): string {
  const quoted = QUOTED.exec(header)?.[1];
  if (quoted === undefined && /^"|"$/.test(header)) {
    throw badRequest('Idempotency-Key: expected the key alone, or in double quotes with \\" and \\\\ inside');
  }
  const parsed = idempotencyKey.safeParse(quoted?.replaceAll(/\\(["\\])/g, '$1') ?? header);
  if (!parsed.success) throw badRequest(`Idempotency-Key: ${parsed.error.issues[0]?.message}`);
  return parsed.data;
}
