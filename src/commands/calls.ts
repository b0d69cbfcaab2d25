import { type Command, Option } from 'commander';
import { z } from 'zod';
import { parseSettings, readEnvironment } from '../config.ts';
import { CALL_STATUSES } from '../domain/call.ts';
import { print, printTable, Refused } from './terminal.ts';

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

interface Answer {
  /** As it came. */
  readonly text: string;
  readonly data: unknown;
}

async function ask(
  method: string,
  path: string,
  query: Readonly<Record<string, string | undefined>> = {},
): Promise<Answer> {
  const { url: server, apiKey } = parseSettings(readEnvironment(), 'administer').client;
  if (apiKey === null)
    throw new Refused('HANGUP_API_KEY is not set; `hangup keys create` makes a key on the server');
  const url = new URL(`${server}/api/v1${path}`);
  for (const [name, value] of Object.entries(query))
    if (value !== undefined) url.searchParams.set(name, value);
  let response: Response;
  try {
    response = await fetch(url, {
      method,
      headers: { 'x-api-key': apiKey },
      signal: AbortSignal.timeout(15_000),
    });
  } catch (error) {
    const cause =
      error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    throw new Refused(`no hangup answers at ${server}: ${cause}. Set HANGUP_URL.`);
  }
  const text = await response.text();
  const { data, error } = Answered.safeParse(parseJson(text)).data ?? {};
  if (data !== undefined) return { text, data };
  if (error === undefined) throw new Refused(`what answers at ${server} is no hangup. Set HANGUP_URL.`);
  const advice = response.status === 401 ? ' Set HANGUP_API_KEY to a key that is valid.' : '';
  throw new Refused(`${error.message} (${response.status}).${advice}`);
}

const Answered = z.object({
  data: z.unknown().optional(),
  error: z.object({ message: z.string() }).optional(),
});
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
  const { text, data } = await ask('GET', '/calls', { status: status?.join(','), limit });
  if (json) return print(text);
  const { calls } = z.object({ calls: z.array(Item) }).parse(data);
  if (calls.length === 0) return print('no calls');
  printTable([
    ['CALL', 'STATUS', 'DIRECTION', 'PHONE', 'CREATED'],
    ...calls.map((call) => [call.id, call.status, call.direction, call.phoneNumber ?? '-', call.createdAt]),
  ]);
}

async function get(callId: string, { json }: { json?: true }): Promise<void> {
  const { text, data } = await ask('GET', `/calls/${encodeURIComponent(callId)}`);
  print(json ? text : JSON.stringify(data, null, 2));
}

async function cancel(callId: string, { reason, json }: { reason?: string; json?: true }): Promise<void> {
  const { text } = await ask('DELETE', `/calls/${encodeURIComponent(callId)}`, { reason });
  print(json ? text : `${callId} is cancelled${await sayWhetherItIsOver(callId)}`);
}

/** Nothing where the key may not read calls. */
async function sayWhetherItIsOver(callId: string): Promise<string> {
  const asked = await ask('GET', `/calls/${encodeURIComponent(callId)}`).catch(() => null);
  const { data } = z.object({ roomDeletion: Deletion }).safeParse(asked?.data);
  if (data === undefined) return '';
  const { state, lastError } = data.roomDeletion;
  if (state === 'completed') return ', and its room is gone';
  const why = lastError === null ? '' : ` (${lastError})`;
  return `; its room is not gone yet${why}. It is tried again until it is: \`hangup calls get ${callId}\` shows how far that is`;
}
