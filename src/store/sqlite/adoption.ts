import { asc, type Column, eq, type Placeholder, type SQL, sql } from 'drizzle-orm';
import type { Timestamp } from '../../domain/time.ts';
import type { AdoptionPrefix, NewAdoptionPrefix } from '../../ports/store.ts';
import { appendAudit } from './audit.ts';
import type { Database } from './database.ts';
import { ensureOrganization } from './organizations.ts';
import { preparePerConnection } from './prepare-per-connection.ts';
import { adoptionPrefixes, organizations } from './schema.ts';
import { columnsOf, placeholdersFor, prepareRows, prepareRun } from './statement.ts';

const ADOPTION_PREFIX = columnsOf(adoptionPrefixes);
/** Returns the condition that an adoption prefix matches the room's name. */
export function isPrefixOf(roomName: Placeholder | Column): SQL {
  return sql`substr(${roomName}, 1, length(${adoptionPrefixes.prefix})) = ${adoptionPrefixes.prefix}`;
}

const isPrefix = eq(adoptionPrefixes.prefix, sql.placeholder('prefix'));

const statements = preparePerConnection((db) => ({
  find: prepareRows(db, db.select(ADOPTION_PREFIX).from(adoptionPrefixes).where(isPrefix)),
  insert: prepareRun(db, db.insert(adoptionPrefixes).values(placeholdersFor(ADOPTION_PREFIX))),
  remove: prepareRows(db, db.delete(adoptionPrefixes).where(isPrefix).returning(ADOPTION_PREFIX)),
  list: prepareRows(
    db,
    db
      .select({
        ...ADOPTION_PREFIX,
        organizationName: sql<string>`${organizations.name}`.as('organizationName'),
      })
      .from(adoptionPrefixes)
      .innerJoin(organizations, eq(organizations.id, adoptionPrefixes.organizationId))
      .orderBy(asc(adoptionPrefixes.prefix)),
  ),
  longestPrefix: prepareRows(
    db,
    db
      .select(columnsOf(adoptionPrefixes, ['createdAt']))
      .from(adoptionPrefixes)
      .where(isPrefixOf(sql.placeholder('roomName')))
      .orderBy(sql`length(${adoptionPrefixes.prefix}) DESC`)
      .limit(1),
  ),
}));

export function addAdoptionPrefix(db: Database, input: NewAdoptionPrefix): 'added' | 'taken' {
  const { prefix, now } = input;
  if (statements(db).find.get({ prefix }) !== undefined) return 'taken';
  const { id: organizationId } = ensureOrganization(db, {
    name: input.organizationName,
    idIfNew: input.organizationIdIfNew,
    now,
  });
  statements(db).insert.run({ prefix, organizationId, createdAt: now });
  const action = 'adoption.added';
  appendAudit(db, { at: now, organizationId, action, actor: 'operator', subjectId: prefix });
  return 'added';
}

export function listAdoptionPrefixes(db: Database): AdoptionPrefix[] {
  return statements(db).list.all();
}

export function removeAdoptionPrefix(
  db: Database,
  { prefix, now }: { prefix: string; now: Timestamp },
): boolean {
  const [removed] = statements(db).remove.all({ prefix });
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
