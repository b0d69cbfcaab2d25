import { type Command, Option } from 'commander';
import { type DeletionState, OPEN_DELETION_STATES } from '../../domain/room-deletion.ts';
import { toIso, toIsoOrNull } from '../../domain/time.ts';
import { withExistingStore } from '../open-store.ts';
import { CliError, print, printTable } from '../output.ts';

const STATES = [...OPEN_DELETION_STATES, 'discarded'] as const;
const MAX_ROWS = 1_000;

export function registerDeletionsCommand(program: Command): void {
  const deletions = program
    .command('deletions')
    .description('List open and discarded room deletions, and retry them');
  deletions
    .command('list')
    .description(`List open and discarded room deletions, oldest first, at most ${MAX_ROWS}`)
    .addOption(
      new Option('--state <state...>', 'Only deletions in these states')
        .choices(STATES)
        .default([...STATES], 'all'),
    )
    .option('--json', 'Print a JSON array')
    .action(list);
  deletions
    .command('retry')
    .description('Retry a room deletion at once, even a discarded one')
    .argument('<call-id>', 'Call id from `deletions list`')
    .action(retry);
}

function list({ state, json }: { state: DeletionState[]; json?: true }): Promise<void> {
  return withExistingStore(async (store) => {
    const deletions = await store.listDeletions({ states: state, limit: MAX_ROWS });
    if (json) {
      print(
        JSON.stringify(
          deletions.map(({ createdAt, scheduledAt, attemptedAt, finalizedAt, ...rest }) => ({
            ...rest,
            createdAt: toIso(createdAt),
            nextAttemptAt: finalizedAt === null ? toIso(scheduledAt) : null,
            attemptedAt: toIsoOrNull(attemptedAt),
            finalizedAt: toIsoOrNull(finalizedAt),
          })),
        ),
      );
    } else if (deletions.length === 0) print('no open or discarded room deletions');
    else {
      const rows = deletions.map(({ callId, state, attempt, createdAt, lastError }) => [
        callId,
        state,
        String(attempt),
        toIso(createdAt),
        lastError ?? '',
      ]);
      printTable([['CALL', 'STATE', 'ATTEMPTS', 'SINCE', 'LAST ERROR'], ...rows]);
    }
  });
}

function retry(callId: string): Promise<void> {
  return withExistingStore(async (store) => {
    switch (await store.retryDeletion({ callId })) {
      case null:
        throw new CliError(
          `room deletion not found: ${callId}; \`hangup deletions list\` lists open and discarded deletions`,
        );
      case 'completed':
        throw new CliError(`the room of ${callId} is already deleted; there is nothing to retry`);
      default:
        print(
          `the room deletion of ${callId} is due; a running hangup starts it within 5 s, a stopped hangup at its next start`,
        );
    }
  });
}
