import { and, eq, getTableColumns, inArray, lt, sql } from 'drizzle-orm';
import {
  checkIdempotency,
  type IdempotentRequest,
  type IdempotentResponse,
  KEY_REUSED,
  type KeyReused,
} from '../../domain/idempotency.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { Replayable } from '../../ports/store.ts';
import type { Database } from './database.ts';
import { preparePerConnection } from './prepare-per-connection.ts';
import { idempotencyKeys } from './schema.ts';
import { columnsOf, placeholdersFor, prepareRows, prepareRun } from './statement.ts';

const { placeholder } = sql;
const columns = getTableColumns(idempotencyKeys);
const { organizationId: _, key: __, ...changing } = columns;

const statements = preparePerConnection((db) => ({
  find: prepareRows(
    db,
    db
      .select(columnsOf(idempotencyKeys))
      .from(idempotencyKeys)
      .where(
        and(
          eq(idempotencyKeys.organizationId, placeholder('organizationId')),
          eq(idempotencyKeys.key, placeholder('key')),
        ),
      ),
  ),
  save: prepareRun(
    db,
    db
      .insert(idempotencyKeys)
      .values(placeholdersFor(columns))
      .onConflictDoUpdate({
        target: [idempotencyKeys.organizationId, idempotencyKeys.key],
        set: placeholdersFor(changing),
      }),
  ),
  // Rows of the same millisecond are deleted together.
  prune: prepareRun(
    db,
    db.delete(idempotencyKeys).where(
      inArray(
        idempotencyKeys.createdAt,
        db
          .select({ createdAt: idempotencyKeys.createdAt })
          .from(idempotencyKeys)
          .where(lt(idempotencyKeys.createdAt, placeholder('before')))
          .limit(placeholder('limit')),
      ),
    ),
  ),
}));

/**
 * Runs a request once for its Idempotency-Key, in the transaction of the connection. A repeated request changes nothing.
 * @param run returns the result, and the outcome that a repeated request gets as its result; null: a retry runs again
 */
export function runOnce<Result>(
  db: Database,
  request: IdempotentRequest | null,
  now: Timestamp,
  run: () => { readonly result: Result; readonly outcome: unknown },
): Replayable<Result | KeyReused> {
  if (request === null) return { result: run().result, isReplay: false };
  const { organizationId, key, fingerprint } = request;
  const response = statements(db).find.get({ organizationId, key }) ?? null;
  const check = checkIdempotency(request, response, now);
  if (check.kind === 'reused') return { result: KEY_REUSED, isReplay: false };
  if (check.kind === 'replay') return { result: JSON.parse(check.outcome) as Result, isReplay: true };
  const { result, outcome } = run();
  if (outcome !== null) {
    const saved: IdempotentResponse = {
      organizationId,
      key,
      fingerprint,
      createdAt: now,
      outcome: JSON.stringify(outcome),
    };
    statements(db).save.run({ ...saved });
  }
  return { result, isReplay: false };
}

export function pruneIdempotencyKeys(
  db: Database,
  { before, limit }: { before: Timestamp; limit: number },
): number {
  return statements(db).prune.run({ before, limit });
}
