import { asc, eq, sql } from 'drizzle-orm';
import type { Timestamp } from '../../domain/time.ts';
import type { AdoptionPrefix, NewAdoptionPrefix } from '../../ports/store.ts';
import type { Database } from './database.ts';
import { ensureOrganization } from './organizations.ts';
import { adoptionPrefixes, auditLog, organizations } from './schema.ts';

export function addAdoptionPrefix(db: Database, input: NewAdoptionPrefix): 'added' | 'taken' {
  const { prefix, now } = input;
  return db.transaction(
    (tx) => {
      const taken = tx.select().from(adoptionPrefixes).where(eq(adoptionPrefixes.prefix, prefix)).get();
      if (taken !== undefined) return 'taken';
      const { id: organizationId } = ensureOrganization(tx, {
        name: input.organizationName,
        idIfNew: input.organizationIdIfNew,
        now,
      });
      tx.insert(adoptionPrefixes).values({ prefix, organizationId, createdAt: now }).run();
      tx.insert(auditLog)
        .values({ at: now, organizationId, action: 'adoption.added', actor: 'operator', subjectId: prefix })
        .run();
      return 'added';
    },
    { behavior: 'immediate' },
  );
}

export function listAdoptionPrefixes(db: Database): AdoptionPrefix[] {
  return db
    .select({
      prefix: adoptionPrefixes.prefix,
      organizationId: adoptionPrefixes.organizationId,
      organizationName: organizations.name,
      createdAt: adoptionPrefixes.createdAt,
    })
    .from(adoptionPrefixes)
    .innerJoin(organizations, eq(organizations.id, adoptionPrefixes.organizationId))
    .orderBy(asc(adoptionPrefixes.prefix))
    .all();
}

export function removeAdoptionPrefix(
  db: Database,
  { prefix, now }: { prefix: string; now: Timestamp },
): boolean {
  return db.transaction(
    (tx) => {
      const [removed] = tx
        .delete(adoptionPrefixes)
        .where(eq(adoptionPrefixes.prefix, prefix))
        .returning()
        .all();
      if (removed === undefined) return false;
      const { organizationId } = removed;
      tx.insert(auditLog)
        .values({ at: now, organizationId, action: 'adoption.removed', actor: 'operator', subjectId: prefix })
        .run();
      return true;
    },
    { behavior: 'immediate' },
  );
}

/** Of the prefixes that a room's name begins with, the longest. */
export function longestPrefix(
  tx: Pick<Database, 'select'>,
  roomName: string,
): { prefix: string; organizationId: string } | null {
  const { prefix } = adoptionPrefixes;
  const found = tx
    .select()
    .from(adoptionPrefixes)
    .where(sql`substr(${roomName}, 1, length(${prefix})) = ${prefix}`)
    .orderBy(sql`length(${prefix}) DESC`)
    .limit(1)
    .get();
  return found ?? null;
}
