import { asc, eq, sql } from 'drizzle-orm';
import type { Timestamp } from '../../domain/time.ts';
import type { AdoptionPrefix, NewAdoptionPrefix } from '../../ports/store.ts';
import { appendAudit } from './audit.ts';
import type { Database } from './database.ts';
import { ensureOrganization } from './organizations.ts';
import { preparePerConnection } from './prepare-per-connection.ts';
import { adoptionPrefixes, organizations } from './schema.ts';

export function addAdoptionPrefix(db: Database, input: NewAdoptionPrefix): 'added' | 'taken' {
  const { prefix, now } = input;
  const taken = db.select().from(adoptionPrefixes).where(eq(adoptionPrefixes.prefix, prefix)).get();
  if (taken !== undefined) return 'taken';
  const { id: organizationId } = ensureOrganization(db, {
    name: input.organizationName,
    idIfNew: input.organizationIdIfNew,
    now,
  });
  db.insert(adoptionPrefixes).values({ prefix, organizationId, createdAt: now }).run();
  const action = 'adoption.added';
  appendAudit(db, { at: now, organizationId, action, actor: 'operator', subjectId: prefix });
  return 'added';
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
  const [removed] = db.delete(adoptionPrefixes).where(eq(adoptionPrefixes.prefix, prefix)).returning().all();
  if (removed === undefined) return false;
  const { organizationId } = removed;
  const action = 'adoption.removed';
  appendAudit(db, { at: now, organizationId, action, actor: 'operator', subjectId: prefix });
  return true;
}

/** Returns the longest adoption prefix of a room's name. */
export function findAdoptionPrefix(
  db: Database,
  roomName: string,
): { prefix: string; organizationId: string } | null {
  return statements(db).longestPrefix.get({ roomName }) ?? null;
}

const statements = preparePerConnection((db) => ({
  longestPrefix: db
    .select({ prefix: adoptionPrefixes.prefix, organizationId: adoptionPrefixes.organizationId })
    .from(adoptionPrefixes)
    .where(
      sql`substr(${sql.placeholder('roomName')}, 1, length(${adoptionPrefixes.prefix})) = ${adoptionPrefixes.prefix}`,
    )
    .orderBy(sql`length(${adoptionPrefixes.prefix}) DESC`)
    .limit(1)
    .prepare(),
}));
