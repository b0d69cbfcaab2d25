import { asc, type Column, eq, type Placeholder, type SQL, sql } from 'drizzle-orm';
import { actorOf } from '../../domain/audit.ts';
import type { AdoptionPrefix, NewAdoptionPrefix } from '../../ports/adoption-store.ts';
import type { Store } from '../../ports/store.ts';
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
  remove: prepareRun(db, db.delete(adoptionPrefixes).where(isPrefix)),
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
  appendAudit(db, { at: now, organizationId, action, ...actorOf(input.author), subjectId: prefix });
  return 'added';
}

export function listAdoptionPrefixes(db: Database): AdoptionPrefix[] {
  return statements(db).list.all();
}

export function removeAdoptionPrefix(
  db: Database,
  { prefix, author, now }: Parameters<Store['removeAdoptionPrefix']>[0],
): boolean {
  const found = statements(db).find.get({ prefix });
  if (found === undefined) return false;
  const { organizationId } = found;
  if (author !== undefined && author.organizationId !== organizationId) return false;
  statements(db).remove.run({ prefix });
  const action = 'adoption.removed';
  appendAudit(db, { at: now, organizationId, action, ...actorOf(author), subjectId: prefix });
  return true;
}

/** Returns the longest adoption prefix of a room's name. */
export function findAdoptionPrefix(
  db: Database,
  roomName: string,
): { prefix: string; organizationId: string } | null {
  return statements(db).longestPrefix.get({ roomName }) ?? null;
}
