/** They change the direction of the text after them, and can end the isolation of the text around them. */
const CONTROLS = /[\u202a-\u202e\u2066-\u2069]/g;
/** Letters from right to left, direction marks and controls. */
const RIGHT_TO_LEFT =
  /[\u0590-\u08ff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

/** Returns a text with a visible sign in place of each control of the direction. */
export const showControls = (text: string): string => text.replaceAll(CONTROLS, '\ufffd');

/** Returns the text of a client for a sentence. Its direction does not reorder the sentence. In elements, use `ClientText`. */
export function isolate(text: string): string {
  return RIGHT_TO_LEFT.test(text) ? `\u2068${showControls(text)}\u2069` : text;
}
