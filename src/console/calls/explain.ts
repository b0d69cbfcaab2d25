import { textOf } from '../api/terms.ts';
import { texts } from '../texts.ts';

const { causes, disconnects } = texts.call;

/** Explains the reason of an event, such as `participant_left: USER_REJECTED`; null for a text that a person wrote. */
export function explainReason(reason: string): string | null {
  const [kind = '', detail] = split(reason);
  const whole = textOf(causes, reason) ?? textOf(disconnects, reason);
  if (whole !== null) return whole;
  if (textOf(causes, kind) === null) return null;
  const explained = detail === undefined ? null : textOf(disconnects, detail);
  return explained ?? textOf(causes, kind);
}

/** Explains the failure reason of a call; null for an unknown one. */
export function explainFailure(reason: string): string | null {
  return textOf(disconnects, reason);
}

function split(reason: string): readonly string[] {
  const colon = reason.indexOf(': ');
  return colon === -1 ? [reason] : [reason.slice(0, colon), reason.slice(colon + 2)];
}
