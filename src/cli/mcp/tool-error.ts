import type { CallToolResult } from '@modelcontextprotocol/server';
import { errorMessage } from '../../domain/errors.ts';
import { ApiError } from '../api-client.ts';
import { CliError } from '../output.ts';

/** Arguments or a confirmation value that `hangup mcp` refuses itself, without a request. */
export class ToolRefusal extends Error {
  override readonly name = 'ToolRefusal';
  readonly code: 'bad_request' | 'confirmation_refused';

  constructor(code: ToolRefusal['code'], message: string) {
    super(message);
    this.code = code;
  }
}

/** The codes of the clients for TypeScript and Python. */
const CODES: ReadonlyMap<number, string> = new Map([
  [400, 'bad_request'],
  [401, 'unauthorized'],
  [403, 'forbidden'],
  [404, 'not_found'],
  [409, 'conflict'],
  [412, 'precondition_failed'],
  [413, 'payload_too_large'],
  [422, 'idempotency_key_reused'],
  [429, 'rate_limited'],
  [502, 'unavailable'],
  [503, 'unavailable'],
  [504, 'unavailable'],
]);

/** For the model: the next step after a failure. */
const ADVICE: ReadonlyMap<string, string> = new Map([
  ['bad_request', 'Correct the arguments. A call that has ended cannot be cancelled.'],
  ['confirmation_refused', 'Do what the message requires. This call has changed nothing.'],
  ['unauthorized', 'Stop, and report that `hangup mcp` needs a valid HANGUP_API_KEY.'],
  ['forbidden', 'Stop, and report the missing scope or the other organization.'],
  ['not_found', 'Find the id with list_calls or list_stops.'],
  [
    'precondition_failed',
    'More calls match than in the preview, so nothing was started. Preview the stop again.',
  ],
  ['rate_limited', 'Wait for retryAfterSeconds, then repeat the same tool call.'],
  ['unavailable', 'Repeat the same tool call: repeating is safe.'],
  ['unexpected_response', 'Stop, and report that HANGUP_URL is not the address of a hangup server.'],
  ['network_error', 'Repeat the same tool call: repeating is safe. If the failure stays, report it.'],
]);

/** Returns the result of a failed tool call: one JSON object, so that no text of a caller can pose as a field. */
export function toToolError(error: unknown): CallToolResult {
  const details = error instanceof ApiError ? describeApiError(error) : describeOwnError(error);
  const body = { error: { message: errorMessage(error), ...details } };
  return { isError: true, content: [{ type: 'text', text: JSON.stringify(body) }] };
}

/** The only CliError of a tool call without a request is an id that no path can contain. */
function describeOwnError(error: unknown) {
  const code =
    error instanceof ToolRefusal ? error.code : error instanceof CliError ? 'not_found' : 'server_error';
  return { status: null, code, requestId: null, advice: adviceFor(code) };
}

function describeApiError(error: ApiError) {
  const { status, requestId, retryAfterMs } = error;
  const code = codeOf(error);
  return {
    status,
    code,
    requestId,
    ...(retryAfterMs !== null && { retryAfterSeconds: retryAfterMs / 1_000 }),
    advice: adviceFor(code),
  };
}

function adviceFor(code: string): string {
  return ADVICE.get(code) ?? 'Report this error.';
}

function codeOf({ status, requestId, isTransient }: ApiError): string {
  if (status === null) return 'network_error';
  // Every response of hangup has a request id. A proxy's 429, 502, 503 or 504 has none.
  if (requestId === null && !isTransient) return 'unexpected_response';
  return CODES.get(status) ?? (status >= 500 ? 'server_error' : 'refused');
}
