import { asc, eq } from 'drizzle-orm';
import type { Timestamp } from '../../domain/time.ts';
import type { Database } from './database.ts';
import { organizations } from './schema.ts';

/** Returns the organization of this name, created if the name is new. */
export function ensureOrganization(
  db: Database,
  { name, idIfNew, now }: { name: string; idIfNew: string; now: Timestamp },
): { id: string; name: string } {
  db.insert(organizations)
    .values({ id: idIfNew, name, createdAt: now })
    .onConflictDoNothing({ target: organizations.name })
    .run();
  const organization = db.select().from(organizations).where(eq(organizations.name, name)).get();
  if (organization === undefined) throw new Error(`organization ${name} was not created`);
  return organization;
}

/** Returns the names of all organizations, in alphabetical order. */
export function listOrganizations(db: Database): string[] {
  const rows = db.select({ name: organizations.name }).from(organizations).orderBy(asc(organizations.name));
  return rows.all().map(({ name }) => name);
}
