import { and, eq, gte, inArray, lt } from 'drizzle-orm';
import type { EndedStatus } from '../../domain/call.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { CancelInput, CancelResult } from '../../ports/store.ts';
import type { Database } from './database.ts';
import { idempotencyKeys } from './schema.ts';

type Connection = Pick<Database, 'select' | 'insert' | 'delete'>;

/** The first answer that was given under the request's Idempotency-Key, if it is still remembered. */
export function recallAnswer(
  db: Connection,
  { idempotency, organizationId }: CancelInput,
): CancelResult | null {
  if (idempotency === null) return null;
  const answer = db
    .select()
    .from(idempotencyKeys)
    .where(
      and(
        eq(idempotencyKeys.organizationId, organizationId),
        eq(idempotencyKeys.key, idempotency.key),
        gte(idempotencyKeys.createdAt, idempotency.rememberedSince),
      ),
    )
    .get();
  if (answer === undefined) return null;
  if (answer.fingerprint !== idempotency.fingerprint) return { kind: 'idempotency_key_reused' };
  return answer.refusedStatus === null
    ? { kind: 'replayed' }
    : { kind: 'not_live', status: answer.refusedStatus };
}

export function rememberAnswer(
  db: Connection,
  { idempotency, organizationId, now }: CancelInput,
  refusedStatus: EndedStatus | null,
): void {
  if (idempotency === null) return;
  const answer = { fingerprint: idempotency.fingerprint, refusedStatus, createdAt: now };
  db.insert(idempotencyKeys)
    .values({ organizationId, key: idempotency.key, ...answer })
    .onConflictDoUpdate({ target: [idempotencyKeys.organizationId, idempotencyKeys.key], set: answer })
    .run();
}

export function pruneIdempotencyKeys(
  db: Connection,
  { before, limit }: { before: Timestamp; limit: number },
): number {
  // Those of one millisecond go together.
  const old = db
    .select({ createdAt: idempotencyKeys.createdAt })
    .from(idempotencyKeys)
    .where(lt(idempotencyKeys.createdAt, before))
    .limit(limit);
  return db.delete(idempotencyKeys).where(inArray(idempotencyKeys.createdAt, old)).run().changes;
}
