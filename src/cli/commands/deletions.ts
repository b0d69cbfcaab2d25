import { type Command, Option } from 'commander';
import { type DeletionState, OPEN_DELETION_STATES } from '../../domain/room-deletion.ts';
import { print, printTable, Refused, withStore } from '../output.ts';

const STATES = [...OPEN_DELETION_STATES, 'discarded'] as const;
const SHOWN_AT_MOST = 1_000;

/** `hangup deletions`: rooms that should be gone and are not yet. */
export function addDeletions(hangup: Command): void {
  const deletions = hangup
    .command('deletions')
    .description('see which rooms of ended calls are not gone yet, and try one again');
  deletions
    .command('list')
    .description(`list them, oldest first, at most ${SHOWN_AT_MOST}`)
    .addOption(
      new Option('--state <state...>', 'only in these states').choices(STATES).default([...STATES], 'all'),
    )
    .option('--json', 'print one JSON array')
    .action(list);
  deletions
    .command('retry')
    .description('try one again at once, also one that was given up')
    .argument('<call-id>', 'the call id that `deletions list` shows')
    .action(retry);
}

function list({ state, json }: { state: DeletionState[]; json?: true }): Promise<void> {
  return withStore(async (store) => {
    const found = await store.listDeletions({ states: state, limit: SHOWN_AT_MOST });
    if (json) {
      const iso = (at: number | null) => (at === null ? null : new Date(at).toISOString());
      print(
        JSON.stringify(
          found.map(({ createdAt, scheduledAt, attemptedAt, finalizedAt, ...told }) => ({
            ...told,
            createdAt: iso(createdAt),
            nextAttemptAt: finalizedAt === null ? iso(scheduledAt) : null,
            attemptedAt: iso(attemptedAt),
            finalizedAt: iso(finalizedAt),
          })),
        ),
      );
    } else if (found.length === 0) print('none: every room that should be gone is gone');
    else {
      const rows = found.map(({ callId, state, attempt, createdAt, lastError }) => [
        callId,
        state,
        String(attempt),
        new Date(createdAt).toISOString(),
        lastError ?? '',
      ]);
      printTable([['CALL', 'STATE', 'ATTEMPTS', 'SINCE', 'LAST ERROR'], ...rows]);
    }
  });
}

function retry(callId: string): Promise<void> {
  return withStore(async (store) => {
    switch (await store.retryDeletion({ callId })) {
      case null:
        throw new Refused(`there is no deletion for ${callId}; \`hangup deletions list\` shows them`);
      case 'completed':
        throw new Refused(`the room of ${callId} was deleted; there is nothing to try again`);
      default:
        print(`the room of ${callId} is deleted by the running hangup within 5 s, or when one starts`);
    }
  });
}
