import type { AuditEvent } from '../../domain/audit.ts';
import type { Call } from '../../domain/call.ts';
import { hasUnansweredPhone } from '../../domain/call.ts';
import {
  type CallDecision,
  type CallSelection,
  type CallSnapshot,
  type RelatedRow,
  writesNothing,
} from '../../domain/call-change.ts';
import {
  type CallCommand,
  type CommandKind,
  type CommandResults,
  handlerOf,
} from '../../domain/call-command.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { ChangedCall } from '../../ports/store.ts';
import { findAdoptionPrefix } from './adoption.ts';
import { appendAudit, appendDeletionEvents } from './audit.ts';
import { type CallColumn, statements, updateCall } from './call-statements.ts';
import { listActiveHolds, listRecordingCancellations } from './cancellation-rows.ts';
import type { Database } from './database.ts';
import { runOnce } from './idempotency.ts';
import { readTransaction } from './transaction.ts';

/**
 * Loads the rows, lets the domain decide, and writes the decision, in the transaction of the connection. Every change of a
 * call is made here.
 */
export function changeCall<Kind extends CommandKind>(
  db: Database,
  command: CallCommand<Kind>,
  now: Timestamp,
): ChangedCall<Kind> {
  const { selection, decide, idempotency } = handlerOf(command);
  let events: readonly AuditEvent[] = [];
  const { result, isReplay } = runOnce(db, idempotency, now, () => {
    const snapshot = loadSnapshot(db, selection, now);
    const decision = decide(snapshot);
    saveDecision(db, snapshot, decision);
    events = decision.changes.flatMap((change) => change.events);
    return decision;
  });
  // KeyReused is a result of every command that can have an Idempotency-Key.
  return { result: result as CommandResults[Kind], events, isReplay };
}

/** Decides on a read first a command that usually changes nothing. Returns null when the command may change a call. */
export function findUnchangedCall<Kind extends CommandKind>(
  db: Database,
  command: CallCommand<Kind>,
  now: Timestamp,
): ChangedCall<Kind> | null {
  const { selection, decide, isUsuallyNoChange } = handlerOf(command);
  if (!isUsuallyNoChange) return null;
  const decision = readTransaction(db, () => decide(loadSnapshot(db, selection, now)));
  return writesNothing(decision) ? { result: decision.result, events: [], isReplay: false } : null;
}

function loadSnapshot(
  db: Database,
  { target, related, newCallId, eventId, organizationId }: CallSelection,
  now: Timestamp,
): CallSnapshot {
  const queries = statements(db);
  const [call = null, previousCall = null] =
    'callId' in target
      ? queries.callById.all({ id: target.callId })
      : queries.newestTwoInRoom.all({ roomName: target.roomName });
  const roomName = 'callId' in target ? call?.roomName : target.roomName;
  /** Reads a related row of the call, or of its room. */
  const ofCall = <Row>(row: RelatedRow, read: (callId: string) => Row | undefined) =>
    call === null || !related.includes(row) ? null : (read(call.id) ?? null);
  const ofRoom = <Row>(row: RelatedRow, read: (roomName: string) => Row | undefined) =>
    roomName === undefined || !related.includes(row) ? null : (read(roomName) ?? null);
  const adoption = ofRoom('adoption', (roomName) => findAdoptionPrefix(db, roomName) ?? undefined);
  const newest = ofRoom('isNewestInRoom', (roomName) => queries.newestIdInRoom.get({ roomName }));
  return {
    now,
    call,
    previousCall,
    isNewestInRoom: newest !== null && newest.id === call?.id,
    hasLiveCallInRoom:
      ofRoom('hasLiveCallInRoom', (roomName) => queries.liveCallInRoom.get({ roomName })) !== null,
    deletion: ofCall('deletion', (callId) => queries.deletionOfCall.get({ callId })),
    incompleteDeletion: ofRoom('incompleteDeletion', (roomName) =>
      queries.incompleteDeletionInRoom.get({ roomName }),
    ),
    adoption,
    isIdTaken: newCallId !== null && queries.idOfCall.get({ id: newCallId }) !== undefined,
    isDuplicateEvent: eventId !== null && queries.eventById.get({ id: eventId }) !== undefined,
    holds: related.includes('holds')
      ? listActiveHolds(db, [organizationId, call?.organizationId, adoption?.organizationId])
      : [],
    runningCancellations:
      related.includes('runningCancellations') && call !== null
        ? listRecordingCancellations(db, call.organizationId, now)
        : [],
  };
}

function saveDecision(
  db: Database,
  snapshot: CallSnapshot,
  { changes, receivedEventId }: CallDecision<unknown>,
): void {
  const { now } = snapshot;
  const queries = statements(db);
  if (receivedEventId !== null) queries.insertEvent.run({ id: receivedEventId, receivedAt: now });
  for (const { call, isNew, deletions, events } of changes) {
    if (isNew) queries.insertCall.run(toRow(call));
    else if (call !== snapshot.call) saveChanges(db, snapshot.call, call);
    for (const deletion of deletions) queries.saveDeletion.run({ ...deletion });
    for (const event of events) appendAudit(db, event);
    // A scheduled deletion changes nothing that a reader of events can see: its call has ended in the same change.
    const attempted = deletions.filter(({ state }) => state !== 'available').map(({ callId }) => callId);
    appendDeletionEvents(db, attempted, now);
  }
}

/** Writes the columns of a call that differ from the row on record. */
function saveChanges(db: Database, before: Call | null, after: Call): void {
  if (before?.id !== after.id) throw new Error(`call ${after.id} was not loaded`);
  const names = Object.keys(after) as (keyof Call)[];
  const columns: CallColumn[] = names.filter(
    (name): name is Exclude<keyof Call, 'id'> => after[name] !== before[name],
  );
  if (columns.includes('status') || columns.includes('roster')) columns.push('hasUnansweredPhone');
  if (columns.length > 0) updateCall(db, columns).run(toRow(after));
}

/** Returns the values for a prepared statement, which writes JSON as text. */
function toRow({ roster, metadata, ...call }: Call) {
  return {
    ...call,
    roster: roster && JSON.stringify(roster),
    metadata: JSON.stringify(metadata),
    hasUnansweredPhone: hasUnansweredPhone({ status: call.status, roster }) ? 1 : 0,
  };
}
