/** The least number of characters of a search, and of digits of a phone number. */
export const MIN_SEARCH_LENGTH = 3;

/** What a search by a text looks for. */
export interface SearchTerms {
  /** The beginning of a call's id or of a room's name. */
  readonly beginning: string;
  /** The beginnings of a phone number: its digits, with and without a plus sign. Empty: the text is not a phone number. */
  readonly phoneBeginnings: readonly string[];
  /** The last digits of a phone number. */
  readonly phoneEnd: string | null;
}

/** Digits with the characters that people write between them. */
const PHONE_NUMBER = /^\+?[\d\s()./-]+$/;

/** Returns what to look for. The text has {@link MIN_SEARCH_LENGTH} characters without white space at its ends. */
export function toSearchTerms(text: string): SearchTerms {
  const beginning = text.trim();
  const digits = PHONE_NUMBER.test(beginning) ? beginning.replaceAll(/\D/g, '') : '';
  if (digits.length < MIN_SEARCH_LENGTH) return { beginning, phoneBeginnings: [], phoneEnd: null };
  return { beginning, phoneBeginnings: [`+${digits}`, digits], phoneEnd: digits };
}

/** Returns whether a call matches. */
export function matchesSearch(
  { beginning, phoneBeginnings, phoneEnd }: SearchTerms,
  { id, roomName, phoneNumber }: { id: string; roomName: string; phoneNumber: string | null },
): boolean {
  if (id.startsWith(beginning) || roomName.startsWith(beginning)) return true;
  if (phoneNumber === null || phoneEnd === null) return false;
  return phoneNumber.endsWith(phoneEnd) || phoneBeginnings.some((digits) => phoneNumber.startsWith(digits));
}

/** Returns a text after all texts that begin with this one, in the order of their bytes. */
export const endOfPrefix = (prefix: string): string => `${prefix}\u{10FFFF}`;

/** Returns the characters in reverse. */
export const reverse = (text: string): string => [...text].reverse().join('');
