import { and, asc, eq, or, sql } from 'drizzle-orm';
import { actorOf } from '../../domain/audit.ts';
import type { AdoptionPrefix, NewAdoptionPrefix } from '../../ports/adoption-store.ts';
import type { Store } from '../../ports/store.ts';
import type { Database } from './database.ts';
import { ensureOrganization } from './organizations.ts';
import { adoptionPrefixes, organizations } from './schema.ts';
import {
  build,
  columnsOf,
  placeholder,
  placeholdersFor,
  prepareRows,
  prepareRun,
  type Session,
} from './session.ts';
import { transaction } from './transaction.ts';

const ADOPTION_PREFIX = columnsOf(adoptionPrefixes);

const isPrefix = eq(adoptionPrefixes.prefix, placeholder('prefix'));

const find = prepareRows(build.select(ADOPTION_PREFIX).from(adoptionPrefixes).where(isPrefix));
const insert = prepareRun(build.insert(adoptionPrefixes).values(placeholdersFor(ADOPTION_PREFIX)));
/** Without an author, of each organization. */
const isOfAuthor = or(
  sql`${placeholder('authorOrganizationId')}::text IS NULL`,
  sql`${adoptionPrefixes.organizationId} = ${placeholder('authorOrganizationId')}::text`,
);
const remove = prepareRows(
  build.delete(adoptionPrefixes).where(and(isPrefix, isOfAuthor)).returning(ADOPTION_PREFIX),
);
const list = prepareRows(
  build
    .select({
      ...ADOPTION_PREFIX,
      organizationName: sql<string>`${organizations.name}`.as('organizationName'),
    })
    .from(adoptionPrefixes)
    .innerJoin(organizations, eq(organizations.id, adoptionPrefixes.organizationId))
    .orderBy(asc(adoptionPrefixes.prefix)),
);
/** When another transaction adds the prefix at the same time, the insert fails, and the transaction runs again. */
export function addAdoptionPrefix(db: Database, input: NewAdoptionPrefix): Promise<'added' | 'taken'> {
  const { prefix, now } = input;
  return transaction(db, async (tx) => {
    if ((await find.get(tx, { prefix })) !== undefined) return 'taken';
    const { id: organizationId } = await ensureOrganization(tx, {
      name: input.organizationName,
      idIfNew: input.organizationIdIfNew,
      now,
    });
    await insert.run(tx, { prefix, organizationId, createdAt: now });
    const action = 'adoption.added';
    tx.appendAudit({ at: now, organizationId, action, ...actorOf(input.author), subjectId: prefix });
    return 'added';
  });
}

export function listAdoptionPrefixes(session: Session): Promise<AdoptionPrefix[]> {
  return list.all(session);
}

export function removeAdoptionPrefix(
  db: Database,
  { prefix, author, now }: Parameters<Store['removeAdoptionPrefix']>[0],
): Promise<boolean> {
  return transaction(db, async (tx) => {
    const authorOrganizationId = author?.organizationId ?? null;
    const removed = await remove.get(tx, { prefix, authorOrganizationId });
    if (removed === undefined) return false;
    const { organizationId } = removed;
    const action = 'adoption.removed';
    tx.appendAudit({ at: now, organizationId, action, ...actorOf(author), subjectId: prefix });
    return true;
  });
}
