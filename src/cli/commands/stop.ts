import { type Command, InvalidArgumentError, Option } from 'commander';
import { z } from 'zod';
import { dateOrTimestamp, phoneNumber, plainText } from '../../api/validators.ts';
import { DIRECTIONS, LIVE_STATUSES } from '../../domain/call-status.ts';
import { systemRandom } from '../../platform/clock.ts';
import { ApiError, sendRequest } from '../api-client.ts';
import { CliError, print, printProgress, printTable } from '../output.ts';
import {
  type Cancellation,
  CancellationSchema,
  cancellationPath,
  countCalls,
  describeCounts,
  isDone,
  type Preview,
  PreviewSchema,
} from '../stop/cancellation.ts';
import { confirmCount } from '../stop/confirm.ts';
import { type Interruption, runInterruptibly } from '../stop/interruption.ts';
import { formatPreview, type Selector } from '../stop/preview.ts';
import { createBar, createJsonLines, createLines, type ProgressView } from '../stop/progress.ts';
import { retryTransientFailures } from '../stop/retry.ts';
import { howToWatch, watchCancellation } from '../stop/watch.ts';

/** How long requests without a response are retried: the preview changes nothing, and the start must not get lost. */
const PREVIEW_RETRY_MS = 10_000;
const START_RETRY_MS = 60_000;

const EXAMPLES = `
Examples:
  hangup stop --agent receptionist --reason 'wrong advice' --hold
  hangup stop --status ringing initiated --direction outbound --reason 'wrong list of numbers'
  hangup stop --all --reason outage --yes
  hangup stop lift ID                             Let new calls through again

Filters combine: a call must match each of them. Ctrl-C does not end a stop that was started.
The key in HANGUP_API_KEY needs the scope calls:stop.
To read more: hangup docs emergency-stop`;

interface StopOptions {
  readonly agent?: string;
  readonly status?: string[];
  readonly direction?: string;
  readonly phone?: string;
  readonly from?: string;
  readonly to?: string;
  readonly all?: true;
  readonly reason?: string;
  readonly hold?: true;
  readonly dryRun?: true;
  readonly yes?: true;
  readonly expectAtMost?: number;
  readonly json?: true | undefined;
}

export function registerStopCommand(program: Command): void {
  const stop: Command = program
    .command('stop')
    .description('Cancel all matching calls and delete their rooms, on the server at HANGUP_URL')
    // Gives the options after the name of a subcommand to the subcommand.
    .enablePositionalOptions()
    .option('--agent <id>', 'Only calls of this agent', accept(plainText(256)))
    .addOption(new Option('--status <status...>', 'Only calls with these statuses').choices(LIVE_STATUSES))
    .addOption(new Option('--direction <direction>', 'Only calls in this direction').choices(DIRECTIONS))
    .option('--phone <number>', 'Only calls with this phone number', accept(phoneNumber))
    .option(
      '--from <time>',
      'Only calls created at this time or later; an ISO 8601 date or time',
      accept(dateOrTimestamp('startOfDay')),
    )
    .option('--to <time>', 'Only calls created at this time or earlier', accept(dateOrTimestamp('endOfDay')))
    .option('--all', "All live calls of the key's organization")
    .option('--reason <reason>', 'Reason, for the calls and the audit log; required', accept(plainText(500)))
    .option('--hold', 'Refuse new calls that match, until `hangup stop lift`')
    .option('--dry-run', 'Print the calls that match, but cancel none')
    .option('--yes', 'Start the stop without a confirmation')
    .option('--expect-at-most <count>', 'Cancel nothing if more calls match', parseCount)
    .option('--json', 'Print a JSON object for each change; requires --yes or --dry-run')
    .addHelpText('after', EXAMPLES)
    .hook('preSubcommand', (_, subcommand) => refuseOptionsBefore(subcommand, stop))
    .action(async (options: StopOptions): Promise<void> => {
      const selector = readSelector(options, stop);
      const { reason, json, yes, dryRun } = options;
      if (reason === undefined) return stop.error('error: required option --reason is missing');
      if (json && !yes && !dryRun) return stop.error('error: --json requires --yes or --dry-run');
      if (!yes && !dryRun && !process.stdin.isTTY) {
        return stop.error(
          'error: standard input is not a terminal, so nobody can confirm the stop; use --yes to start it without a confirmation',
        );
      }
      await runInterruptibly((interruption) => startStop({ ...options, reason, selector }, interruption));
    });
  stop
    .command('list')
    .description('List stops, newest first')
    .option('--limit <count>', 'Maximum number of stops, from 1 to 100', '20')
    .option('--json', "Print the server's response")
    .action(list);
  stop
    .command('watch')
    .description('Show the progress of a stop until its last room is gone')
    .argument('<id>', 'Id from `stop list`')
    .option('--json', 'Print a JSON object for each change')
    .action(watch);
  stop
    .command('lift')
    .description('Lift the hold of a stop, so that new calls can start again')
    .argument('<id>', 'Id from `stop list`')
    .option('--json', "Print the server's response")
    .action(lift);
}

