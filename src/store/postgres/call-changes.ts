import type { AuditEvent } from '../../domain/audit.ts';
import { type Call, hasUnansweredPhone } from '../../domain/call.ts';
import { type CallSelection, type CallSnapshot, writesNothing } from '../../domain/call-change.ts';
import { type CallCommand, type CommandKind, handlerOf } from '../../domain/call-command.ts';
import { StoreBusyError } from '../../domain/errors.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { ChangedCall } from '../../ports/store.ts';
import type { NewAuditEvent } from './audit.ts';
import { insertRows, updateRows, upsertRows } from './bulk.ts';
import {
  isCallCovered,
  isOrganizationCovered,
  type LoadedRows,
  loadRowsOf,
  lockRowsOf,
} from './call-loads.ts';
import { type CallColumn, type CallRows, createCallRows } from './call-rows.ts';
import type { Database } from './database.ts';
import { TransactionConflict } from './errors.ts';
import { findReplay, responseOf, saveResponses } from './idempotency.ts';
import type { LaneOutcome } from './lane.ts';
import { calls, livekitEvents, roomDeletions } from './schema.ts';
import type { Session } from './session.ts';
import { decideInTransaction, type Plan, readSnapshot } from './transaction.ts';

/** A command whose caller waits until a time. */
export interface TimedCommand {
  readonly command: CallCommand;
  readonly expiresAtMs: number;
}

type Request = ReturnType<typeof handlerOf> & Pick<TimedCommand, 'expiresAtMs'>;

export type CommandOutcome = LaneOutcome<ChangedCall<CommandKind>>;

/**
 * Runs commands in one transaction: loads the rows of all, lets the domain decide each in order, and writes all decisions.
 * Every change of a call is made here, or by {@link decideCommands}.
 */
export function changeCalls(db: Database, commands: readonly TimedCommand[]): Promise<CommandOutcome[]> {
  return changeTogether(
    db,
    commands.map(({ command, expiresAtMs }) => ({ ...handlerOf(command), expiresAtMs })),
  );
}

function changeTogether(db: Database, requests: readonly Request[]): Promise<CommandOutcome[]> {
  const load = async (session: Session) => {
    const [keys, rows] = await Promise.all([lockRowsOf(session, requests), loadRowsOf(session, requests)]);
    return { keys, rows };
  };
  return decideInTransaction(db, db.lane, load, ({ keys, rows }, now): Plan<CommandOutcome[]> => {
    const { outcomes, write, audit } = decideCommands(requests, rows, now, (snapshot, selection) =>
      assertCovered(keys, snapshot, selection),
    );
    return { result: outcomes, write, events: audit };
  });
}

/** The locks were chosen by rows that another transaction may have changed meanwhile. @throws TransactionConflict */
function assertCovered(
  keys: ReadonlySet<string>,
  { call, adoption }: CallSnapshot,
  { related, organizationId }: CallSelection,
): void {
  const organizations = [organizationId, call?.organizationId, adoption?.organizationId];
  const areCovered =
    !(related.includes('holds') || related.includes('runningCancellations')) ||
    organizations.every((id) => id == null || isOrganizationCovered(keys, id));
  if ((call !== null && !isCallCovered(keys, call)) || !areCovered) {
    throw new TransactionConflict('a call was registered or adopted meanwhile');
  }
}

/** Decides commands in order on loaded rows. The caller writes the decisions in the transaction that loaded the rows. */
export function decideCommands(
  requests: readonly Request[],
  loaded: LoadedRows,
  now: Timestamp,
  check: (snapshot: CallSnapshot, selection: CallSelection) => void,
): {
  readonly outcomes: CommandOutcome[];
  write(session: Session): Promise<unknown>[];
  readonly audit: readonly NewAuditEvent[];
} {
  const rows = createCallRows(loaded, now);
  const responses = new Map(loaded.responses.map((response) => [nameOf(response), response]));
  const unsaved = new Set<string>();

  function decide({ selection, decide: decideOn, idempotency }: Request): ChangedCall<CommandKind> {
    if (idempotency !== null) {
      const replay = findReplay<ChangedCall<CommandKind>['result']>(
        idempotency,
        responses.get(nameOf(idempotency)) ?? null,
        now,
      );
      if (replay !== null) return { ...replay, events: [] };
    }
    const snapshot = rows.snapshotOf(selection);
    check(snapshot, selection);
    const decision = decideOn(snapshot);
    const events: readonly AuditEvent[] = rows.apply(snapshot, decision);
    const { result, outcome } = decision;
    if (idempotency !== null && outcome !== null) {
      responses.set(nameOf(idempotency), responseOf(idempotency, outcome, now));
      unsaved.add(nameOf(idempotency));
    }
    return { result, events, isReplay: false };
  }

  const outcomes = requests.map((request): CommandOutcome => {
    // The caller got this error while the transaction waited for its locks.
    if (performance.now() >= request.expiresAtMs) return { error: new StoreBusyError() };
    try {
      return { result: decide(request) };
    } catch (error) {
      if (error instanceof TransactionConflict) throw error;
      return { error };
    }
  });
  const write = (session: Session) => [
    ...writeRows(session, rows, now),
    saveResponses(
      session,
      [...unsaved].flatMap((name) => responses.get(name) ?? []),
    ),
  ];
  return { outcomes, write, audit: rows.writes().audit };
}

