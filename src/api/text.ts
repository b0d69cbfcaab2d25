import { z } from 'zod';

/* The patterns are in the OpenAPI document, so every engine must read them: no lookahead, no \p. */

const NO_CONTROLS = characters(String.raw`^\x00-\x1F\x7F-\x9F`);

/** The basic plane without characters that nobody sees: Unicode's Cc, Cs, Cf, Zl, Zp and Default_Ignorable_Code_Point. */
const VISIBLE = String.raw`\x20-\x7E\xA0-\xAC\xAE-\u034E\u0350-\u05FF\u0606-\u061B\u061D-\u06DC\u06DE-\u070E\u0710-\u088F\u0892-\u08E1\u08E3-\u115E\u1161-\u17B3\u17B6-\u180A\u1810-\u200A\u2010-\u2027\u202F-\u205F\u2070-\u3163\u3165-\uD7FF\uE000-\uFDFF\uFE10-\uFEFE\uFF00-\uFF9F\uFFA1-\uFFEF\uFFFC-\uFFFF`;
/** The same without white space. */
const INK = String.raw`\x21-\x7E\xA1-\xAC\xAE-\u034E\u0350-\u05FF\u0606-\u061B\u061D-\u06DC\u06DE-\u070E\u0710-\u088F\u0892-\u08E1\u08E3-\u115E\u1161-\u167F\u1681-\u17B3\u17B6-\u180A\u1810-\u1FFF\u2010-\u2027\u2030-\u205E\u2070-\u2FFF\u3001-\u3163\u3165-\uD7FF\uE000-\uFDFF\uFE10-\uFEFE\uFF00-\uFF9F\uFFA1-\uFFEF\uFFFC-\uFFFF`;
const PHONE_NUMBER = new RegExp(`^[${INK}]([${VISIBLE}]*[${INK}])?$`, 'u');

function characters(set: string): RegExp {
  return new RegExp(`^[${set}]*$`, 'u');
}

/** Characters are code points, as in JSON Schema: an emoji is one. */
function bounded(allowed: RegExp, problem: string | ((text: string) => string), maxLength: number) {
  return z
    .string()
    .min(1)
    .regex(allowed, {
      error: ({ input }) => (typeof problem === 'string' ? problem : problem(String(input))),
    })
    .refine((value) => value.isWellFormed(), 'must not contain half of a surrogate pair')
    .refine(
      (value) => value.length <= maxLength || [...value].length <= maxLength,
      `Too big: expected string to have <=${maxLength} characters`,
    )
    .meta({ maxLength });
}

/** Text that a person or a program wrote. */
export function text(maxLength: number) {
  return bounded(NO_CONTROLS, 'must not contain control characters', maxLength);
}

/**
 * Schemas whose value may have a `+` where a space makes no sense. In a query string `+` is a space, and clients that
 * do not encode it mean the sign. `first`: only as the first character.
 */
export const plusSigns = z.registry<{ readonly where: 'first' | 'anywhere' }>();

/** Text without invisible characters: those of direction make another number of it for its reader. */
export const phoneNumber = bounded(
  PHONE_NUMBER,
  (value) => {
    if (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u.test(value)) {
      return 'must not contain invisible characters';
    }
    return value === value.trim()
      ? 'must not contain characters beyond U+FFFF'
      : 'must not begin or end with white space; write %2B for + in a URL';
  },
  64,
).register(plusSigns, { where: 'first' });

/** A LiveKit room's name: LiveKit counts its limit of 256 in bytes of UTF-8. */
export const roomName = text(256).refine(
  (value) => Buffer.byteLength(value) <= 256,
  'must be at most 256 bytes as UTF-8',
);