/** Returns a parser of an option that accepts the values that the server accepts, and returns them unchanged. */
function accept(schema: z.ZodType): (text: string) => string {
  return (text) => {
    const { error } = schema.safeParse(text);
    if (error === undefined) return text;
    throw new InvalidArgumentError(`${error.issues.map(({ message }) => message).join('; ')}.`);
  };
}

function parseCount(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('expected a whole number.');
}

/** Commander would ignore the options in `hangup stop --all lift ID`. */
function refuseOptionsBefore(subcommand: Command, stop: Command): void {
  const [given] = Object.keys(stop.opts());
  if (given !== undefined)
    stop.error(`error: \`hangup stop ${subcommand.name()}\` takes its options after it`);
}

function readSelector(options: StopOptions, stop: Command): Selector {
  const { agent, status, direction, phone, from, to, all } = options;
  const filter = {
    ...(agent !== undefined && { agentId: agent }),
    ...(status !== undefined && { status }),
    ...(direction !== undefined && { direction }),
    ...(phone !== undefined && { phoneNumber: phone }),
    ...(from !== undefined && { startDate: from }),
    ...(to !== undefined && { endDate: to }),
  };
  const isFiltered = Object.keys(filter).length > 0;
  if (all && isFiltered) return stop.error('error: --all cannot be combined with a filter');
  if (all) return { all };
  if (isFiltered) return { filter };
  return stop.error(
    'error: no calls are selected; use --agent, --status, --direction, --phone, --from or --to, or --all for all calls',
  );
}

type StopRequest = StopOptions & { readonly reason: string; readonly selector: Selector };

async function startStop(request: StopRequest, interruption: Interruption): Promise<void> {
  const { selector, hold: hasHold = false, dryRun, yes, json, expectAtMost } = request;
  const { text, preview } = await loadPreview(request, interruption);
  const { total } = preview.matched;
  const shown = formatPreview(preview, { selector, hasHold });
  if (dryRun) print(json ? text : shown);
  else process.stderr.write(`${shown}\n`);
  if (expectAtMost !== undefined && total > expectAtMost) {
    throw new CliError(
      `matches ${countCalls(total)}, more than --expect-at-most ${expectAtMost}. Nothing was started.`,
    );
  }
  if (dryRun) return;
  if (total === 0 && !hasHold) {
    print(json ? JSON.stringify(preview) : 'no calls match; nothing to stop');
    return assertNone(await findOtherStops(null, interruption));
  }
  if (!yes) {
    process.stderr.write(`\nTo cancel ${countCalls(total)}, type this number: `);
    await confirmCount(total, { input: process.stdin, signal: interruption.signal });
  }
  const { id } = await createCancellation(request, interruption);
  printProgress(`started ${id}; Ctrl-C does not end the stop`);
  await watchUntilDone(id, { json, expected: total }, interruption);
}

async function loadPreview(
  request: StopRequest,
  { signal }: Interruption,
): Promise<{ text: string; preview: Preview }> {
  const body = { ...bodyOf(request), dryRun: true };
  const { text, data: preview } = await retryTransientFailures(
    () => sendRequest('POST', '/cancellations', { body, dataSchema: PreviewSchema, signal }),
    { limitMs: PREVIEW_RETRY_MS, signal, onRetry: ({ message }) => printProgress(`${message} Retrying.`) },
  );
  return { text, preview };
}

/** Starts the stop once, however often the request is sent: each attempt has the same Idempotency-Key. */
async function createCancellation(request: StopRequest, interruption: Interruption): Promise<Cancellation> {
  const { signal } = interruption;
  const { expectAtMost } = request;
  interruption.effect = MAY_BE_STARTED;
  const options = {
    // Only --expect-at-most limits the number: a call that starts during the confirmation must not prevent the stop.
    body: { ...bodyOf(request), ...(expectAtMost !== undefined && { expectedAtMost: expectAtMost }) },
    headers: { 'idempotency-key': Buffer.from(systemRandom.bytes(16)).toString('base64url') },
    dataSchema: CancellationSchema,
    signal,
  };
  let mayBeStarted = false;
  try {
    const { data } = await retryTransientFailures(() => sendRequest('POST', '/cancellations', options), {
      limitMs: START_RETRY_MS,
      signal,
      onRetry: ({ message }) => {
        mayBeStarted = true;
        printProgress(`${message} Retrying; the Idempotency-Key prevents a second stop.`);
      },
    });
    return data;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const effect = mayBeStarted || error.isTransient ? MAY_BE_STARTED : 'nothing was started';
    throw new CliError(`${error.message} Result: ${effect}.`);
  }
}

