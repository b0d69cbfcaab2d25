import { textOf } from '../api/terms.ts';
import { texts } from '../texts.ts';

export interface Explanation {
  readonly cause: string;
  /** Null: hangup's retries are the remedy. */
  readonly remedy: string | null;
}

/** The form of a failed request to LiveKit: its kind, for `refused` the Twirp code, and the detail, often with its code. */
const LIVEKIT_ERROR = /^(unavailable|timed_out|rate_limited|refused)(?: \(([^)]*)\))?: (?:(\w+): )?/;
/** LiveKit's message when the server with the room is dead. */
const DEAD_SERVER = 'no response from servers';
/** LiveKit's response to a wrong key has no Twirp code. */
const WRONG_KEY = '(HTTP 401)';

/** Explains the last error of a room deletion; null for a text of another form. */
export function explainDeletionError(error: string): Explanation | null {
  const { kinds, codes, remedies, deadServer } = texts.roomDeletions.errors;
  const match = LIVEKIT_ERROR.exec(error);
  if (match === null) return null;
  if (error.includes(DEAD_SERVER)) return { cause: deadServer, remedy: null };
  const [, kind = '', refusedCode, detailCode] = match;
  const code = refusedCode ?? detailCode ?? '';
  const cause = textOf(codes, code) ?? textOf(kinds, kind);
  if (cause === null) return null;
  const term = error.endsWith(WRONG_KEY) ? 'unauthenticated' : code;
  return { cause, remedy: textOf(remedies, term) ?? textOf(remedies, kind) };
}
