/**
 * Masks all but the last two digits of each possible phone number: 7 to 15 digits that are not part of an id. A number
 * may follow %2B, the encoded + of a URL. Returns other values than strings unchanged.
 */
export function maskPhoneNumbers(text: unknown): unknown {
  return typeof text === 'string'
    ? text.replaceAll(
        /(?:(?<=%2B)|(?<![A-Za-z0-9]))\+?\d{7,15}(?![A-Za-z0-9])/gi,
        (number) => `${'*'.repeat(number.length - 2)}${number.slice(-2)}`,
      )
    : text;
}
