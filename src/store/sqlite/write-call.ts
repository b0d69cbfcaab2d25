import { type Call, isLive } from '../../domain/call.ts';
import { applyTransition, type Transition } from '../../domain/call-transition.ts';
import type { RoomDeletion } from '../../domain/room-deletion.ts';
import { present } from '../../domain/roster.ts';
import type { Timestamp } from '../../domain/time.ts';
import { statements } from './call-statements.ts';
import type { Database } from './database.ts';
import { toDeletion } from './rows.ts';

/** The actor and the reason, for the audit log. */
export interface By {
  readonly actor: 'livekit' | 'reconciler';
  readonly actorId: string | null;
  readonly reason: string;
}

interface Written {
  /** When the reconciler has something to do for the call. */
  readonly dueAt: Timestamp | null;
  readonly deletion: RoomDeletion | null;
}

/** Writes what was decided. */
export function write(
  db: Database,
  call: Call,
  change: Transition,
  {
    by,
    now,
    isRoomGone,
    leaseUntil,
  }: { by: By; now: Timestamp; isRoomGone: boolean; leaseUntil: Timestamp | null },
): Written {
  const { decision, at } = change;
  const { id, organizationId } = call;
  const { actor, actorId } = by;
  const audit = { at, organizationId, actor, actorId, subjectId: id, fromStatus: null, toStatus: null };
  if (change.roster !== call.roster || change.reviewAt !== call.reviewAt || changesStatus(decision)) {
    const after = applyTransition(call, change, now);
    statements(db).updateCall.run({
      ...after,
      roster: after.roster && JSON.stringify(after.roster),
      hasUnansweredPhone: hasUnansweredPhone(after) ? 1 : 0,
    });
    if (after.status !== call.status) {
      const statuses = { fromStatus: call.status, toStatus: after.status };
      const changed = { ...audit, ...statuses, action: 'call.status_changed', reason: by.reason };
      statements(db).insertAudit.run(changed);
    }
  }
  switch (decision.kind) {
    case 'delete_room':
      reopenDeletion(db, call, now);
      statements(db).insertAudit.run({
        ...audit,
        action: 'call.room_deletion_reopened',
        reason: decision.why,
      });
      return { dueAt: now, deletion: null };
    case 'report_survival':
      statements(db).insertAudit.run({ ...audit, action: 'call.ended_in_error', reason: decision.why });
      return { dueAt: null, deletion: null };
    case 'end':
      if (isRoomGone) return { dueAt: null, deletion: null };
      if (leaseUntil !== null) return { dueAt: null, deletion: leaseDeletion(db, call, { now, leaseUntil }) };
      reopenDeletion(db, call, now);
      return { dueAt: now, deletion: null };
    default:
      // A review that stays due is not news: the reconciler's next pass has it.
      return {
        dueAt: isLive(call.status) && change.reviewAt !== call.reviewAt ? change.reviewAt : null,
        deletion: null,
      };
  }
}

const changesStatus = ({ kind }: Transition['decision']) => kind === 'advance' || kind === 'end';

function hasUnansweredPhone({ status, roster }: Call): boolean {
  if (!isLive(status) || roster === null) return false;
  return present(roster, 'phone').some(({ phone }) => phone?.answeredAt == null);
}

function leaseDeletion(
  db: Database,
  { id: callId, roomName }: Call,
  { now, leaseUntil }: { now: Timestamp; leaseUntil: Timestamp },
): RoomDeletion {
  const { leaseDeletion: lease, deletionOf } = statements(db);
  lease.run({ callId, roomName, now, leaseUntil });
  const row = deletionOf.get({ callId });
  if (row === undefined) throw new Error(`the deletion of call ${callId} was not written`);
  return toDeletion(row);
}

/**
 * The room's deletion is due now, whatever became of it before. A running attempt loses its lease: it may have
 * deleted the room before the room came back.
 */
function reopenDeletion(db: Database, { id: callId, roomName }: Call, now: Timestamp): void {
  statements(db).openDeletion.run({ callId, roomName, now });
}
