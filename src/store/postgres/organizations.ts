import { asc, eq } from 'drizzle-orm';
import type { Timestamp } from '../../domain/time.ts';
import { organizations } from './schema.ts';
import {
  build,
  columnsOf,
  placeholder,
  placeholdersFor,
  prepareRows,
  prepareRun,
  type Session,
} from './session.ts';

const ORGANIZATION = columnsOf(organizations);

const insertIfNew = prepareRun(
  build
    .insert(organizations)
    .values(placeholdersFor(ORGANIZATION))
    .onConflictDoNothing({ target: organizations.name }),
);
const byName = prepareRows(
  build
    .select(ORGANIZATION)
    .from(organizations)
    .where(eq(organizations.name, placeholder('name'))),
);
const list = prepareRows(
  build
    .select(columnsOf(organizations, ['id', 'createdAt']))
    .from(organizations)
    .orderBy(asc(organizations.name)),
);

/** Returns the organization of this name, created in the transaction of the session if the name is new. */
export async function ensureOrganization(
  session: Session,
  { name, idIfNew, now }: { name: string; idIfNew: string; now: Timestamp },
): Promise<{ id: string; name: string }> {
  const [, organization] = await Promise.all([
    insertIfNew.run(session, { id: idIfNew, name, createdAt: now }),
    // Sees the organization also when another transaction inserted it meanwhile: the insert waits for that commit.
    byName.get(session, { name }),
  ]);
  if (organization === undefined) throw new Error(`organization ${name} was not created`);
  return organization;
}

/** Returns the names of all organizations, in alphabetical order. */
export async function listOrganizations(session: Session): Promise<string[]> {
  return (await list.all(session)).map(({ name }) => name);
}
