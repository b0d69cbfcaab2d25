import { LIVE_STATUSES } from '../../domain/call-status.ts';
import { parseJson } from '../../domain/json.ts';
import type { DeletionState, RoomDeletion } from '../../domain/room-deletion.ts';
import { presentParticipants } from '../../domain/room-participants.ts';
import type { Timestamp } from '../../domain/time.ts';
import type {
  AgentCalls,
  CallRoom,
  RetryDeletionResult,
  RoomDeletionQuery,
} from '../../ports/overview-store.ts';
import type { Replayable, Store } from '../../ports/store.ts';
import type { Database } from './database.ts';
import { reopenDeletion } from './deletions.ts';
import { runOnce } from './idempotency.ts';
import { preparePerConnection } from './prepare-per-connection.ts';

const LIVE = LIVE_STATUSES.map((status) => `'${status}'`).join(', ');

interface DeletionValues {
  readonly organizationId: string;
  readonly states: string;
  readonly cancellationId: string | null;
  readonly createdAt: Timestamp;
  readonly callId: string;
  readonly limit: number;
}

const statements = preparePerConnection(({ $client: client }) => ({
  rooms: client.prepare<[callIds: string], { id: string; name: string; roster: string | null }>(`
    SELECT calls.id, room_name AS name, iif(ended_at IS NULL, roster, NULL) AS roster
    FROM json_each(?) CROSS JOIN calls ON calls.id = json_each.value`),
  /** Counts in an index, which has the agents. Only one call of each agent is read, for its name. */
  agents: client.prepare<[{ organizationId: string; limit: number }], AgentCalls>(`
    SELECT agent_id AS id, (SELECT agent_name FROM calls WHERE calls.id = agents.call_id) AS name, live_calls AS liveCalls
    FROM (
      SELECT agent_id, max(id) AS call_id, count(*) AS live_calls FROM calls INDEXED BY calls_by_status
      WHERE organization_id = CAST(@organizationId AS TEXT) AND status IN (${LIVE})
      GROUP BY agent_id ORDER BY live_calls DESC, agent_id LIMIT (@limit + 0)
    ) AS agents`),
  deletions: client.prepare<[DeletionValues], RoomDeletion>(`
    SELECT call_id AS callId, deletions.room_name AS roomName, state, attempt, deletions.scheduled_at AS scheduledAt,
      attempted_at AS attemptedAt, finalized_at AS finalizedAt, last_error AS lastError, deletions.created_at AS createdAt,
      deletions.cancellation_id AS cancellationId
    FROM room_deletions AS deletions INDEXED BY room_deletions_incomplete_by_created
    CROSS JOIN calls ON calls.id = call_id
    WHERE state <> 'completed' AND (deletions.created_at, call_id) > ((@createdAt + 0), CAST(@callId AS TEXT))
      AND state IN (SELECT value FROM json_each(@states))
      AND (@cancellationId IS NULL OR deletions.cancellation_id = CAST(@cancellationId AS TEXT))
      AND calls.organization_id = CAST(@organizationId AS TEXT)
    ORDER BY deletions.created_at, call_id LIMIT (@limit + 0)`),
  stateOfDeletion: client
    .prepare<[{ callId: string; organizationId: string }], DeletionState>(`
      SELECT state FROM room_deletions JOIN calls ON calls.id = call_id
      WHERE call_id = CAST(@callId AS TEXT) AND organization_id = CAST(@organizationId AS TEXT)`)
    .pluck(),
}));

export function findRooms(db: Database, callIds: readonly string[]): ReadonlyMap<string, CallRoom> {
  const rows = statements(db).rooms.all(JSON.stringify(callIds));
  return new Map(
    rows.map(({ id, name, roster }) => [
      id,
      { name, participants: roster === null ? [] : presentParticipants(parseJson(roster)) },
    ]),
  );
}

export function listAgents(db: Database, input: Parameters<Store['listAgents']>[0]): AgentCalls[] {
  return statements(db).agents.all(input);
}

export function listRoomDeletions(
  db: Database,
  { organizationId, states, cancellationId, after, limit }: RoomDeletionQuery,
): RoomDeletion[] {
  const { createdAt, callId } = after ?? { createdAt: Number.MIN_SAFE_INTEGER, callId: '' };
  return statements(db).deletions.all({
    organizationId,
    states: JSON.stringify(states),
    cancellationId,
    createdAt,
    callId,
    limit,
  });
}

export function retryRoomDeletion(
  db: Database,
  { callId, organizationId, apiKeyId, idempotency }: Parameters<Store['retryRoomDeletion']>[0],
  now: Timestamp,
): Replayable<RetryDeletionResult> {
  return runOnce<RetryDeletionResult>(db, idempotency, now, () => {
    const state = statements(db).stateOfDeletion.get({ callId, organizationId });
    if (state === undefined) return { result: { kind: 'not_found' }, outcome: null };
    if (state === 'completed') {
      const result = { kind: 'completed' } as const;
      return { result, outcome: result };
    }
    const deletion = reopenDeletion(db, { callId, actor: 'api_key', actorId: apiKeyId, state }, now);
    const result = { kind: 'retried', deletion } as const;
    return { result, outcome: result };
  });
}
