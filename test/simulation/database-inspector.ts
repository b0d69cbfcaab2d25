import SqliteDatabase from 'better-sqlite3';
import { type CallStatus, type Direction, ENDED_STATUSES, isLive } from '../../src/domain/call-status.ts';
import type { CancellationCounts, CancellationSelector } from '../../src/domain/cancellation.ts';
import { InvariantViolation } from './event-log.ts';

export interface CallRow {
  readonly id: string;
  readonly organizationId: string;
  readonly agentId: string | null;
  readonly direction: Direction;
  readonly phoneNumber: string | null;
  readonly createdAt: number;
  readonly cancellationId: string | null;
  readonly roomName: string;
  /** Sid of the call's last room session. */
  readonly roomId: string | null;
  readonly status: CallStatus;
  readonly endedAt: number | null;
}

/** An event of the stream, as it is in the audit log. */
export interface StreamedRow {
  readonly id: number;
  readonly at: number;
  readonly action: string;
  readonly subjectId: string;
  readonly fromStatus: CallStatus | null;
  readonly toStatus: CallStatus | null;
  readonly reason: string | null;
  readonly cancellationId: string | null;
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

/** A cancellation of many calls. */
export interface CancellationRecord {
  readonly id: string;
  readonly organizationId: string;
  readonly state: 'running' | 'completed';
  readonly reason: string;
  readonly createdBy: string;
  readonly createdAt: number;
  readonly isHeld: boolean;
  readonly selector: CancellationSelector;
  /** Final when completed. */
  readonly counts: CancellationCounts;
}

type JsonColumns = 'selector' | 'counts' | 'isHeld';
type CancellationColumns = Omit<CancellationRecord, JsonColumns> & Record<JsonColumns, string>;

/** An end of a call by a cancel, in the audit log. */
export interface CancelEvent {
  readonly callId: string;
  readonly organizationId: string;
  readonly actorId: string | null;
  readonly fromStatus: CallStatus;
  readonly reason: string | null;
  readonly cancellationId: string | null;
}

const CALL = `SELECT id, organization_id AS organizationId, agent_id AS agentId, direction, phone_number AS phoneNumber,
  created_at AS createdAt, cancellation_id AS cancellationId, room_name AS roomName, room_id AS roomId, status,
  ended_at AS endedAt FROM calls`;
const CANCELLATION = `SELECT id, organization_id AS organizationId, state, reason, created_by AS createdBy,
  created_at AS createdAt, json(coalesce(hold_state, '') = 'active') AS isHeld, selector, reported_counts AS counts
  FROM cancellations`;
const AUDIT =
  'SELECT at, action, actor, actor_id AS actorId, subject_id AS subjectId, from_status AS fromStatus, to_status AS toStatus, reason FROM audit_log';
const ORDER: readonly (CallStatus | null)[] = [null, 'initiated', 'connecting', 'ringing', 'active'];

/** Reads the database through a separate connection, without hangup's code. */
export class DatabaseInspector {
  readonly #db: SqliteDatabase.Database;
  readonly #inRoom: SqliteDatabase.Statement<[string], CallRow>;
  readonly #byId: SqliteDatabase.Statement<[string], CallRow>;
  readonly #deletion: SqliteDatabase.Statement<[string], unknown>;
  readonly #cancelledBy: SqliteDatabase.Statement<[string], CallRow>;
  readonly #cancellation: SqliteDatabase.Statement<[string], CancellationColumns>;

  constructor(file: string) {
    this.#db = new SqliteDatabase(file, { readonly: true });
    // By rowid, the order of creation: clocks jump.
    this.#inRoom = this.#db.prepare(`${CALL} WHERE room_name = ? ORDER BY rowid`);
    this.#byId = this.#db.prepare(`${CALL} WHERE id = ?`);
    this.#deletion = this.#db.prepare('SELECT 1 FROM room_deletions WHERE call_id = ?');
    this.#cancelledBy = this.#db.prepare(`${CALL} WHERE cancellation_id = ? ORDER BY rowid`);
    this.#cancellation = this.#db.prepare(`${CANCELLATION} WHERE id = ?`);
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

  /** Returns the live calls of an organization. */
  liveOf(organizationId: string): CallRow[] {
    return this.#db
      .prepare<[string], CallRow>(`${CALL} WHERE organization_id = ? AND ended_at IS NULL ORDER BY rowid`)
      .all(organizationId);
  }

  cancelledBy(cancellationId: string): CallRow[] {
    return this.#cancelledBy.all(cancellationId);
  }

  findCancellation(id: string): CancellationRecord | null {
    const row = this.#cancellation.get(id);
    if (row === undefined) return null;
    const { isHeld, selector, counts, ...columns } = row;
    return {
      ...columns,
      isHeld: JSON.parse(isHeld) === 1,
      selector: JSON.parse(selector),
      counts: JSON.parse(counts),
    };
  }

  /** Returns the states of the deletions of a cancellation's calls. */
  deletionsOf(cancellationId: string): { callId: string; state: string }[] {
    return this.#db
      .prepare<[string], { callId: string; state: string }>(
        'SELECT call_id AS callId, state FROM room_deletions WHERE cancellation_id = ?',
      )
      .all(cancellationId);
  }

  /** Returns the details of a cancellation's progress events, the oldest first. */
  progressOf(cancellationId: string): { state: string; counts: CancellationCounts }[] {
    return this.#db
      .prepare<[string], { details: string }>(
        `SELECT details FROM audit_log WHERE subject_id = ? AND action = 'cancellation.progress' ORDER BY id`,
      )
      .all(cancellationId)
      .map(({ details }) => JSON.parse(details));
  }

  lastEventId(): number {
    return this.#db.prepare<[], number>('SELECT coalesce(max(id), 0) FROM audit_log').pluck().get() ?? 0;
  }

  /** Returns the events of an organization's stream. @param agentId not null: only those of the agent's calls */
  streamOf(organizationId: string, agentId: string | null, position: number): StreamedRow[] {
    return this.#db
      .prepare<[string, number, string | null, string | null], StreamedRow>(
        `SELECT id, at, action, subject_id AS subjectId, from_status AS fromStatus, to_status AS toStatus, reason,
           cancellation_id AS cancellationId
         FROM audit_log WHERE organization_id = ? AND id <= ?
           AND action IN ('call.created', 'call.status_changed', 'call.room_deletion', 'cancellation.progress', 'hold.lifted')
           AND (? IS NULL OR subject_id IN (SELECT id FROM calls WHERE agent_id = ?))
         ORDER BY id`,
      )
      .all(organizationId, position, agentId, agentId);
  }

  /** Returns all ends of calls by a cancel, in the order of the audit log. */
  cancelEvents(): CancelEvent[] {
    return this.#db
      .prepare<[], CancelEvent>(
        `SELECT subject_id AS callId, organization_id AS organizationId, actor_id AS actorId, from_status AS fromStatus,
           reason, cancellation_id AS cancellationId
         FROM audit_log WHERE action = 'call.status_changed' AND to_status = 'cancelled' ORDER BY id`,
      )
      .all();
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
