import type { Timestamp } from '../../domain/time.ts';
import type { LiveCounts } from '../../ports/store.ts';
import { type Finding, formatAge, pluralize } from '../finding.ts';

const STALE_DELETION_MS = 120_000;

export function assessDeletions(
  { openDeletions: { discarded }, oldestOpenDeletionAt }: LiveCounts,
  now: Timestamp,
): Finding {
  const check = 'deletions';
  const ageMs = oldestOpenDeletionAt === null ? 0 : now - oldestOpenDeletionAt;
  if (ageMs > STALE_DELETION_MS) {
    return {
      check,
      level: 'warning',
      message: `a call ended ${formatAge(ageMs)}, and its room is not deleted yet`,
      advice: 'check that hangup is running; its log has `cause` and `advice` for each failed deletion',
    };
  }
  if (discarded > 0) {
    return {
      check,
      level: 'warning',
      message: `hangup stopped retrying ${pluralize(discarded, 'room deletion')}`,
      advice:
        '`hangup deletions list --state discarded` lists the rooms; `hangup deletions retry` starts a deletion again',
    };
  }
  return { check, level: 'ok', message: 'no overdue room deletions' };
}
