import { z } from 'zod';

/* The OpenAPI document contains these patterns, so every regex engine must accept them: no lookahead, no \p. */

const CONTROLS = String.raw`\x00-\x1F\x7F-\x9F`;
const NO_CONTROLS = characters(`^${CONTROLS}`);
/** The white space of String.trim that is not a control character. */
const WHITE_SPACE = String.raw`\x20\xA0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000\uFEFF`;
const NOT_BLANK = new RegExp(`^[${WHITE_SPACE}]*[^${CONTROLS}${WHITE_SPACE}][^${CONTROLS}]*$`, 'u');

/** The basic plane without invisible characters: Unicode's Cc, Cs, Cf, Zl, Zp and Default_Ignorable_Code_Point. */
const VISIBLE = String.raw`\x20-\x7E\xA0-\xAC\xAE-\u034E\u0350-\u05FF\u0606-\u061B\u061D-\u06DC\u06DE-\u070E\u0710-\u088F\u0892-\u08E1\u08E3-\u115E\u1161-\u17B3\u17B6-\u180A\u1810-\u200A\u2010-\u2027\u202F-\u205F\u2070-\u3163\u3165-\uD7FF\uE000-\uFDFF\uFE10-\uFEFE\uFF00-\uFF9F\uFFA1-\uFFEF\uFFFC-\uFFFF`;
/** VISIBLE without white space. */
const VISIBLE_NON_SPACE = String.raw`\x21-\x7E\xA1-\xAC\xAE-\u034E\u0350-\u05FF\u0606-\u061B\u061D-\u06DC\u06DE-\u070E\u0710-\u088F\u0892-\u08E1\u08E3-\u115E\u1161-\u167F\u1681-\u17B3\u17B6-\u180A\u1810-\u1FFF\u2010-\u2027\u2030-\u205E\u2070-\u2FFF\u3001-\u3163\u3165-\uD7FF\uE000-\uFDFF\uFE10-\uFEFE\uFF00-\uFF9F\uFFA1-\uFFEF\uFFFC-\uFFFF`;
const PHONE_NUMBER = new RegExp(`^[${VISIBLE_NON_SPACE}]([${VISIBLE}]*[${VISIBLE_NON_SPACE}])?$`, 'u');

function characters(set: string): RegExp {
  return new RegExp(`^[${set}]*$`, 'u');
}

