import type { AuditEvent } from '../../domain/audit.ts';
import { type Call, hasUnansweredPhone } from '../../domain/call.ts';
import type { CallDecision, CallSelection, CallSnapshot, RelatedRow } from '../../domain/call-change.ts';
import { isLive } from '../../domain/call-status.ts';
import { isMatching } from '../../domain/cancellation.ts';
import type { RoomDeletion } from '../../domain/room-deletion.ts';
import type { Timestamp } from '../../domain/time.ts';
import { deletionEvent, type NewAuditEvent } from './audit.ts';
import type { LoadedRows } from './call-loads.ts';
import { toStoredText } from './session.ts';

/** Columns of a call that an update may change. */
export type CallColumn = Exclude<keyof Call, 'id'> | 'hasUnansweredPhone';

/** What a batch of decisions writes. */
export interface CallWrites {
  readonly eventIds: readonly string[];
  readonly inserted: readonly Call[];
  /** Changed calls, by the columns that change. */
  readonly updated: ReadonlyMap<readonly CallColumn[], readonly Call[]>;
  /** Complete deletions first: a room name has at most one incomplete deletion at any moment. */
  readonly deletions: readonly RoomDeletion[];
  readonly audit: readonly NewAuditEvent[];
}

/** The rows of a batch in memory. Each decision is applied to them, so that the next decision of the batch sees its result. */
export interface CallRows {
  snapshotOf(selection: CallSelection): CallSnapshot;
  /** Applies a decision on the snapshot. Returns the events that the decision appends to the audit log. */
  apply(snapshot: CallSnapshot, decision: CallDecision<unknown>): readonly AuditEvent[];
  writes(): CallWrites;
}

export function createCallRows(loaded: LoadedRows, now: Timestamp): CallRows {
  const original = new Map([...loaded.callsInRooms, ...loaded.calls].map((call) => [call.id, call]));
  const calls = new Map(original);
  const newestInRoom = groupIds(loaded.callsInRooms);
  const liveInRoom = groupIds(loaded.liveCalls);
  const organizationOfDeletion = new Map(
    loaded.deletions.map(({ callId, organizationId }) => [callId, organizationId]),
  );
  const deletions = new Map(
    loaded.deletions.map(({ organizationId: _, ...row }) => [row.callId, row as RoomDeletion]),
  );
  const incompleteInRoom = new Map(
    [...deletions.values()].filter(isIncomplete).map((deletion) => [deletion.roomName, deletion]),
  );
  const takenIds = new Set(loaded.takenIds);
  const eventIds = new Set(loaded.eventIds);
  const adoptions = new Map(
    loaded.adoptions.map(({ roomName, prefix, organizationId }) => [roomName, { prefix, organizationId }]),
  );
  const newEventIds: string[] = [];
  const inserted = new Set<string>();
  const updated = new Set<string>();
  const savedDeletions = new Set<string>();
  const audit: NewAuditEvent[] = [];

  const callAt = (ids: readonly string[], index: number): Call | null => calls.get(ids[index] ?? '') ?? null;

  function snapshotOf({ target, related, newCallId, eventId, organizationId }: CallSelection): CallSnapshot {
    const inRoom = 'roomName' in target ? (newestInRoom.get(target.roomName) ?? []) : [];
    const call = 'callId' in target ? (calls.get(target.callId) ?? null) : callAt(inRoom, 0);
    const roomName = 'callId' in target ? call?.roomName : target.roomName;
    const ofRoom = <Row>(row: RelatedRow, rows: ReadonlyMap<string, Row>): Row | null =>
      roomName === undefined || !related.includes(row) ? null : (rows.get(roomName) ?? null);
    const adoption = ofRoom('adoption', adoptions);
    const organizations = new Set([organizationId, call?.organizationId, adoption?.organizationId]);
    return {
      now,
      call,
      previousCall: callAt(inRoom, 1),
      isNewestInRoom: call !== null && ofRoom('isNewestInRoom', newestInRoom)?.[0] === call.id,
      hasLiveCallInRoom: (ofRoom('hasLiveCallInRoom', liveInRoom) ?? []).length > 0,
      deletion: call !== null && related.includes('deletion') ? (deletions.get(call.id) ?? null) : null,
      incompleteDeletion: ofRoom('incompleteDeletion', incompleteInRoom),
      adoption,
      isIdTaken: newCallId !== null && (takenIds.has(newCallId) || calls.has(newCallId)),
      isDuplicateEvent: eventId !== null && eventIds.has(toStoredText(eventId)),
      holds: related.includes('holds')
        ? loaded.cancellations.filter(
            (row) => row.holdState === 'active' && organizations.has(row.organizationId),
          )
        : [],
      runningCancellations: related.includes('runningCancellations')
        ? loaded.cancellations.filter(
            (row) =>
              row.isRunningByFilter && row.organizationId === call?.organizationId && isMatching(row, now),
          )
        : [],
    };
  }

  function insert(call: Call): void {
    inserted.add(call.id);
    const isOlder = (id: string) => {
      const other = calls.get(id);
      if (other === undefined) return true;
      return other.createdAt === call.createdAt ? id < call.id : other.createdAt < call.createdAt;
    };
    const ids = newestInRoom.get(call.roomName) ?? [];
    const position = ids.findIndex(isOlder);
    newestInRoom.set(call.roomName, ids.toSpliced(position === -1 ? ids.length : position, 0, call.id));
  }

  function saveCall(call: Call): void {
    calls.set(call.id, call);
    const others = (liveInRoom.get(call.roomName) ?? []).filter((id) => id !== call.id);
    liveInRoom.set(call.roomName, isLive(call.status) ? [...others, call.id] : others);
  }

  function saveDeletion(deletion: RoomDeletion): void {
    const { callId, roomName } = deletion;
    savedDeletions.add(callId);
    deletions.set(callId, deletion);
    if (isIncomplete(deletion)) incompleteInRoom.set(roomName, deletion);
    else if (incompleteInRoom.get(roomName)?.callId === callId) incompleteInRoom.delete(roomName);
  }

  function apply(snapshot: CallSnapshot, { changes, receivedEventId }: CallDecision<unknown>): AuditEvent[] {
    if (receivedEventId !== null) {
      eventIds.add(toStoredText(receivedEventId));
      newEventIds.push(receivedEventId);
    }
    for (const { call, isNew, deletions: saved, events } of changes) {
      if (isNew) insert(call);
      else if (call !== snapshot.call) {
        if (snapshot.call?.id !== call.id) throw new Error(`call ${call.id} was not loaded`);
        if (!inserted.has(call.id)) updated.add(call.id);
      }
      saveCall(call);
      saved.forEach(saveDeletion);
      audit.push(...events);
      // A scheduled deletion changes nothing that a reader of events can see: its call has ended in the same change.
      for (const deletion of saved.filter(({ state }) => state !== 'available')) {
        const organizationId =
          calls.get(deletion.callId)?.organizationId ?? organizationOfDeletion.get(deletion.callId);
        if (organizationId === undefined) throw new Error(`call ${deletion.callId} was not loaded`);
        audit.push(deletionEvent({ ...deletion, organizationId }, now));
      }
    }
    return changes.flatMap((change) => change.events);
  }

  function writes(): CallWrites {
    const written = [...savedDeletions].flatMap((id) => deletions.get(id) ?? []);
    return {
      eventIds: newEventIds,
      inserted: [...inserted].flatMap((id) => calls.get(id) ?? []).toSorted(byScheduledDay),
      updated: groupByColumns([...updated].flatMap((id) => pairOf(original.get(id), calls.get(id)))),
      deletions: [...written.filter((row) => !isIncomplete(row)), ...written.filter(isIncomplete)],
      audit,
    };
  }

  return { snapshotOf, apply, writes };
}

