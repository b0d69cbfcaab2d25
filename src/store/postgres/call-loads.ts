import { getTableColumns } from 'drizzle-orm';
import type { Call } from '../../domain/call.ts';
import type { CallSelection, RelatedRow } from '../../domain/call-change.ts';
import type { ActiveHold } from '../../domain/hold.ts';
import type { IdempotentRequest, IdempotentResponse } from '../../domain/idempotency.ts';
import type { Timestamp } from '../../domain/time.ts';
import { type DeletionRow, deletionsOfCalls, deletionsWhere } from './deletion-rows.ts';
import { loadResponses } from './idempotency.ts';
import { type Lock, lockIdempotencyKey, lockOrganization, lockRoom, ORDERED_LOCKS } from './locks.ts';
import { calls } from './schema.ts';
import { prepareSql, type Session, selectListOf } from './session.ts';

/* The rows of many snapshots: each kind of row is one statement, for all of them. */

/** A request to load the rows of a snapshot. */
export interface CallRequest {
  readonly selection: CallSelection;
  readonly idempotency: IdempotentRequest | null;
}

/** An active hold, a cancellation that records calls, or both. */
export interface CancellationRow extends ActiveHold {
  readonly phase: number;
  readonly createdAt: Timestamp;
  readonly holdState: 'active' | 'lifted' | null;
  readonly isRunningByFilter: boolean;
}

export interface Adoption {
  readonly prefix: string;
  readonly organizationId: string;
}

export interface LoadedRows {
  readonly calls: readonly Call[];
  /** At most two for each room, the newest first. */
  readonly callsInRooms: readonly Call[];
  readonly liveCalls: readonly Pick<Call, 'id' | 'roomName'>[];
  readonly deletions: readonly DeletionRow[];
  readonly takenIds: readonly string[];
  readonly eventIds: readonly string[];
  readonly adoptions: readonly (Adoption & { readonly roomName: string })[];
  readonly cancellations: readonly CancellationRow[];
  readonly responses: readonly IdempotentResponse[];
}

const { scheduledOrder: _, hasUnansweredPhone: __, ...callColumns } = getTableColumns(calls);
const CALL = selectListOf(callColumns, 'calls');

const callsById = prepareSql<Call>(`SELECT ${CALL} FROM calls WHERE id = ANY($1::text[])`);

/** The rooms of the calls $1, and the rooms $2. */
const ROOMS =
  '(SELECT room_name FROM calls WHERE id = ANY($1::text[]) UNION SELECT unnest($2::text[])) AS rooms (name)';

const newestTwoInRooms = prepareSql<Call>(`
  SELECT newest.* FROM ${ROOMS} CROSS JOIN LATERAL (
    SELECT ${CALL} FROM calls WHERE room_name = rooms.name ORDER BY created_at DESC, id DESC LIMIT 2
  ) AS newest`);

const liveCallsInRooms = prepareSql<Pick<Call, 'id' | 'roomName'>>(
  'SELECT id, room_name AS "roomName" FROM calls WHERE room_name = ANY($1::text[]) AND ended_at IS NULL',
);

/** The deletions of the calls $1, of the newest calls in the rooms, and the incomplete deletions of the rooms. */
const deletionsInRooms = deletionsWhere(`
  deletions.call_id = ANY(ARRAY(
    SELECT unnest($1::text[])
    UNION SELECT newest.id FROM ${ROOMS} CROSS JOIN LATERAL (
      SELECT id FROM calls WHERE room_name = rooms.name ORDER BY created_at DESC, id DESC LIMIT 1
    ) AS newest
    UNION SELECT incomplete.call_id FROM ${ROOMS} JOIN room_deletions AS incomplete
      ON incomplete.room_name = rooms.name AND incomplete.state <> 'completed'
  ))`);

const takenIds = prepareSql<{ id: string }>('SELECT id FROM calls WHERE id = ANY($1::text[])');
const eventIds = prepareSql<{ id: string }>('SELECT id FROM livekit_events WHERE id = ANY($1::text[])');

