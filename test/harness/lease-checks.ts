import { expect } from 'vitest';
import { LEASE_MARGIN_MS } from '../../src/operations/deletions/delete-room.ts';
import { ATTEMPT_TIMEOUT_MS } from './fleet.ts';
import { query } from './postgres-server.ts';
import type { RecordedRequest } from './recording-proxy.ts';

/* Checks of the leases of deletions, by the audit log and by the requests that arrived at LiveKit. */

const LEASE_MS = ATTEMPT_TIMEOUT_MS + LEASE_MARGIN_MS;
/** The longest time that a request waits in a socket of this loaded machine, also after its sender gave up. */
const MAX_DELAY_MS = 4_000;

interface DeletionEvent {
  readonly callId: string;
  readonly at: number;
  /** Null: a webhook scheduled the deletion anew, and revoked the lease. */
  readonly attempt: number | null;
  readonly state: string | null;
}

interface Lease {
  readonly callId: string;
  readonly attempt: number;
  readonly startedAt: number;
  /** The settlement, or the end of the lease. */
  endedAt: number;
  isEnded: boolean;
  /** The process that sent requests under the lease, if it is assigned. */
  readonly sender: string | null;
}

/**
 * Checks that no lease begins while another of the same deletion is valid, and that one process alone sent DeleteRoom
 * requests under each lease.
 */
export async function expectOneSenderPerLease(
  url: string,
  requests: readonly RecordedRequest[],
): Promise<void> {
  const events = await query<DeletionEvent>(
    url,
    `SELECT subject_id AS "callId", at::float8 AS at, (details ->> 'attempt')::int AS attempt, details ->> 'state' AS state
     FROM audit_log WHERE action IN ('call.room_deletion', 'call.room_deletion_reopened') ORDER BY id`,
  );
  const byCall = Map.groupBy(events, ({ callId }) => callId);
  const leases = new Map([...byCall].map(([callId, ofCall]) => [callId, leasesOf(ofCall)]));
  const deletes = requests.filter(({ method }) => method === 'DeleteRoom');
  expect(deletes.length).toBeGreaterThan(0);
  for (const [room, ofRoom] of Map.groupBy(deletes, (request) => request.room ?? '')) {
    const inOrder = ofRoom.toSorted((a, b) => a.arrivedAt - b.arrivedAt);
    const found = leases.get(room) ?? [];
    if (!canAssignSenders(inOrder, found)) {
      expect.fail(`a process sent a request without a lease: ${JSON.stringify({ inOrder, found })}`);
    }
  }
}

/** Returns the leases of one deletion, from its events in their order. */
function leasesOf(events: readonly DeletionEvent[]): Lease[] {
  const leases: Lease[] = [];
  for (const { callId, at, attempt, state } of events) {
    const last = leases.at(-1);
    if (attempt === null) {
      if (last !== undefined) last.isEnded = true;
      continue;
    }
    if (state !== 'running') {
      if (last?.attempt === attempt) Object.assign(last, { isEnded: true, endedAt: at });
      continue;
    }
    const isTaken = last !== undefined && !last.isEnded && at < last.startedAt + LEASE_MS;
    if (isTaken) expect.fail(`a lease was taken from its process: ${JSON.stringify(events)}`);
    leases.push({ callId, attempt, startedAt: at, endedAt: at + LEASE_MS, isEnded: false, sender: null });
  }
  return leases;
}

/**
 * Returns whether each lease can have one sender, so that each request was sent under a lease of its sender. A late request can
 * arrive after a request of the next lease, so the order of the requests alone does not determine their leases.
 */
export function canAssignSenders(
  [request, ...later]: readonly RecordedRequest[],
  leases: readonly Lease[],
): boolean {
  if (request === undefined) return true;
  const { sender, arrivedAt } = request;
  const possible = leases.filter(
    ({ startedAt, endedAt }) => startedAt <= arrivedAt && arrivedAt <= endedAt + MAX_DELAY_MS,
  );
  if (possible.some((lease) => lease.sender === sender)) return canAssignSenders(later, leases);
  const free = possible.filter((lease) => lease.sender === null);
  return free.some((lease) =>
    canAssignSenders(later, leases.with(leases.indexOf(lease), { ...lease, sender })),
  );
}
