import type { Call } from '../../domain/call.ts';
import { hasUnansweredPhone } from '../../domain/call.ts';
import {
  type CallDecision,
  type CallSelection,
  type CallSnapshot,
  writesNothing,
} from '../../domain/call-change.ts';
import { type CallCommand, type CommandKind, handlerOf } from '../../domain/call-command.ts';

import type { Timestamp } from '../../domain/time.ts';
import type { ChangedCall } from '../../ports/store.ts';
import { findAdoptionPrefix } from './adoption.ts';
import { appendAudit } from './audit.ts';
import { statements } from './call-statements.ts';
import type { Database } from './database.ts';
import { findIdempotentResponse, saveIdempotentResponse } from './idempotency.ts';
import { toCall, toDeletion } from './rows.ts';
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
  const { selection, decide } = handlerOf(command);
  const snapshot = loadSnapshot(db, selection, now);
  const decision = decide(snapshot);
  saveDecision(db, snapshot, decision);
  const events = decision.changes.flatMap((change) => change.events);
  return { result: decision.result, events };
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
  return writesNothing(decision) ? { result: decision.result, events: [] } : null;
}

function loadSnapshot(
  db: Database,
  { target, newCallId, eventId, idempotency }: CallSelection,
  now: Timestamp,
): CallSnapshot {
  const queries = statements(db);
  const { call, previousCall, isNewestInRoom } =
    'callId' in target ? loadCall(db, target.callId) : loadNewestCalls(db, target.roomName);
  const roomName = 'callId' in target ? call?.roomName : target.roomName;
  const deletion = call === null ? undefined : queries.deletionOfCall.get({ callId: call.id });
  const incompleteDeletion =
    roomName === undefined ? undefined : queries.incompleteDeletionInRoom.get({ roomName });
  return {
    now,
    call,
    previousCall,
    isNewestInRoom,
    hasLiveCallInRoom: roomName !== undefined && queries.liveCallInRoom.get({ roomName }) !== undefined,
    deletion: deletion === undefined ? null : toDeletion(deletion),
    incompleteDeletion: incompleteDeletion === undefined ? null : toDeletion(incompleteDeletion),
    adoption: roomName === undefined ? null : findAdoptionPrefix(db, roomName),
    isIdTaken: newCallId !== null && queries.idOfCall.get({ id: newCallId }) !== undefined,
    isDuplicateEvent: eventId !== null && queries.eventById.get({ id: eventId }) !== undefined,
    idempotentResponse: idempotency === null ? null : findIdempotentResponse(db, idempotency),
  };
}

type SelectedCalls = Pick<CallSnapshot, 'call' | 'previousCall' | 'isNewestInRoom'>;

function loadCall(db: Database, id: string): SelectedCalls {
  const row = statements(db).callById.get({ id });
  if (row === undefined) return { call: null, previousCall: null, isNewestInRoom: false };
  const call = toCall(row);
  const newest = statements(db).newestIdInRoom.get({ roomName: call.roomName });
  return { call, previousCall: null, isNewestInRoom: newest?.id === id };
}

function loadNewestCalls(db: Database, roomName: string): SelectedCalls {
  const [call = null, previousCall = null] = statements(db).newestTwoInRoom.all({ roomName }).map(toCall);
  return { call, previousCall, isNewestInRoom: call !== null };
}

function saveDecision(
  db: Database,
  snapshot: CallSnapshot,
  { changes, receivedEventId, idempotentResponse }: CallDecision<unknown>,
): void {
  const { now } = snapshot;
  if (receivedEventId !== null) statements(db).insertEvent.run({ id: receivedEventId, receivedAt: now });
  if (idempotentResponse !== null) saveIdempotentResponse(db, idempotentResponse);
  for (const { call, isNew, deletions, events } of changes) {
    if (isNew) statements(db).insertCall.run(toRow(call));
    else if (call !== snapshot.call) statements(db).updateCall.run(toRow(call));
    for (const deletion of deletions) statements(db).saveDeletion.run({ ...deletion });
    for (const event of events) appendAudit(db, event);
  }
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
