import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { EventData } from '../../api/events/event-data.ts';
import { errorCode, errorMessage } from '../../domain/errors.ts';
import { parseJson } from '../../domain/json.ts';
import { ApiError } from '../api-client.ts';
import { receiveEvents, type StreamState } from '../event-connection.ts';
import { printProgress, printSafely } from '../output.ts';

const MAX_RETRY_MS = 30_000;

interface WatchOptions {
  readonly agent?: string;
  readonly call?: string;
  readonly cancellation?: string;
  readonly json?: true;
}

export function registerWatchCommand(calls: Command): void {
  calls
    .command('watch')
    .description('Print each change of a call, a room deletion or a stop, until Ctrl-C')
    .option('--agent <id>', 'Only calls of this agent')
    .option('--call <id>', 'Only this call')
    .option('--cancellation <id>', 'Only changes by this stop')
    .option('--json', 'Print a JSON object for each change')
    .action(watch);
}

async function watch(options: WatchOptions): Promise<void> {
  const interrupted = new AbortController();
  const interrupt = () => interrupted.abort();
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    await printEvents(options, interrupted.signal);
  } catch (error) {
    // After Ctrl-C, and after the reader of a pipe has ended.
    if (!interrupted.signal.aborted && errorCode(error) !== 'EPIPE') throw error;
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}

/** Connects again after each loss of the connection, but not when the first attempt fails. */
async function printEvents(
  { agent, call, cancellation, json }: WatchOptions,
  signal: AbortSignal,
): Promise<void> {
  const query = { agentId: agent, callId: call, cancellationId: cancellation };
  const state: StreamState = { lastEventId: null, retryMs: 1_000 };
  let delayMs = state.retryMs;
  let wasLost = false;
  const onOpen = () => {
    if (wasLost) printProgress('connected again');
    wasLost = false;
    delayMs = state.retryMs;
  };
  for (;;) {
    let cause = 'the server ended the connection';
    let retryAfterMs = 0;
    try {
      for await (const { data } of receiveEvents(query, state, { signal, onOpen })) {
        await printSafely(json ? data : describe(data));
      }
    } catch (error) {
      signal.throwIfAborted();
      const isFinal = error instanceof ApiError && !error.isTransient;
      const isFirst = state.lastEventId === null;
      if (isFinal || isFirst || errorCode(error) === 'EPIPE') throw error;
      if (error instanceof ApiError) retryAfterMs = error.retryAfterMs ?? 0;
      cause = errorMessage(error instanceof Error ? (error.cause ?? error) : error);
    }
    signal.throwIfAborted();
    if (!wasLost) printProgress(`connection lost: ${cause}. Connecting again.`);
    wasLost = true;
    await sleep(Math.max(delayMs, retryAfterMs), undefined, { signal });
    delayMs = Math.min(2 * delayMs, MAX_RETRY_MS);
  }
}

/** Returns the line of an event. A newer server can send events of other types. */
function describe(data: string): string {
  const event = EventData.safeParse(parseJson(data)).data;
  if (event === undefined) return data;
  return `${event.at}  ${describeChange(event)}`;
}

function describeChange(event: EventData): string {
  switch (event.type) {
    case 'call.created': {
      const agent = event.agentId === null ? '' : `, agent ${event.agentId}`;
      return `${event.callId}  created: ${event.status}${agent}`;
    }
    case 'call.status_changed': {
      const cause = event.cancellationId === null ? '' : ` by ${event.cancellationId}`;
      const reason = event.reason === null ? '' : ` (${event.reason})`;
      return `${event.callId}  ${event.from} -> ${event.to}${cause}${reason}`;
    }
    case 'call.room_deletion': {
      const error = event.error === null ? '' : ` (${event.error})`;
      return `${event.callId}  room deletion ${event.state}, attempt ${event.attempt}${error}`;
    }
    case 'cancellation.progress': {
      const { cancelled, rooms } = event.counts;
      const { deleted, pending, discarded } = rooms;
      return `${event.cancellationId}  ${event.state}: ${cancelled} cancelled; rooms: ${deleted} gone, ${pending} pending, ${discarded} discarded`;
    }
    case 'hold.lifted':
      return `${event.cancellationId}  hold lifted by ${event.by}`;
    case 'reset':
      return 'changes are missing: the server does not have them any more; new changes follow';
    case 'opened':
      return 'connected';
  }
}
