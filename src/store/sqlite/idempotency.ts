import { and, eq, getTableColumns, inArray, lt, sql } from 'drizzle-orm';
import type { IdempotentResponse } from '../../domain/call-change.ts';
import type { Timestamp } from '../../domain/time.ts';
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

/** Returns the first response under an Idempotency-Key of an organization; null when none is on record. */
export function findIdempotentResponse(
  db: Database,
  { organizationId, key }: Pick<IdempotentResponse, 'organizationId' | 'key'>,
): IdempotentResponse | null {
  return statements(db).find.get({ organizationId, key }) ?? null;
}

/** Stores a response, in place of an older one under the same key. */
export function saveIdempotentResponse(db: Database, response: IdempotentResponse): void {
  statements(db).save.run({ ...response });
}

export function pruneIdempotencyKeys(
  db: Database,
  { before, limit }: { before: Timestamp; limit: number },
): number {
  return statements(db).prune.run({ before, limit });
}
