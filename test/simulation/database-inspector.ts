import { type CallStatus, type Direction, ENDED_STATUSES, isLive } from '../../src/domain/call-status.ts';
import type { CancellationCounts, CancellationSelector } from '../../src/domain/cancellation.ts';
import type { SimulatedDatabase } from './database.ts';
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

/** An end of a call by a cancel, in the audit log. */
export interface CancelEvent {
  readonly callId: string;
  readonly organizationId: string;
  readonly actorId: string | null;
  readonly fromStatus: CallStatus;
  readonly reason: string | null;
  readonly cancellationId: string | null;
}

const CALL = `SELECT id, organization_id AS "organizationId", agent_id AS "agentId", direction,
  phone_number AS "phoneNumber", created_at AS "createdAt", cancellation_id AS "cancellationId", room_name AS "roomName",
  room_id AS "roomId", status, ended_at AS "endedAt" FROM calls`;
const CANCELLATION = `SELECT id, organization_id AS "organizationId", state, reason, created_by AS "createdBy",
  created_at AS "createdAt", hold_state AS "holdState", selector, reported_counts AS counts
  FROM cancellations`;
const AUDIT = `SELECT at, action, actor, actor_id AS "actorId", subject_id AS "subjectId", from_status AS "fromStatus",
  to_status AS "toStatus", reason FROM audit_log`;
/** Columns that SQLite returns as the text of their JSON. */
const JSON_COLUMNS = ['selector', 'counts', 'details'];
/** Columns that the driver of Postgres returns as text. */
const INTEGER_COLUMNS = ['id', 'at', 'createdAt', 'endedAt'];

function toValue(column: string, value: unknown): unknown {
  if (typeof value !== 'string') return value;
  if (JSON_COLUMNS.includes(column)) return JSON.parse(value);
  return INTEGER_COLUMNS.includes(column) && /^\d+$/.test(value) ? Number(value) : value;
}

const ORDER: readonly (CallStatus | null)[] = [null, 'initiated', 'connecting', 'ringing', 'active'];

/** Reads the database through a separate connection, without hangup's code. */
export class DatabaseInspector {
  readonly #database: Pick<SimulatedDatabase, 'query' | 'creationOrder'>;

  constructor(database: Pick<SimulatedDatabase, 'query' | 'creationOrder'>) {
    this.#database = database;
  }

  #all<Row>(sql: string, ...values: (string | number | null)[]): Row[] {
    return this.#database
      .query(sql, values)
      .map(
        (row) =>
          Object.fromEntries(
            Object.entries(row as object).map(([column, value]) => [column, toValue(column, value)]),
          ) as Row,
      );
  }

  /** Returns the calls in the order of their creation. */
  callsIn(roomName: string): CallRow[] {
    return this.#all<CallRow>(
      `${CALL} WHERE room_name = ? ORDER BY ${this.#database.creationOrder}`,
      roomName,
    );
  }

  find(callId: string): CallRow | null {
    return this.#all<CallRow>(`${CALL} WHERE id = ?`, callId)[0] ?? null;
  }

  all(): CallRow[] {
    return this.#all<CallRow>(`${CALL} ORDER BY ${this.#database.creationOrder}`);
  }

  /** Returns the live calls of an organization. */
  liveOf(organizationId: string): CallRow[] {
    return this.#all<CallRow>(
      `${CALL} WHERE organization_id = ? AND ended_at IS NULL ORDER BY ${this.#database.creationOrder}`,
      organizationId,
    );
  }

  cancelledBy(cancellationId: string): CallRow[] {
    return this.#all<CallRow>(
      `${CALL} WHERE cancellation_id = ? ORDER BY ${this.#database.creationOrder}`,
      cancellationId,
    );
  }

  findCancellation(id: string): CancellationRecord | null {
    const [row] = this.#all<Omit<CancellationRecord, 'isHeld'> & { holdState: string | null }>(
      `${CANCELLATION} WHERE id = ?`,
      id,
    );
    if (row === undefined) return null;
    const { holdState, ...columns } = row;
    return { ...columns, isHeld: holdState === 'active' };
  }

  /** Returns the states of the deletions of a cancellation's calls. */
  deletionsOf(cancellationId: string): { callId: string; state: string }[] {
    return this.#all(
      'SELECT call_id AS "callId", state FROM room_deletions WHERE cancellation_id = ?',
      cancellationId,
    );
  }

  /** Returns the details of a cancellation's progress events, the oldest first. */
  progressOf(cancellationId: string): { state: string; counts: CancellationCounts }[] {
    return this.#all<{ details: { state: string; counts: CancellationCounts } }>(
      `SELECT details FROM audit_log WHERE subject_id = ? AND action = 'cancellation.progress' ORDER BY id`,
      cancellationId,
    ).map(({ details }) => details);
  }

  lastEventId(): number {
    return this.#all<{ id: number }>('SELECT coalesce(max(id), 0) AS id FROM audit_log')[0]?.id ?? 0;
  }

  /** Returns the events of an organization's stream. @param agentId not null: only those of the agent's calls */
  streamOf(organizationId: string, agentId: string | null, position: number): StreamedRow[] {
    return this.#all<StreamedRow>(
      `SELECT id, at, action, subject_id AS "subjectId", from_status AS "fromStatus", to_status AS "toStatus", reason,
         cancellation_id AS "cancellationId"
       FROM audit_log WHERE organization_id = ? AND id <= ?
         AND action IN ('call.created', 'call.status_changed', 'call.room_deletion', 'cancellation.progress', 'hold.lifted')
         AND (CAST(? AS text) IS NULL OR subject_id IN (SELECT id FROM calls WHERE agent_id = ?))
       ORDER BY id`,
      organizationId,
      position,
      agentId,
      agentId,
    );
  }

  /** Returns all ends of calls by a cancel, in the order of the audit log. */
  cancelEvents(): CancelEvent[] {
    return this.#all<CancelEvent>(
      `SELECT subject_id AS "callId", organization_id AS "organizationId", actor_id AS "actorId",
         from_status AS "fromStatus", reason, cancellation_id AS "cancellationId"
       FROM audit_log WHERE action = 'call.status_changed' AND to_status = 'cancelled' ORDER BY id`,
    );
  }

  openDeletions(): {
    callId: string;
    roomName: string;
    state: string;
    attempt: number;
    lastError: string | null;
  }[] {
    return this.#all(
      `SELECT call_id AS "callId", room_name AS "roomName", state, attempt, last_error AS "lastError"
       FROM room_deletions WHERE state <> 'completed'`,
    );
  }

  hasDeletion(callId: string): boolean {
    return this.#all('SELECT 1 AS found FROM room_deletions WHERE call_id = ?', callId).length > 0;
  }

  /** Invariant 1. */
  assertCancelsHaveDeletions(): void {
    const [without] = this.#all<CallRow>(
      `${CALL} WHERE cancelled_by IS NOT NULL AND id NOT IN (SELECT call_id FROM room_deletions)`,
    );
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
    for (const row of this.#all<AuditRow>(`${AUDIT} ORDER BY id`)) {
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
    const rows = this.#all<AuditRow>(`${AUDIT} WHERE subject_id = ? ORDER BY id`, callId);
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
    return JSON.stringify(this.#all(`${AUDIT} ORDER BY id`));
  }
}