const nameOf = ({ organizationId, key }: { organizationId: string; key: string }) =>
  JSON.stringify([organizationId, key]);

const insertEvents = insertRows(livekitEvents, ['id', 'receivedAt']);
const saveDeletions = upsertRows(
  roomDeletions,
  [
    'callId',
    'roomName',
    'state',
    'attempt',
    'scheduledAt',
    'attemptedAt',
    'finalizedAt',
    'lastError',
    'createdAt',
    'cancellationId',
  ],
  ['callId'],
);
const CALL_COLUMNS = [
  'organizationId',
  'status',
  'direction',
  'phoneNumber',
  'agentId',
  'agentName',
  'contactName',
  'contactPhone',
  'contactEmail',
  'roomName',
  'roomId',
  'roster',
  'reviewAt',
  'hasUnansweredPhone',
  'adoptedPrefix',
  'jobId',
  'sipParticipantId',
  'metadata',
  'failureReason',
  'cancelledBy',
  'cancelReason',
  'cancellationId',
  'scheduledAt',
  'startedAt',
  'answeredAt',
  'endedAt',
  'createdAt',
  'updatedAt',
] as const satisfies readonly CallColumn[];
const insertCalls = insertRows<CallColumn | 'id'>(calls, ['id', ...CALL_COLUMNS]);

/** Changes first: the end of a call makes its room name free for a new call. */
function writeRows(session: Session, rows: CallRows, now: Timestamp): Promise<unknown>[] {
  const { eventIds, inserted, updated, deletions } = rows.writes();
  return [
    insertEvents.run(
      session,
      eventIds.map((id) => ({ id, receivedAt: now })),
    ),
    ...[...updated].map(([columns, changed]) => updateCalls(columns).run(session, changed.map(toRow))),
    insertCalls.run(session, inserted.map(toRow)),
    saveDeletions.run(session, deletions),
  ];
}

const updates = new Map<string, ReturnType<typeof updateRows<CallColumn | 'id'>>>();

/** Returns the statement that sets these columns. The domain's decisions change few combinations of columns. */
function updateCalls(columns: readonly CallColumn[]) {
  const name = columns.join();
  const statement = updates.get(name) ?? updateRows<CallColumn | 'id'>(calls, ['id', ...columns], 'id');
  updates.set(name, statement);
  return statement;
}

const toRow = (call: Call) => ({ ...call, hasUnansweredPhone: hasUnansweredPhone(call) ? 1 : 0 });

/**
 * Decides, on reads without locks, commands that usually change nothing. Returns null for a command that may change a call.
 * @throws StoreBusyError
 */
export async function findUnchangedCalls(
  db: Database,
  commands: readonly CallCommand[],
): Promise<(ChangedCall<CommandKind> | null)[]> {
  const requests = commands.map((command) => handlerOf(command));
  const { rows, now } = await readSnapshot(db, (session) =>
    loadRowsOf(session, requests, { isReadOnly: true }),
  );
  const unchanged = createCallRows(rows, now);
  return requests.map(({ selection, decide }) => {
    try {
      const decision = decide(unchanged.snapshotOf(selection));
      return writesNothing(decision) ? { result: decision.result, events: [], isReplay: false } : null;
    } catch {
      // The command runs again as a change, and reports its error.
      return null;
    }
  });
}

/** Whether a command usually changes nothing: see {@link findUnchangedCalls}. */
export const isUsuallyUnchanged = (command: CallCommand) => handlerOf(command).isUsuallyNoChange;
