import { setGlobalProxyFromEnv } from 'node:http';
import { type Command, Option } from 'commander';
import { z } from 'zod';
import { CALL_STATUSES } from '../../domain/call.ts';
import { SettingsError } from '../../platform/config.ts';
import { trustSystemCertificates } from '../../platform/system-ca.ts';
import { print, printTable, Refused, readSettings } from '../output.ts';

/** `hangup calls`: a running server's calls, over its REST API. */
export function addCalls(hangup: Command): void {
  const calls = hangup
    .command('calls')
    .description('list, see and cancel calls of a running server: HANGUP_URL, with HANGUP_API_KEY');
  calls
    .command('list')
    .description('list calls, newest first')
    .addOption(new Option('--status <status...>', 'only with these').choices(CALL_STATUSES))
    .option('--limit <count>', 'so many at most', '50')
    .option('--json', "print the server's answer")
    .action(list);
  calls
    .command('get')
    .description('see a call, and who is in its room right now')
    .argument('<call-id>')
    .option('--json', "print the server's answer")
    .action(get);
  calls
    .command('cancel')
    .description('cancel a call')
    .argument('<call-id>')
    .option('--reason <reason>', 'why, for the record')
    .option('--json', "print the server's answer")
    .action(cancel);
}

interface Answer<Data> {
  /** As it came. */
  readonly text: string;
  readonly data: Data;
}

/** @throws Refused unless a hangup answers, and does what it is asked for */
async function ask<Data>(
  method: 'GET' | 'DELETE',
  path: string,
  {
    query = {},
    data,
  }: { query?: Readonly<Record<string, readonly string[] | string | undefined>>; data: z.ZodType<Data> },
): Promise<Answer<Data>> {
  const { url: server, apiKey, proxy } = readSettings().client;
  if (apiKey === null)
    throw new SettingsError(['HANGUP_API_KEY: expected; `hangup keys create` makes a key on the server']);
  trustSystemCertificates(server);
  if (proxy !== null) {
    setGlobalProxyFromEnv({ HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url, NO_PROXY: proxy.except });
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
      // Neither the key goes elsewhere, nor does a DELETE become a GET.
      redirect: 'manual',
      signal: AbortSignal.timeout(15_000),
    });
    text = await response.text();
  } catch (error) {
    throw new Refused(explainNoAnswer(error, { server, isRead }));
  }
  const { status } = response;
  const json = parseJson(text);
  const done = z.object({ data }).safeParse(json).data;
  if (status === 200 && done !== undefined) return { text, data: done.data };
  const refusal = Refusal.safeParse(json).data;
  if (status >= 400 && refusal !== undefined)
    throw new Refused(`${refusal.error.message} (${status}).${adviceFor(status)}`);
  throw new Refused(explainStranger(response, { server, isRead }));
}

/** What stands at HANGUP_URL, or in front of it. */
function explainStranger(
  { status, headers }: Response,
  { server, isRead }: { server: string; isRead: boolean },
): string {
  if (status >= 300 && status < 400)
    return `${server} sends elsewhere (${status}, to ${headers.get('location') ?? 'nowhere'}). Set HANGUP_URL to where hangup is.`;
  if (status >= 502 && status <= 504)
    return `the proxy at ${server} got no answer of hangup (${status}). Look whether hangup runs, and try again.${isRead ? '' : MAY_BE_DONE}`;
  return `what answers at ${server} is no hangup (${status}). Set HANGUP_URL.`;
}

function adviceFor(status: number): string {
  if (status === 401) return ' Set HANGUP_API_KEY to a key that is valid.';
  return status >= 500 ? " The server's log says why; `hangup doctor` there looks for it." : '';
}

/** What proves that the request did not get there; `bad port` is one that fetch asks nothing at. */
const NOT_REACHED =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT)$|^(ERR_SSL|ERR_TLS|CERT)_|^bad port$/;

function explainNoAnswer(error: unknown, { server, isRead }: { server: string; isRead: boolean }): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  const why = cause instanceof Error ? cause.message || code : String(cause);
  if (code.startsWith('ERR_SSL_'))
    return `no TLS is spoken at ${server}. Set HANGUP_URL: http, or another port?`;
  if (NOT_REACHED.test(code || why)) return `no hangup answers at ${server}: ${why}. Set HANGUP_URL.`;
  return `no whole answer came from ${server}: ${why}.${isRead ? '' : MAY_BE_DONE}`;
}

const MAY_BE_DONE = ' It may be done all the same: `hangup calls get` shows it. To do it again is safe.';

const Refusal = z.object({ error: z.object({ message: z.string() }) });
const Deletion = z.object({ state: z.string(), lastError: z.string().nullable() });
const Item = z.object({
  id: z.string(),
  status: z.string(),
  direction: z.string(),
  phoneNumber: z.string().nullable(),
  createdAt: z.string(),
});

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

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
  const { text, data } = await ask('GET', '/calls', { query, data: z.object({ calls: z.array(Item) }) });
  if (json) return print(text);
  const { calls } = data;
  if (calls.length === 0) return print('no calls');
  printTable([
    ['CALL', 'STATUS', 'DIRECTION', 'PHONE', 'CREATED'],
    ...calls.map((call) => [call.id, call.status, call.direction, call.phoneNumber ?? '-', call.createdAt]),
  ]);
}

async function get(callId: string, { json }: { json?: true }): Promise<void> {
  const { text, data } = await ask('GET', pathOf(callId), { data: z.looseObject({ id: z.literal(callId) }) });
  print(json ? text : JSON.stringify(data, null, 2));
}

async function cancel(callId: string, { reason, json }: { reason?: string; json?: true }): Promise<void> {
  const data = z.object({ id: z.literal(callId), status: z.literal('cancelled') });
  const { text } = await ask('DELETE', pathOf(callId), { query: { reason }, data });
  print(json ? text : `${callId} is cancelled${await sayWhetherItIsOver(callId)}`);
}

function pathOf(callId: string): string {
  // A URL has its own meaning for these.
  if (/^\.{0,2}$/.test(callId)) throw new Refused('Call not found.');
  return `/calls/${encodeURIComponent(callId)}`;
}

/** Nothing where the key may not read calls. */
async function sayWhetherItIsOver(callId: string): Promise<string> {
  const data = z.object({ id: z.literal(callId), roomDeletion: Deletion });
  const asked = await ask('GET', pathOf(callId), { data }).catch(() => null);
  if (asked === null) return '';
  const { state, lastError } = asked.data.roomDeletion;
  if (state === 'completed') return ', and its room is gone';
  const why = lastError === null ? '' : ` (${lastError})`;
  return `; its room is not gone yet${why}. It is tried again until it is: \`hangup calls get ${callId}\` shows how far that is`;
}
