import { setGlobalProxyFromEnv } from 'node:http';
import { type Command, Option } from 'commander';
import { z } from 'zod';
import { CALL_STATUSES } from '../../domain/call-status.ts';
import { errorCode } from '../../domain/errors.ts';
import { parseJson } from '../../domain/json.ts';
import { SettingsError } from '../../platform/config.ts';
import { trustSystemCertificates } from '../../platform/system-ca.ts';
import { CliError, print, printTable } from '../output.ts';
import { readSettings } from '../settings.ts';

const REQUEST_TIMEOUT_MS = 15_000;

export function registerCallsCommand(program: Command): void {
  const calls = program
    .command('calls')
    .description('List, read and cancel calls on the server at HANGUP_URL, with HANGUP_API_KEY');
  calls
    .command('list')
    .description('List calls, newest first')
    .addOption(new Option('--status <status...>', 'Only calls with these statuses').choices(CALL_STATUSES))
    .option('--limit <count>', 'Maximum number of calls', '50')
    .option('--json', "Print the server's response")
    .action(list);
  calls
    .command('get')
    .description('Print a call and the participants in its room')
    .argument('<call-id>')
    .option('--json', "Print the server's response")
    .action(get);
  calls
    .command('cancel')
    .description('Cancel a call and delete its room')
    .argument('<call-id>')
    .option('--reason <reason>', 'Reason, for the audit log')
    .option('--json', "Print the server's response")
    .action(cancel);
}

interface ApiResponse<Data> {
  /** The unchanged body. */
  readonly text: string;
  readonly data: Data;
}

/** Sends a request and returns its response. @throws CliError for any response that is not a success of hangup */
async function request<Data>(
  method: 'GET' | 'DELETE',
  path: string,
  {
    query = {},
    dataSchema,
  }: {
    query?: Readonly<Record<string, readonly string[] | string | undefined>>;
    dataSchema: z.ZodType<Data>;
  },
): Promise<ApiResponse<Data>> {
  const { url: server, apiKey, proxy } = readSettings().client;
  if (apiKey === null)
    throw new SettingsError([
      'HANGUP_API_KEY: required; create a key with `hangup keys create` on the server',
    ]);
  trustSystemCertificates(server);
  if (proxy !== null) {
    setGlobalProxyFromEnv({ HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url, NO_PROXY: proxy.noProxy });
  }
  const url = new URL(`${server}/api/v1${path}`);
  for (const [name, values = []] of Object.entries(query))
    for (const value of [values].flat()) url.searchParams.append(name, value);
  const isRead = method === 'GET';
  let response: Response;
  let text: string;
  try {
    response = await fetch(url, {
      method,
      headers: { 'x-api-key': apiKey },
      // A redirect would send the key to another server and change DELETE to GET.
      redirect: 'manual',
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    text = await response.text();
  } catch (error) {
    throw new CliError(explainNetworkError(error, { server, isRead }));
  }
  const { status } = response;
  const body = parseJson(text);
  const success = z.object({ data: dataSchema }).safeParse(body).data;
  if (status === 200 && success !== undefined) return { text, data: success.data };
  const failure = ErrorBody.safeParse(body).data;
  if (status >= 400 && failure !== undefined)
    throw new CliError(`${failure.error.message} (HTTP ${status}).${adviceForStatus(status)}`);
  throw new CliError(explainUnexpectedResponse(response, { server, isRead }));
}

/** Explains a response of another server, or of a proxy in front of hangup. */
function explainUnexpectedResponse(
  { status, headers }: Response,
  { server, isRead }: { server: string; isRead: boolean },
): string {
  if (status >= 300 && status < 400) {
    const target = headers.get('location') ?? 'an unknown address';
    return `${server} redirects to ${target} (HTTP ${status}). Set HANGUP_URL to the address of hangup.`;
  }
  if (status >= 502 && status <= 504) {
    const effect = isRead ? '' : MAY_HAVE_SUCCEEDED;
    return `the proxy at ${server} received no response from hangup (HTTP ${status}). Check that hangup runs, then retry.${effect}`;
  }
  return `${server} is not a hangup server (HTTP ${status}). Check HANGUP_URL.`;
}

function adviceForStatus(status: number): string {
  if (status === 401) return ' Set HANGUP_API_KEY to a valid key.';
  return status >= 500 ? " Find the cause in the server's log, or run `hangup doctor` there." : '';
}

/** Codes and messages of failures before the request was sent. fetch refuses some ports with `bad port`. */
const UNREACHABLE =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT)$|^(ERR_SSL|ERR_TLS|CERT)_|^bad port$/;

function explainNetworkError(
  error: unknown,
  { server, isRead }: { server: string; isRead: boolean },
): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = errorCode(cause);
  const detail = cause instanceof Error ? cause.message || code : String(cause);
  if (code.startsWith('ERR_SSL_'))
    return `${server} does not use TLS. Correct the scheme or the port of HANGUP_URL.`;
  if (UNREACHABLE.test(code || detail)) return `cannot connect to ${server}: ${detail}. Check HANGUP_URL.`;
  return `incomplete response from ${server}: ${detail}.${isRead ? '' : MAY_HAVE_SUCCEEDED}`;
}

