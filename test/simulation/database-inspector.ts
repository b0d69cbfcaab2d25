import SqliteDatabase from 'better-sqlite3';
import { type CallStatus, ENDED_STATUSES, isLive } from '../../src/domain/call-status.ts';
import { InvariantViolation } from './event-log.ts';

export interface CallRow {
  readonly id: string;
  readonly roomName: string;
  /** Sid of the call's last room session. */
  readonly roomId: string | null;
  readonly status: CallStatus;
  readonly endedAt: number | null;
}

interface AuditRow {
  readonly at: number;
  readonly action: string;
  readonly actor: string;
  readonly actorId: string | null;
  readonly subjectId: string;
  readonly fromStatus: CallStatus | null;
  readonly toStatus: CallStatus | null;
  readonly reason: string | null;
}

const CALL = 'SELECT id, room_name AS roomName, room_id AS roomId, status, ended_at AS endedAt FROM calls';
const AUDIT =
  'SELECT at, action, actor, actor_id AS actorId, subject_id AS subjectId, from_status AS fromStatus, to_status AS toStatus, reason FROM audit_log';
const ORDER: readonly (CallStatus | null)[] = [null, 'initiated', 'connecting', 'ringing', 'active'];

/** Reads the database through a separate connection, without hangup's code. */
export class DatabaseInspector {
  readonly #db: SqliteDatabase.Database;
  readonly #inRoom: SqliteDatabase.Statement<[string], CallRow>;
  readonly #byId: SqliteDatabase.Statement<[string], CallRow>;
  readonly #deletion: SqliteDatabase.Statement<[string], unknown>;

  constructor(file: string) {
    this.#db = new SqliteDatabase(file, { readonly: true });
    // By rowid, the order of creation: clocks jump.
    this.#inRoom = this.#db.prepare(`${CALL} WHERE room_name = ? ORDER BY rowid`);
    this.#byId = this.#db.prepare(`${CALL} WHERE id = ?`);
    this.#deletion = this.#db.prepare('SELECT 1 FROM room_deletions WHERE call_id = ?');
  }

  /** Returns the calls in the order of their creation. */
  callsIn(roomName: string): CallRow[] {
    return this.#inRoom.all(roomName);
  }

  find(callId: string): CallRow | null {
    return this.#byId.get(callId) ?? null;
  }

  all(): CallRow[] {
    return this.#db.prepare<[], CallRow>(CALL).all();
  }

  openDeletions(): {
    callId: string;
    roomName: string;
    state: string;
    attempt: number;
    lastError: string | null;
  }[] {
    return this.#db
      .prepare<
        [],
        { callId: string; roomName: string; state: string; attempt: number; lastError: string | null }
      >(
        `SELECT call_id AS callId, room_name AS roomName, state, attempt, last_error AS lastError FROM room_deletions WHERE state <> 'completed'`,
      )
      .all();
  }

  hasDeletion(callId: string): boolean {
    return this.#deletion.get(callId) !== undefined;
  }

  /** Invariant 1. */
  assertCancelsHaveDeletions(): void {
    const [without] = this.#db
      .prepare<[], CallRow>(
        `${CALL} WHERE cancelled_by IS NOT NULL AND id NOT IN (SELECT call_id FROM room_deletions)`,
      )
      .all();
    if (without !== undefined)
      throw new InvariantViolation(
        `call ${without.id} is cancelled, and there is no deletion of its room`,
        without.roomName,
      );
  }

  /** Invariant 4: statuses move forward, each call ends at most once, and the record agrees with the audit log. */
  assertStatusesMovedForward(): void {
    const calls = new Map(this.all().map((call) => [call.id, call]));
    const last = new Map<string, CallStatus | null>();
    const ends = new Map<string, number>();
    for (const row of this.#db.prepare<[], AuditRow>(`${AUDIT} ORDER BY id`).all()) {
      const { subjectId, action, fromStatus, toStatus } = row;
      const call = calls.get(subjectId);
      if (call === undefined || (action !== 'call.created' && action !== 'call.status_changed')) continue;
      const before = last.get(subjectId) ?? null;
      const violation = (problem: string) =>
        new InvariantViolation(`call ${subjectId} ${problem}: ${before} to ${toStatus}`, call.roomName);
      if (toStatus === null || fromStatus !== before) throw violation('has a gap in its audit log');
      if (before !== null && !isLive(before)) throw violation('ended, and went on');
      if (isLive(toStatus)) {
        if (ORDER.indexOf(toStatus) <= ORDER.indexOf(before)) throw violation('went back');
      } else ends.set(subjectId, (ends.get(subjectId) ?? 0) + 1);
      last.set(subjectId, toStatus);
    }
    for (const { id, roomName, status, endedAt } of calls.values()) {
      const hasEnded = (ENDED_STATUSES as readonly CallStatus[]).includes(status);
      const violation = (problem: string) =>
        new InvariantViolation(`call ${id}, ${status}, ${problem}`, roomName);
      if (last.get(id) !== status) throw violation(`is ${last.get(id)} in the audit log`);
      if ((ends.get(id) ?? 0) !== (hasEnded ? 1 : 0)) throw violation(`ended ${ends.get(id) ?? 0} times`);
      if ((endedAt !== null) !== hasEnded) throw violation(`has endedAt ${endedAt}`);
    }
  }

  auditOf(callId: string): string[] {
    const rows = this.#db
      .prepare<[string], AuditRow>(`${AUDIT} WHERE subject_id = ? ORDER BY id`)
      .all(callId);
    return rows.map(({ at, action, actor, actorId, fromStatus, toStatus, reason }) =>
      [
        new Date(at).toISOString(),
        action,
        fromStatus ?? '',
        '->',
        toStatus ?? '',
        `by ${actor} ${actorId ?? ''}`,
        reason ?? '',
      ].join(' '),
    );
  }

  /** Returns the complete audit log. Two runs with the same seed return the same text. */
  auditLog(): string {
    return JSON.stringify(this.#db.prepare(`${AUDIT} ORDER BY id`).all());
  }

  close(): void {
    this.#db.close();
  }
}