const LONGEST_PREFIX = `(
    SELECT prefix, organization_id FROM adoption_prefixes WHERE starts_with(rooms.name, prefix)
    ORDER BY length(prefix) DESC LIMIT 1
  ) AS adoption`;

const longestPrefixes = prepareSql<Adoption & { readonly roomName: string }>(`
  SELECT rooms.name AS "roomName", adoption.prefix, adoption.organization_id AS "organizationId"
  FROM ${ROOMS} CROSS JOIN LATERAL ${LONGEST_PREFIX}`);

/** The organizations of the calls $1, of the newest calls in the rooms, of the rooms' prefixes, and the organizations $3. */
const ORGANIZATIONS = `
  SELECT organization_id FROM calls WHERE id = ANY($1::text[])
  UNION SELECT newest.organization_id FROM ${ROOMS} CROSS JOIN LATERAL (
    SELECT organization_id FROM calls WHERE room_name = rooms.name ORDER BY created_at DESC, id DESC LIMIT 1
  ) AS newest
  UNION SELECT adoption.organization_id FROM ${ROOMS} CROSS JOIN LATERAL ${LONGEST_PREFIX}
  UNION SELECT unnest($3::text[])`;

/** An id matches in every status, so a running cancellation by ids does not concern events. */
const IS_BY_FILTER = `left(selector::text, 11) <> '{"callIds":'`;

const cancellationsOfOrganizations = prepareSql<CancellationRow>(`
  SELECT id, organization_id AS "organizationId", selector, reason, created_by AS "createdBy", phase,
    created_at AS "createdAt", hold_state AS "holdState",
    state = 'running' AND ${IS_BY_FILTER} AS "isRunningByFilter"
  FROM cancellations
  WHERE (hold_state = 'active' OR (state = 'running' AND ${IS_BY_FILTER}))
    AND organization_id = ANY(ARRAY(${ORGANIZATIONS}))
  ORDER BY created_at, id`);

const lockCalls = prepareSql<{ keys: string[] }>(
  `${ORDERED_LOCKS(`
  SELECT 'room:' || room_name, false FROM calls WHERE id = ANY($1::text[])
  UNION ALL SELECT unnest($2::text[]), false`)}`,
);

const lockCallsAndOrganizations = prepareSql<{ keys: string[] }>(
  `${ORDERED_LOCKS(`
  SELECT 'room:' || room_name, false FROM calls WHERE id = ANY($4::text[])
  UNION ALL SELECT unnest($5::text[]), false
  UNION ALL SELECT 'org:' || organization_id, true FROM (${ORGANIZATIONS}) AS organizations`)}`,
);

/** Parameters of the statements for a batch of requests. */
interface Selected {
  readonly callIds: readonly string[];
  readonly roomNames: readonly string[];
  /** Those of the calls whose room's other rows are needed. */
  readonly callIdsWithRoom: readonly string[];
  readonly newCallIds: readonly string[];
  readonly eventIds: readonly string[];
  readonly organizationIds: readonly string[];
  readonly keys: readonly IdempotentRequest[];
  has(...rows: readonly RelatedRow[]): boolean;
}

function select(requests: readonly CallRequest[]): Selected {
  const selections = requests.map(({ selection }) => selection);
  const related = new Set(selections.flatMap((selection) => selection.related));
  const has = (...rows: readonly RelatedRow[]) => rows.some((row) => related.has(row));
  const idOf = ({ target }: CallSelection) => ('callId' in target ? [target.callId] : []);
  const needsRoom = (selection: CallSelection) =>
    selection.related.some((row) => row !== 'deletion' && row !== 'hasLiveCallInRoom');
  return {
    callIds: selections.flatMap(idOf),
    roomNames: selections.flatMap(({ target }) => ('roomName' in target ? [target.roomName] : [])),
    callIdsWithRoom: selections.filter(needsRoom).flatMap(idOf),
    newCallIds: selections.flatMap(({ newCallId }) => newCallId ?? []),
    eventIds: selections.flatMap(({ eventId }) => eventId ?? []),
    organizationIds: selections.flatMap(({ organizationId }) => organizationId ?? []),
    keys: requests.flatMap(({ idempotency }) => idempotency ?? []),
    has,
  };
}