const MAY_BE_STARTED =
  'the stop may have been started. Check with `hangup stop list`; another stop for the same calls is safe';

function bodyOf({ selector, reason, hold }: StopRequest): object {
  return { ...selector, reason, hold: hold === true };
}

/** @throws CliError when a room is left */
async function watchUntilDone(
  id: string,
  { json, expected }: { json: true | undefined; expected: number },
  interruption: Interruption,
): Promise<void> {
  interruption.effect = `the stop ${id} goes on; ${howToWatch(id)}`;
  const view = createView({ json, expected });
  let cancellation: Cancellation;
  try {
    cancellation = await watchCancellation(id, { view, signal: interruption.signal });
  } finally {
    view.close();
  }
  const { counts, hold } = cancellation;
  if (hold?.state === 'active') {
    printProgress(
      `the hold is active: new calls that match get 409; \`hangup stop lift ${id}\` lifts the hold`,
    );
  }
  if (!isDone(cancellation)) {
    throw new CliError(
      `${id} is completed, but rooms may still exist: ${describeCounts(counts)}. On the server, \`hangup deletions list\` prints the causes, and \`hangup deletions retry CALL_ID\` deletes the room of a call.`,
    );
  }
  const others = await findOtherStops(id, interruption);
  const rooms = others.length === 0 ? 'no room is left' : 'its rooms are gone';
  if (!json) print(`completed ${id}: ${countCalls(counts.cancelled)} cancelled; ${rooms}`);
  assertNone(others);
}

/**
 * Returns the other running stops of the organization: calls that they have cancelled match no more, but their rooms may
 * still exist.
 */
async function findOtherStops(id: string | null, { signal }: Interruption): Promise<Cancellation[]> {
  const response = await listStops('100', signal).catch((error: unknown) => {
    // The stop itself has succeeded.
    if (error instanceof ApiError) return null;
    throw error;
  });
  const stops = response?.data.cancellations ?? [];
  return stops.filter((other) => other.state !== 'completed' && other.id !== id);
}

/** @throws CliError when another stop is running */
function assertNone(others: readonly Cancellation[]): void {
  if (others.length === 0) return;
  const lines = others.map(
    ({ id, counts }) =>
      `the stop ${id} is still running; its pending rooms: ${counts.rooms.pending}; ${howToWatch(id)}`,
  );
  throw new CliError(`rooms of other stops may still exist\n${lines.join('\n')}`);
}

function listStops(limit: string, signal?: AbortSignal) {
  return sendRequest('GET', '/cancellations', {
    query: { limit },
    dataSchema: z.object({ cancellations: z.array(CancellationSchema) }),
    ...(signal !== undefined && { signal }),
  });
}

function createView({ json, expected }: { json: true | undefined; expected: number }): ProgressView {
  if (json) return createJsonLines();
  if (process.stderr.isTTY) return createBar(process.stderr, { expected });
  return createLines({ now: () => performance.now() });
}

function watch(id: string, { json }: { json?: true }): Promise<void> {
  return runInterruptibly((interruption) => watchUntilDone(id, { json, expected: 0 }, interruption));
}

async function list({ limit, json }: { limit: string; json?: true }): Promise<void> {
  const { text, data } = await listStops(limit);
  if (json) return print(text);
  if (data.cancellations.length === 0) return print('no stops');
  printTable([
    ['STOP', 'STATE', 'HOLD', 'CANCELLED', 'GONE', 'PENDING', 'DISCARDED', 'CREATED', 'REASON'],
    ...data.cancellations.map(({ id, state, hold, counts: { cancelled, rooms }, createdAt, reason }) => [
      id,
      state,
      hold?.state ?? '-',
      String(cancelled),
      String(rooms.deleted),
      String(rooms.pending),
      String(rooms.discarded),
      createdAt,
      reason,
    ]),
  ]);
}

async function lift(id: string, { json }: { json?: true }): Promise<void> {
  const { text } = await sendRequest('DELETE', `${cancellationPath(id)}/hold`, {
    dataSchema: CancellationSchema,
    uncertainty: 'The hold may have been lifted. Check with `hangup stop list`; retrying is safe.',
  });
  print(json ? text : `lifted the hold of ${id}; new calls can start again`);
}
