import { prepareSql, type Session } from './session.ts';

/**
 * A lock of a transaction, which ends with the transaction. Two transactions with the same lock run one after the other,
 * unless both share the lock. Every change of a call holds the lock of its room. With holds or running cancellations, a
 * change also shares the lock of the organization, which everything that changes holds or running cancellations holds alone.
 */
export interface Lock {
  readonly key: string;
  readonly isShared: boolean;
}

export const lockOrganization = (id: string, { isShared }: { isShared: boolean }): Lock => ({
  key: `org:${id}`,
  isShared,
});
export const lockRoom = (roomName: string): Lock => ({ key: `room:${roomName}`, isShared: false });
export const lockIdempotencyKey = ({
  organizationId,
  key,
}: {
  organizationId: string;
  key: string;
}): Lock => ({
  key: `key:${organizationId}:${key}`,
  isShared: false,
});

/**
 * Returns SQL that takes the locks of a query with the columns key and is_shared, and returns the keys. One order for all
 * transactions, so that no two of them wait for each other: organizations, then the other keys.
 */
export const ORDERED_LOCKS = (query: string) => `
  SELECT keys, CASE WHEN is_shared THEN pg_advisory_xact_lock_shared(hash) IS NULL ELSE pg_advisory_xact_lock(hash) IS NULL END
  FROM (
    SELECT hashtextextended(key, 0) AS hash, array_agg(key) AS keys, bool_and(is_shared) AS is_shared,
      bool_or(starts_with(key, 'org:')) AS is_first
    FROM (${query}) AS locks (key, is_shared)
    GROUP BY 1 ORDER BY 4 DESC, 1
  ) AS ordered`;

const take = prepareSql(ORDERED_LOCKS('SELECT * FROM unnest($1::text[], $2::boolean[])'));

/** Takes the locks, in the transaction of the session. */
export async function takeLocks(session: Session, locks: readonly Lock[]): Promise<void> {
  if (locks.length === 0) return;
  await take.run(session, [locks.map(({ key }) => key), locks.map(({ isShared }) => isShared)]);
}