const MAY_HAVE_SUCCEEDED =
  ' The call may have been cancelled. Check with `hangup calls get`; retrying is safe.';

const ErrorBody = z.object({ error: z.object({ message: z.string() }) });
const RoomDeletion = z.object({ state: z.string(), lastError: z.string().nullable() });
const ListItem = z.object({
  id: z.string(),
  status: z.string(),
  direction: z.string(),
  phoneNumber: z.string().nullable(),
  createdAt: z.string(),
});

async function list({
  status,
  limit,
  json,
}: {
  status?: string[];
  limit: string;
  json?: true;
}): Promise<void> {
  const query = { status, limit };
  const { text, data } = await request('GET', '/calls', {
    query,
    dataSchema: z.object({ calls: z.array(ListItem) }),
  });
  if (json) return print(text);
  const { calls } = data;
  if (calls.length === 0) return print('no calls');
  printTable([
    ['CALL', 'STATUS', 'DIRECTION', 'PHONE', 'CREATED'],
    ...calls.map((call) => [call.id, call.status, call.direction, call.phoneNumber ?? '-', call.createdAt]),
  ]);
}

async function get(callId: string, { json }: { json?: true }): Promise<void> {
  const { text, data } = await request('GET', callPath(callId), {
    dataSchema: z.looseObject({ id: z.literal(callId) }),
  });
  print(json ? text : JSON.stringify(data, null, 2));
}

async function cancel(callId: string, { reason, json }: { reason?: string; json?: true }): Promise<void> {
  const dataSchema = z.object({ id: z.literal(callId), status: z.literal('cancelled') });
  const { text } = await request('DELETE', callPath(callId), { query: { reason }, dataSchema });
  print(json ? text : `cancelled ${callId}${await describeRoomDeletion(callId)}`);
}

function callPath(callId: string): string {
  // URL normalization would remove these path segments.
  if (/^\.{0,2}$/.test(callId)) throw new CliError('Call not found.');
  return `/calls/${encodeURIComponent(callId)}`;
}

/** Returns the state of the room's deletion, as the end of a sentence; empty if the key cannot read calls. */
async function describeRoomDeletion(callId: string): Promise<string> {
  const dataSchema = z.object({ id: z.literal(callId), roomDeletion: RoomDeletion });
  const response = await request('GET', callPath(callId), { dataSchema }).catch(() => null);
  if (response === null) return '';
  const { state, lastError } = response.data.roomDeletion;
  if (state === 'completed') return '; its room is gone';
  const cause = lastError === null ? '' : ` (${lastError})`;
  return `; its room still exists${cause}. hangup retries until the room is gone; \`hangup calls get ${callId}\` prints the state`;
}
