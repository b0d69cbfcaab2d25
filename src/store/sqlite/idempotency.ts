import { and, eq, inArray, lt } from 'drizzle-orm';
import type { IdempotentResponse } from '../../domain/call-change.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { Database } from './database.ts';
import { idempotencyKeys } from './schema.ts';

/** Returns the first response under an Idempotency-Key of an organization; null when none is on record. */
export function findIdempotentResponse(
  db: Database,
  { organizationId, key }: Pick<IdempotentResponse, 'organizationId' | 'key'>,
): IdempotentResponse | null {
  const row = db
    .select()
    .from(idempotencyKeys)
    .where(and(eq(idempotencyKeys.organizationId, organizationId), eq(idempotencyKeys.key, key)))
    .get();
  return row ?? null;
}

/** Stores a response, in place of an older one under the same key. */
export function saveIdempotentResponse(db: Database, response: IdempotentResponse): void {
  const { organizationId: _, key: __, ...set } = response;
  db.insert(idempotencyKeys)
    .values(response)
    .onConflictDoUpdate({ target: [idempotencyKeys.organizationId, idempotencyKeys.key], set })
    .run();
}

export function pruneIdempotencyKeys(
  db: Database,
  { before, limit }: { before: Timestamp; limit: number },
): number {
  // Rows of the same millisecond are deleted together.
  const old = db
    .select({ createdAt: idempotencyKeys.createdAt })
    .from(idempotencyKeys)
    .where(lt(idempotencyKeys.createdAt, before))
    .limit(limit);
  return db.delete(idempotencyKeys).where(inArray(idempotencyKeys.createdAt, old)).run().changes;
}
