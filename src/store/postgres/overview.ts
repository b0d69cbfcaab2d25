import { LIVE_STATUSES } from '../../domain/call-status.ts';
import type { RoomDeletion } from '../../domain/room-deletion.ts';
import { presentParticipants } from '../../domain/room-participants.ts';
import type {
  AgentCalls,
  CallRoom,
  RetryDeletionResult,
  RoomDeletionQuery,
} from '../../ports/overview-store.ts';
import type { Replayable, Store } from '../../ports/store.ts';
import type { Database } from './database.ts';
import { DELETION_LIST, deletionsOfCalls } from './deletion-rows.ts';
import { reopenDeletion } from './deletions.ts';
import { runOnce } from './idempotency.ts';
import { lockIdempotencyKey } from './locks.ts';
import { prepareSql, type Session } from './session.ts';
import { transaction } from './transaction.ts';

const LIVE = LIVE_STATUSES.map((status) => `'${status}'`).join(', ');

const rooms = prepareSql<{ id: string; name: string; roster: unknown }>(`
  SELECT id, room_name AS name, CASE WHEN ended_at IS NULL THEN roster END AS roster FROM calls
  WHERE id = ANY($1::text[])`);

/** The name in the newest call by id, as in SQLite. */
const agents = prepareSql<AgentCalls>(`
  SELECT agent_id AS id, (SELECT agent_name FROM calls WHERE calls.id = agents.call_id) AS name, live_calls AS "liveCalls"
  FROM (
    SELECT agent_id, max(id) AS call_id, count(*) AS live_calls FROM calls
    WHERE organization_id = $1 AND status IN (${LIVE})
    GROUP BY agent_id ORDER BY live_calls DESC, agent_id NULLS FIRST LIMIT $2
  ) AS agents
  ORDER BY live_calls DESC, agent_id NULLS FIRST`);

const deletions = prepareSql<RoomDeletion>(`
  SELECT ${DELETION_LIST} FROM room_deletions AS deletions JOIN calls ON calls.id = deletions.call_id
  WHERE deletions.state <> 'completed' AND (deletions.created_at, deletions.call_id) > ($2, $3)
    AND deletions.state = ANY($4::text[])
    AND ($5::text IS NULL OR deletions.cancellation_id = $5) AND calls.organization_id = $1
  ORDER BY deletions.created_at, deletions.call_id LIMIT $6`);

export async function findRooms(
  session: Session,
  callIds: readonly string[],
): Promise<ReadonlyMap<string, CallRoom>> {
  const rows = await rooms.all(session, [callIds]);
  return new Map(
    rows.map(({ id, name, roster }) => [id, { name, participants: presentParticipants(roster) }]),
  );
}

export function listAgents(
  session: Session,
  { organizationId, limit }: Parameters<Store['listAgents']>[0],
): Promise<AgentCalls[]> {
  return agents.all(session, [organizationId, limit]);
}

export function listRoomDeletions(
  session: Session,
  { organizationId, states, cancellationId, after, limit }: RoomDeletionQuery,
): Promise<RoomDeletion[]> {
  const { createdAt, callId } = after ?? { createdAt: Number.MIN_SAFE_INTEGER, callId: '' };
  return deletions.all(session, [organizationId, createdAt, callId, states, cancellationId, limit]);
}

export function retryRoomDeletion(
  db: Database,
  { callId, organizationId, apiKeyId, idempotency }: Parameters<Store['retryRoomDeletion']>[0],
): Promise<Replayable<RetryDeletionResult>> {
  const locks = idempotency === null ? [] : [lockIdempotencyKey(idempotency)];
  return transaction(
    db,
    (tx) =>
      runOnce<RetryDeletionResult>(tx, idempotency, async () => {
        const deletion = await deletionsOfCalls.lock.get(tx, [[callId]]);
        if (deletion === undefined || deletion.organizationId !== organizationId) {
          return { result: { kind: 'not_found' }, outcome: null };
        }
        if (deletion.state === 'completed') {
          const result = { kind: 'completed' } as const;
          return { result, outcome: result };
        }
        const cause = { actor: 'api_key', actorId: apiKeyId } as const;
        const result = { kind: 'retried', deletion: await reopenDeletion(tx, deletion, cause) } as const;
        return { result, outcome: result };
      }),
    { locks },
  );
}