/**
 * Takes the locks of the requests, in the transaction of the session: see {@link Lock}. Finds the rooms and organizations
 * itself. Returns the keys of the locks. A call that another transaction has not committed yet is not covered.
 */
export async function lockRowsOf(
  session: Session,
  requests: readonly CallRequest[],
): Promise<ReadonlySet<string>> {
  const { callIds, roomNames, callIdsWithRoom, organizationIds, keys, has } = select(requests);
  const own = [...roomNames.map(lockRoom), ...keys.map(lockIdempotencyKey)].map(({ key }: Lock) => key);
  const rows = has('holds', 'runningCancellations')
    ? await lockCallsAndOrganizations.all(session, [
        callIdsWithRoom,
        roomNames,
        organizationIds,
        callIds,
        own,
      ])
    : await lockCalls.all(session, [callIds, own]);
  return new Set(rows.flatMap((row) => row.keys));
}

/** Whether the keys of the held locks cover a call. */
export function isCallCovered(keys: ReadonlySet<string>, { roomName }: Pick<Call, 'roomName'>): boolean {
  return keys.has(lockRoom(roomName).key);
}

export function isOrganizationCovered(keys: ReadonlySet<string>, organizationId: string): boolean {
  return keys.has(lockOrganization(organizationId, { isShared: true }).key);
}

/** Loads the rows of the requests with as few statements as the requests need, which travel together. */
export async function loadRowsOf(
  session: Session,
  requests: readonly CallRequest[],
  { isReadOnly = false }: { isReadOnly?: boolean } = {},
): Promise<LoadedRows> {
  const selected = select(requests);
  const { callIds, roomNames, callIdsWithRoom, organizationIds, has } = selected;
  const rooms = [callIdsWithRoom, roomNames] as const;
  const hasRooms = rooms.some(({ length }) => length > 0);
  const unless = <Row>(isNeeded: boolean, read: () => Promise<readonly Row[]>) =>
    isNeeded ? read() : Promise.resolve([]);
  const mode = isReadOnly ? 'read' : 'lock';
  const readsDeletions = has('deletion', 'incompleteDeletion');
  const [found, callsInRooms, liveCalls, deletions, taken, events, adoptions, cancellations, responses] =
    await Promise.all([
      unless(callIds.length > 0, () => callsById.all(session, [callIds])),
      unless(hasRooms, () => newestTwoInRooms.all(session, [...rooms])),
      unless(has('hasLiveCallInRoom'), () => liveCallsInRooms.all(session, [roomNames])),
      unless(readsDeletions, () =>
        hasRooms
          ? deletionsInRooms[mode].all(session, [callIds, roomNames])
          : deletionsOfCalls[mode].all(session, [callIds]),
      ),
      unless(selected.newCallIds.length > 0, () => takenIds.all(session, [selected.newCallIds])),
      unless(selected.eventIds.length > 0, () => eventIds.all(session, [selected.eventIds])),
      unless(has('adoption'), () => longestPrefixes.all(session, [...rooms])),
      unless(has('holds', 'runningCancellations'), () =>
        cancellationsOfOrganizations.all(session, [...rooms, organizationIds]),
      ),
      loadResponses(session, selected.keys),
    ]);
  return {
    calls: found,
    callsInRooms,
    liveCalls,
    deletions,
    takenIds: taken.map(({ id }) => id),
    eventIds: events.map(({ id }) => id),
    adoptions,
    cancellations,
    responses,
  };
}
