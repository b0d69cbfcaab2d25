import { asc, eq } from 'drizzle-orm';
import type { Timestamp } from '../../domain/time.ts';
import type { Database } from './database.ts';
import { organizations } from './schema.ts';

/** The organization of this name, made if absent. */
export function ensureOrganization(
  tx: Pick<Database, 'insert' | 'select'>,
  { name, idIfNew, now }: { name: string; idIfNew: string; now: Timestamp },
): { id: string; name: string } {
  tx.insert(organizations)
    .values({ id: idIfNew, name, createdAt: now })
    .onConflictDoNothing({ target: organizations.name })
    .run();
  const organization = tx.select().from(organizations).where(eq(organizations.name, name)).get();
  if (organization === undefined) throw new Error('the organization just made is not there');
  return organization;
}

/** The names of all organizations, in their order. */
export function listOrganizations(db: Database): string[] {
  const rows = db.select({ name: organizations.name }).from(organizations).orderBy(asc(organizations.name));
  return rows.all().map(({ name }) => name);
}
