import type { Activity, OrganizationActivity } from '../ports/overview-store.ts';

const NOTHING = { liveCalls: 0, openDeletions: 0, cancelled: 0, deleted: 0, failed: 0 };

/** Joins the numbers of each organization. */
export function toActivity(
  position: number,
  counts: readonly (readonly (Partial<OrganizationActivity> & { readonly organizationId: string })[])[],
): Activity {
  const organizations = new Map<string, OrganizationActivity>();
  for (const part of counts.flat()) {
    const known = organizations.get(part.organizationId) ?? NOTHING;
    organizations.set(part.organizationId, { ...known, ...part });
  }
  const isActive = ({ organizationId: _, ...numbers }: OrganizationActivity) =>
    Object.values(numbers).some((number) => number > 0);
  return { position, organizations: [...organizations.values()].filter(isActive) };
}
