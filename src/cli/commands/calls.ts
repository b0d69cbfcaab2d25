import { type Command, Option } from 'commander';
import { z } from 'zod';
import { CALL_STATUSES } from '../../domain/call-status.ts';
import { sendRequest } from '../api-client.ts';
import { CliError, print, printTable } from '../output.ts';
import { registerWatchCommand } from './watch.ts';

const MAY_BE_CANCELLED = 'The call may have been cancelled. Check with `hangup calls get`; retrying is safe.';

export function registerCallsCommand(program: Command): void {
  const calls = program
    .command('calls')
    .description('List, read, cancel and watch calls on the server at HANGUP_URL, with HANGUP_API_KEY');
  calls
    .command('list')
    .description('List calls, newest first')
    .addOption(new Option('--status <status...>', 'Only calls with these statuses').choices(CALL_STATUSES))
    .option('--limit <count>', 'Maximum number of calls, from 1 to 100', '50')
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
  registerWatchCommand(calls);
}

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
  const { text, data } = await sendRequest('GET', '/calls', {
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
  const { text, data } = await sendRequest('GET', callPath(callId), {
    dataSchema: z.looseObject({ id: z.literal(callId) }),
  });
  print(json ? text : JSON.stringify(data, null, 2));
}

async function cancel(callId: string, { reason, json }: { reason?: string; json?: true }): Promise<void> {
  const dataSchema = z.object({ id: z.literal(callId), status: z.literal('cancelled') });
  const { text } = await sendRequest('DELETE', callPath(callId), {
    query: { reason },
    dataSchema,
    uncertainty: MAY_BE_CANCELLED,
  });
  print(json ? text : `cancelled ${callId}${await describeRoomDeletion(callId)}`);
}

/** Returns the path of a call in the REST API. @throws CliError for an id that no path can contain */
export function callPath(callId: string): string {
  // URL normalization would remove these path segments.
  if (/^\.{0,2}$/.test(callId)) throw new CliError('Call not found.');
  return `/calls/${encodeURIComponent(callId)}`;
}

/** Returns the state of the room's deletion, as the end of a sentence; empty if the key cannot read calls. */
async function describeRoomDeletion(callId: string): Promise<string> {
  const dataSchema = z.object({ id: z.literal(callId), roomDeletion: RoomDeletion });
  const response = await sendRequest('GET', callPath(callId), { dataSchema }).catch(() => null);
  if (response === null) return '';
  const { state, lastError } = response.data.roomDeletion;
  if (state === 'completed') return '; its room is gone';
  const cause = lastError === null ? '' : ` (${lastError})`;
  return `; its room still exists${cause}. hangup retries until the room is gone; \`hangup calls get ${callId}\` prints the state`;
}
