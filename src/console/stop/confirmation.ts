/** Calls that may start between the preview and the stop: this part of the previewed number, and at least a few. */
const ALLOWED_PART = 0.1;
const MIN_ALLOWANCE = 5;

/**
 * Returns how many more calls than the preview showed a stop may cancel. A call that has just started must not prevent the
 * stop, and a stop of 50 calls must not become a stop of 5,000.
 */
export function allowanceOf(previewed: number): number {
  return Math.max(MIN_ALLOWANCE, Math.ceil(previewed * ALLOWED_PART));
}

/** Returns whether a person has typed the number, with or without separators between groups of three digits. */
export function isTypedNumber(typed: string, expected: number): boolean {
  const text = typed.trim();
  const isNumber = /^(?:\d+|\d{1,3}(?:[\s.,'’]\d{3})+)$/.test(text);
  return isNumber && text.replace(/\D/g, '') === String(expected);
}
