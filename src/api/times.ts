import { z } from 'zod';
import { plusSigns } from './text.ts';

/*
 * ISO 8601 dates and times in the years 1970 to 9999. The patterns are in the OpenAPI document, so every engine must
 * read them: no lookahead, no \p. They refuse dates that do not exist, such as 2026-02-30.
 */

const YEAR = String.raw`(?:19[7-9]\d|[2-9]\d{3})`;
const LEAP_YEAR = String.raw`(?:19(?:[79][26]|8[048])|[2-9]\d(?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[3579][26])00)`;
const MONTH_AND_DAY = [
  // January without its first and December without its last day: see below.
  String.raw`01-(?:0[2-9]|[12]\d|3[01])`,
  String.raw`(?:0[3578]|10)-(?:0[1-9]|[12]\d|3[01])`,
  String.raw`(?:0[469]|11)-(?:0[1-9]|[12]\d|30)`,
  String.raw`02-(?:0[1-9]|1\d|2[0-8])`,
  String.raw`12-(?:0[1-9]|[12]\d|30)`,
].join('|');
/** Every date but {@link END_DATE}. */
const INNER_DATE = [
  `${YEAR}-(?:${MONTH_AND_DAY})`,
  `${LEAP_YEAR}-02-29`,
  String.raw`(?:197[1-9]|19[89]\d|[2-9]\d{3})-01-01`,
  String.raw`(?:19[7-9]\d|[2-8]\d{3}|9[0-8]\d{2}|99[0-8]\d|999[0-8])-12-31`,
].join('|');
/** With an offset, a time on these may be of another year in UTC. */
const END_DATE = '1970-01-01|9999-12-31';
const TIME_OF_DAY = String.raw`T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?`;
const OFFSET = String.raw`[+-](?:[01]\d|2[0-3]):[0-5]\d`;

/** @param mark `?` where the time of the day may be left out */
function pattern(mark: '' | '?'): RegExp {
  const inner = `(?:${INNER_DATE})(?:${TIME_OF_DAY}(?:Z|${OFFSET}))${mark}`;
  return new RegExp(`^(?:${inner}|(?:${END_DATE})(?:${TIME_OF_DAY}Z)${mark})$`);
}

const OUT_OF_RANGE = 'must be in the years 1970 to 9999; on the first and the last day in UTC, with Z';

function matching(pattern: RegExp, isWellFormed: (text: string) => boolean, expected: string) {
  return z.string().regex(pattern, {
    error: ({ input }) => (isWellFormed(String(input)) ? OUT_OF_RANGE : expected),
  });
}

const isTime = (text: string) => z.iso.datetime({ offset: true }).safeParse(text).success;
const isDate = (text: string) => z.iso.date().safeParse(text).success;

const TIME = pattern('');

/** An ISO 8601 time with its offset from UTC, as milliseconds. */
export const time = matching(TIME, isTime, 'expected an ISO 8601 time such as 2026-11-23T08:00:00Z')
  // Generators make a date of it, and would apply a pattern beside the format to that date.
  .meta({ override: { type: 'string', format: 'date-time', allOf: [{ pattern: TIME.source }] } })
  .transform((value) => Date.parse(value));

/** An ISO 8601 time, or a date alone: the first or the last millisecond of that day in UTC. */
export function timeOrDate(edge: 'first' | 'last') {
  return matching(
    pattern('?'),
    (text) => isTime(text) || isDate(text),
    'expected an ISO 8601 date or time such as 2026-11-23 or 2026-11-23T08:00:00Z',
  )
    .transform((value) => {
      const isWholeDay = !value.includes('T');
      return Date.parse(isWholeDay && edge === 'last' ? `${value}T23:59:59.999Z` : value);
    })
    .register(plusSigns, { where: 'anywhere' });
}
