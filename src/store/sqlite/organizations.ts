import { asc, eq, sql } from 'drizzle-orm';
import type { Timestamp } from '../../domain/time.ts';
import type { Database } from './database.ts';
import { preparePerConnection } from './prepare-per-connection.ts';
import { organizations } from './schema.ts';
import { columnsOf, placeholdersFor, prepareRows, prepareRun } from './statement.ts';

const ORGANIZATION = columnsOf(organizations);

const statements = preparePerConnection((db) => ({
  insertIfNew: prepareRun(
    db,
    db
      .insert(organizations)
      .values(placeholdersFor(ORGANIZATION))
      .onConflictDoNothing({ target: organizations.name }),
  ),
  byName: prepareRows(
    db,
    db
      .select(ORGANIZATION)
      .from(organizations)
      .where(eq(organizations.name, sql.placeholder('name'))),
  ),
  list: prepareRows(
    db,
    db
      .select(columnsOf(organizations, ['id', 'createdAt']))
      .from(organizations)
      .orderBy(asc(organizations.name)),
  ),
}));

/** Returns the organization of this name, created if the name is new. */
export function ensureOrganization(
  db: Database,
  { name, idIfNew, now }: { name: string; idIfNew: string; now: Timestamp },
): { id: string; name: string } {
  statements(db).insertIfNew.run({ id: idIfNew, name, createdAt: now });
  const organization = statements(db).byName.get({ name });
  if (organization === undefined) throw new Error(`organization ${name} was not created`);
  return organization;
}

/** Returns the names of all organizations, in alphabetical order. */
export function listOrganizations(db: Database): string[] {
  return statements(db)
    .list.all()
    .map(({ name }) => name);
}