/** Characters are code points, as in JSON Schema: an emoji counts as one character. */
function boundedText(allowed: RegExp, problem: string | ((text: string) => string), maxLength: number) {
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

/** Returns a schema for text without control characters. */
export function plainText(maxLength: number) {
  return boundedText(NO_CONTROLS, 'must not contain control characters', maxLength);
}

/** Returns a schema for text without control characters, and not only of white space. */
export function visibleText(maxLength: number) {
  const problem = (text: string) =>
    NO_CONTROLS.test(text) ? 'must not be blank' : 'must not contain control characters';
  return boundedText(NOT_BLANK, problem, maxLength);
}

const EDGE = `[^${CONTROLS}${WHITE_SPACE}]`;
const TRIMMED = new RegExp(`^${EDGE}([^${CONTROLS}]*${EDGE})?$`, 'u');

/** Returns a schema for text without control characters, and without white space at its ends. */
export function trimmedText(maxLength: number) {
  const problem = (text: string) =>
    NO_CONTROLS.test(text) ? 'must not begin or end with white space' : 'must not contain control characters';
  return boundedText(TRIMMED, problem, maxLength);
}

/** Returns a schema for text without control characters, with a least number of characters between white space at its ends. */
export function searchText(minLength: number, maxLength: number) {
  const pattern = new RegExp(
    `^[${WHITE_SPACE}]*${EDGE}[^${CONTROLS}]{${minLength - 2},}${EDGE}[${WHITE_SPACE}]*$`,
    'u',
  );
  const problem = (text: string) =>
    NO_CONTROLS.test(text)
      ? `must have at least ${minLength} characters besides white space at its ends`
      : 'must not contain control characters';
  return boundedText(pattern, problem, maxLength).meta({ minLength });
}

/**
 * Schemas whose values may contain `+` but not a space in that place. In a query string `+` stands for a space, and
 * clients that do not encode `+` mean the sign. `first`: only as the first character.
 */
export const plusSigns = z.registry<{ readonly where: 'first' | 'anywhere' }>();

/** Text without invisible characters: direction marks would make a reader see another number. */
export const phoneNumber = boundedText(
  PHONE_NUMBER,
  (value) => {
    if (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u.test(value)) {
      return 'must not contain invisible characters';
    }
    return value === value.trim()
      ? 'must not contain characters beyond U+FFFF'
      : 'must not begin or end with white space';
  },
  64,
).register(plusSigns, { where: 'first' });

/** A LiveKit room's name. LiveKit limits names to 256 bytes of UTF-8. */
export const roomName = plainText(256).refine(
  (value) => Buffer.byteLength(value) <= 256,
  'must be at most 256 bytes as UTF-8',
);

/*
 * ISO 8601 dates and times in the years 1970 to 9999. The patterns reject dates that do not exist, such as 2026-02-30.
 */

const YEAR = String.raw`(?:19[7-9]\d|[2-9]\d{3})`;
const LEAP_YEAR = String.raw`(?:19(?:[79][26]|8[048])|[2-9]\d(?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[3579][26])00)`;
const MONTH_AND_DAY = [
  // January without its first day and December without its last: END_DATE has these.
  String.raw`01-(?:0[2-9]|[12]\d|3[01])`,
  String.raw`(?:0[3578]|10)-(?:0[1-9]|[12]\d|3[01])`,
  String.raw`(?:0[469]|11)-(?:0[1-9]|[12]\d|30)`,
  String.raw`02-(?:0[1-9]|1\d|2[0-8])`,
  String.raw`12-(?:0[1-9]|[12]\d|30)`,
].join('|');
/** Every date except {@link END_DATE}. */
const INNER_DATE = [
  `${YEAR}-(?:${MONTH_AND_DAY})`,
  `${LEAP_YEAR}-02-29`,
  String.raw`(?:197[1-9]|19[89]\d|[2-9]\d{3})-01-01`,
  String.raw`(?:19[7-9]\d|[2-8]\d{3}|9[0-8]\d{2}|99[0-8]\d|999[0-8])-12-31`,
].join('|');
/** On these dates, a time with an offset may be in another year in UTC. */
const END_DATE = '1970-01-01|9999-12-31';
const TIME_OF_DAY = String.raw`T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?`;
const OFFSET = String.raw`[+-](?:[01]\d|2[0-3]):[0-5]\d`;

/** @param quantifier `?` when the time of day is optional */
function isoPattern(quantifier: '' | '?'): RegExp {
  const inner = `(?:${INNER_DATE})(?:${TIME_OF_DAY}(?:Z|${OFFSET}))${quantifier}`;
  return new RegExp(`^(?:${inner}|(?:${END_DATE})(?:${TIME_OF_DAY}Z)${quantifier})$`);
}

const OUT_OF_RANGE = 'must be in the years 1970 to 9999; on the first and the last day, in UTC with Z';

function isoString(pattern: RegExp, isWellFormed: (text: string) => boolean, expected: string) {
  return z.string().regex(pattern, {
    error: ({ input }) => (isWellFormed(String(input)) ? OUT_OF_RANGE : expected),
  });
}

const isTimestamp = (text: string) => z.iso.datetime({ offset: true }).safeParse(text).success;
const isDate = (text: string) => z.iso.date().safeParse(text).success;

const TIMESTAMP = isoPattern('');

/** An ISO 8601 time with its offset from UTC, parsed to milliseconds. */
export const isoTimestamp = isoString(
  TIMESTAMP,
  isTimestamp,
  'expected an ISO 8601 time such as 2026-11-23T08:00:00Z',
)
  // Client generators parse this string to a date, and would apply a `pattern` next to `format` to that date.
  .meta({ override: { type: 'string', format: 'date-time', allOf: [{ pattern: TIMESTAMP.source }] } })
  .transform((value) => Date.parse(value));

/** An ISO 8601 time in milliseconds. A date alone means the first or the last millisecond of that day in UTC. */
export function dateOrTimestamp(edge: 'startOfDay' | 'endOfDay') {
  return isoString(
    isoPattern('?'),
    (text) => isTimestamp(text) || isDate(text),
    'expected an ISO 8601 date or time such as 2026-11-23 or 2026-11-23T08:00:00Z',
  )
    .transform((value) => {
      const isDateOnly = !value.includes('T');
      return Date.parse(isDateOnly && edge === 'endOfDay' ? `${value}T23:59:59.999Z` : value);
    })
    .register(plusSigns, { where: 'anywhere' });
}
