import { LIVE_STATUSES, type LiveStatus } from '../../domain/call-status.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { Activity, OrganizationActivity, OrganizationCounts } from '../../ports/overview-store.ts';
import { toActivity } from '../to-activity.ts';
import { prepareSql, type Session } from './session.ts';

const LIVE = LIVE_STATUSES.map((status) => `'${status}'`).join(', ');
const byStatus = LIVE_STATUSES.map((status) => `count(*) FILTER (WHERE status = '${status}') AS ${status}`);

type CountRow = Readonly<Record<LiveStatus | 'open' | 'discarded' | 'running' | 'activeHolds', number>> & {
  readonly oldestOpenAt: Timestamp | null;
  readonly lastWebhookAt: Timestamp | null;
};

/** One statement, so that all counts are of one snapshot. */
const counts = prepareSql<CountRow>(`
  SELECT *, (SELECT received_at FROM livekit_events ORDER BY received_at DESC LIMIT 1) AS "lastWebhookAt" FROM
    (SELECT ${byStatus.join(', ')} FROM calls WHERE organization_id = $1 AND status IN (${LIVE})) AS live,
    (SELECT count(*) FILTER (WHERE finalized_at IS NULL) AS open, count(*) FILTER (WHERE state = 'discarded') AS discarded,
       min(deletions.created_at) FILTER (WHERE finalized_at IS NULL) AS "oldestOpenAt"
     FROM room_deletions AS deletions JOIN calls ON calls.id = call_id
     WHERE state <> 'completed' AND organization_id = $1) AS deletions,
    (SELECT count(*) AS running FROM cancellations WHERE state = 'running' AND organization_id = $1) AS running,
    (SELECT count(*) AS "activeHolds" FROM cancellations WHERE hold_state = 'active' AND organization_id = $1) AS holds`);

type ActivityRow = OrganizationActivity & { readonly position: number };

const activity = prepareSql<ActivityRow>(`
  WITH position AS (SELECT last AS position FROM audit_position)
  SELECT position.position, id AS "organizationId", (
      SELECT count(*) FROM calls WHERE organization_id = organizations.id AND status IN (${LIVE})
    ) AS "liveCalls", coalesce(open, 0) AS "openDeletions", coalesce(cancelled, 0) AS cancelled,
    coalesce(deleted, 0) AS deleted, coalesce(failed, 0) AS failed
  FROM organizations CROSS JOIN position LEFT JOIN (
    SELECT organization_id, count(*) AS open FROM room_deletions JOIN calls ON calls.id = call_id
    WHERE finalized_at IS NULL GROUP BY organization_id
  ) AS deletions ON deletions.organization_id = id LEFT JOIN (
    SELECT organization_id, count(*) FILTER (WHERE to_status = 'cancelled') AS cancelled,
      count(*) FILTER (WHERE action = 'call.room_deletion' AND details ->> 'state' = 'completed') AS deleted,
      count(*) FILTER (WHERE action = 'call.room_deletion' AND details ->> 'state' IN ('retryable', 'discarded')) AS failed
    FROM audit_log CROSS JOIN position
    WHERE audit_log.id > $1::bigint AND audit_log.id <= position.position GROUP BY organization_id
  ) AS events ON events.organization_id = id`);

export async function countOrganization(
  session: Session,
  organizationId: string,
): Promise<OrganizationCounts> {
  const row = await counts.get(session, [organizationId]);
  if (row === undefined) throw new Error('a count returned no row');
  const { initiated, connecting, ringing, active, open, discarded, oldestOpenAt, running, activeHolds } = row;
  return {
    liveCalls: { initiated, connecting, ringing, active },
    roomDeletions: { open, discarded, oldestOpenAt },
    cancellations: { running, activeHolds },
    lastWebhookAt: row.lastWebhookAt,
  };
}

export async function readActivity(session: Session, after: number | null): Promise<Activity> {
  const rows = await activity.all(session, [after]);
  const position = rows[0]?.position ?? after ?? 0;
  return toActivity(position, [rows.map(({ position: _, ...row }) => row)]);
}
