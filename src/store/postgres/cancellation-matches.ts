import { type CallStatus, isLive, LIVE_STATUSES, type LiveStatus } from '../../domain/call-status.ts';
import type { CallFilter, CancellationSelector } from '../../domain/cancellation.ts';
import { prepareSql, type Session, type Value } from './session.ts';

/* Live calls that a cancellation selects, from the index by status: the ended calls on record cost nothing. */

const WHERE = `
  organization_id = $1 AND status = $2 AND ended_at IS NULL
  AND ($3::text IS NULL OR agent_id = $3)
  AND ($4::text IS NULL OR direction = $4)
  AND ($5::text IS NULL OR phone_number = $5)
  AND ($6::bigint IS NULL OR created_at >= $6)
  AND ($7::bigint IS NULL OR created_at <= $7)`;

const matches = prepareSql<{ id: string }>(
  `SELECT id FROM calls WHERE ${WHERE} ORDER BY direction, created_at, id LIMIT $8`,
);
const countMatches = prepareSql<{ n: number }>(`SELECT count(*) AS n FROM calls WHERE ${WHERE}`);
const selected = prepareSql<SelectedCall>(`
  SELECT id, organization_id AS "organizationId", status, cancellation_id AS "cancellationId"
  FROM calls WHERE id = ANY($1::text[])`);

export interface SelectedCall {
  readonly id: string;
  readonly organizationId: string;
  readonly status: CallStatus;
  readonly cancellationId: string | null;
}

export interface Selection {
  readonly organizationId: string;
  readonly selector: CancellationSelector;
}

export async function countSelected(
  session: Session,
  { organizationId, selector }: Selection,
): Promise<Record<LiveStatus, number>> {
  const counts = { initiated: 0, connecting: 0, ringing: 0, active: 0 };
  if ('callIds' in selector) {
    for (const { status } of await findLiveById(session, organizationId, selector.callIds))
      counts[status] += 1;
    return counts;
  }
  const filter = filterOf(selector);
  const counted = statusesOf(filter).map(async (status) => {
    const row = await countMatches.get(session, valuesOf(organizationId, filter, status));
    counts[status] = row?.n ?? 0;
  });
  await Promise.all(counted);
  return counts;
}

/** Returns ids of selected live calls, in the order in which they are recorded. */
export async function findSelected(
  session: Session,
  { organizationId, selector }: Selection,
  limit: number,
): Promise<string[]> {
  if ('callIds' in selector) {
    const live = await findLiveById(session, organizationId, selector.callIds);
    const order = (status: LiveStatus) => LIVE_STATUSES.indexOf(status);
    return live
      .toSorted((a, b) => order(a.status) - order(b.status))
      .slice(0, limit)
      .map(({ id }) => id);
  }
  const filter = filterOf(selector);
  const ids: string[] = [];
  for (const status of statusesOf(filter)) {
    if (ids.length === limit) break;
    const values = [...valuesOf(organizationId, filter, status), limit - ids.length];
    ids.push(...(await matches.all(session, values)).map(({ id }) => id));
  }
  return ids;
}

export function findByIds(session: Session, ids: readonly string[]): Promise<SelectedCall[]> {
  return selected.all(session, [ids]);
}

/** In the order of the ids. */
async function findLiveById(session: Session, organizationId: string, callIds: readonly string[]) {
  const found = new Map((await findByIds(session, callIds)).map((call) => [call.id, call]));
  return callIds.flatMap((id) => {
    const call = found.get(id);
    if (call === undefined || call.organizationId !== organizationId || !isLive(call.status)) return [];
    return [{ id, status: call.status }];
  });
}

const filterOf = (selector: Exclude<CancellationSelector, { callIds: readonly string[] }>): CallFilter =>
  'all' in selector ? {} : selector.filter;

const statusesOf = ({ status: statuses }: CallFilter) =>
  LIVE_STATUSES.filter((status) => statuses === undefined || statuses.includes(status));

function valuesOf(organizationId: string, filter: CallFilter, status: LiveStatus): Value[] {
  const { agentId = null, direction = null, phoneNumber = null, from = null, to = null } = filter;
  return [organizationId, status, agentId, direction, phoneNumber, from, to];
}