/** One order for all transactions: a trigger locks the row of each day, and two transactions must not wait for each other. */
const byScheduledDay = (a: Call, b: Call) =>
  Number(a.organizationId > b.organizationId) - Number(a.organizationId < b.organizationId) ||
  (a.scheduledAt ?? 0) - (b.scheduledAt ?? 0);

interface ChangedCall {
  readonly before: Call;
  readonly after: Call;
}

const pairOf = (before: Call | undefined, after: Call | undefined): ChangedCall[] =>
  before === undefined || after === undefined ? [] : [{ before, after }];

function groupByColumns(changed: readonly ChangedCall[]): Map<readonly CallColumn[], Call[]> {
  const groups = new Map<string, { columns: readonly CallColumn[]; calls: Call[] }>();
  for (const { before, after } of changed) {
    const columns = changedColumns(before, after);
    if (columns.length === 0) continue;
    const name = columns.join();
    const group = groups.get(name) ?? { columns, calls: [] };
    group.calls.push(after);
    groups.set(name, group);
  }
  return new Map([...groups.values()].map((group) => [group.columns, group.calls]));
}

/** Returns the columns that differ. The roster is long, and few changes concern it. */
function changedColumns(before: Call, after: Call): CallColumn[] {
  const names = Object.keys(after) as (keyof Call)[];
  const columns: CallColumn[] = names.filter(
    (name): name is Exclude<keyof Call, 'id'> => after[name] !== before[name],
  );
  if (hasUnansweredPhone(before) !== hasUnansweredPhone(after)) columns.push('hasUnansweredPhone');
  return columns;
}

function groupIds(rows: readonly Pick<Call, 'id' | 'roomName'>[]): Map<string, readonly string[]> {
  const groups = new Map<string, string[]>();
  for (const { id, roomName } of rows) groups.set(roomName, [...(groups.get(roomName) ?? []), id]);
  return groups;
}

const isIncomplete = ({ state }: RoomDeletion) => state !== 'completed';
