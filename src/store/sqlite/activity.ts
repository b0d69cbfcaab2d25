import { LIVE_STATUSES } from '../../domain/call-status.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { Activity, OrganizationCounts } from '../../ports/overview-store.ts';
import { toActivity } from '../to-activity.ts';
import type { Database } from './database.ts';
import { getEventRange } from './events.ts';
import { preparePerConnection } from './prepare-per-connection.ts';

const LIVE = LIVE_STATUSES.map((status) => `'${status}'`).join(', ');
const byStatus = LIVE_STATUSES.map((status) => `count(*) FILTER (WHERE status = '${status}') AS ${status}`);
const OF_ORGANIZATION = 'organization_id = CAST(? AS TEXT)';

interface EventCounts {
  readonly organizationId: string;
  readonly cancelled: number;
  readonly deleted: number;
  readonly failed: number;
}

const statements = preparePerConnection(({ $client: client }) => ({
  liveCalls: client.prepare<[string], OrganizationCounts['liveCalls']>(`
    SELECT ${byStatus.join(', ')} FROM calls INDEXED BY calls_by_status
    WHERE ${OF_ORGANIZATION} AND status IN (${LIVE})`),
  deletions: client.prepare<[string], OrganizationCounts['roomDeletions']>(`
    SELECT count(*) FILTER (WHERE finalized_at IS NULL) AS open, count(*) FILTER (WHERE state = 'discarded') AS discarded,
      min(room_deletions.created_at) FILTER (WHERE finalized_at IS NULL) AS oldestOpenAt
    FROM room_deletions INDEXED BY room_deletions_incomplete_by_created CROSS JOIN calls ON calls.id = call_id
    WHERE state <> 'completed' AND ${OF_ORGANIZATION}`),
  running: client
    .prepare<[string], number>(`
      SELECT count(*) FROM cancellations INDEXED BY cancellations_running
      WHERE state = 'running' AND ${OF_ORGANIZATION}`)
    .pluck(),
  holds: client
    .prepare<[string], number>(`
      SELECT count(*) FROM cancellations INDEXED BY cancellations_with_active_hold
      WHERE hold_state = 'active' AND ${OF_ORGANIZATION}`)
    .pluck(),
  lastWebhookAt: client.prepare<[], Timestamp>('SELECT max(received_at) FROM livekit_events').pluck(),
  live: client.prepare<[], { organizationId: string; liveCalls: number }>(`
    SELECT id AS organizationId, (
      SELECT count(*) FROM calls INDEXED BY calls_by_status WHERE organization_id = organizations.id AND status IN (${LIVE})
    ) AS liveCalls FROM organizations`),
  open: client.prepare<[], number>('SELECT count(*) FROM room_deletions WHERE finalized_at IS NULL').pluck(),
  openOfOrganizations: client.prepare<[], { organizationId: string; openDeletions: number }>(`
    SELECT organization_id AS organizationId, count(*) AS openDeletions
    FROM room_deletions INDEXED BY room_deletions_due CROSS JOIN calls ON calls.id = call_id
    WHERE finalized_at IS NULL GROUP BY organization_id`),
  events: client.prepare<[after: number, position: number], EventCounts>(`
    SELECT organization_id AS organizationId, count(*) FILTER (WHERE to_status = 'cancelled') AS cancelled,
      count(*) FILTER (WHERE action = 'call.room_deletion' AND json_extract(details, '$.state') = 'completed') AS deleted,
      count(*) FILTER (WHERE action = 'call.room_deletion'
        AND json_extract(details, '$.state') IN ('retryable', 'discarded')) AS failed
    FROM audit_log WHERE id > (? + 0) AND id <= (? + 0) GROUP BY organization_id`),
}));

export function countOrganization(db: Database, organizationId: string): OrganizationCounts {
  const { liveCalls, deletions, running, holds, lastWebhookAt } = statements(db);
  const live = liveCalls.get(organizationId);
  const roomDeletions = deletions.get(organizationId);
  if (live === undefined || roomDeletions === undefined) throw new Error('a count returned no row');
  return {
    liveCalls: live,
    roomDeletions,
    cancellations: {
      running: running.get(organizationId) ?? 0,
      activeHolds: holds.get(organizationId) ?? 0,
    },
    lastWebhookAt: lastWebhookAt.get() ?? null,
  };
}

export function readActivity(db: Database, after: number | null): Activity {
  const { live, open, openOfOrganizations, events } = statements(db);
  const { newest: position } = getEventRange(db);
  const organizations = live.all();
  const [only] = organizations;
  // With one organization, an index counts its deletions alone.
  const deletions =
    only !== undefined && organizations.length === 1
      ? [{ organizationId: only.organizationId, openDeletions: open.get() ?? 0 }]
      : openOfOrganizations.all();
  return toActivity(position, [organizations, deletions, after === null ? [] : events.all(after, position)]);
}
