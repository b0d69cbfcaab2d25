import type { ApiKey } from '../../domain/api-key.ts';
import type { OrganizationCounts } from '../../ports/overview-store.ts';
import type { Store } from '../../ports/store.ts';
import type { Clock } from '../../ports/system.ts';

/** A count reads all live calls and incomplete deletions, and several pages can poll. */
const CACHE_MS = 2_000;

interface Entry {
  readonly counts: Promise<OrganizationCounts>;
  readonly readAt: number;
}

/** Returns counts of the key's organization, at most {@link CACHE_MS} old. */
export type CountOrganization = (apiKey: ApiKey) => Promise<OrganizationCounts>;

export function createOrganizationCounts({
  store,
  clock,
}: {
  store: Pick<Store, 'countOrganization'>;
  clock: Clock;
}): CountOrganization {
  const entries = new Map<string, Entry>();
  return ({ organizationId }) => {
    const now = clock.now();
    const known = entries.get(organizationId);
    // The absolute difference: the clock may be set back.
    if (known !== undefined && Math.abs(now - known.readAt) < CACHE_MS) return known.counts;
    const entry = { counts: store.countOrganization(organizationId), readAt: now };
    entries.set(organizationId, entry);
    entry.counts.catch(() => {
      if (entries.get(organizationId) === entry) entries.delete(organizationId);
    });
    return entry.counts;
  };
}
