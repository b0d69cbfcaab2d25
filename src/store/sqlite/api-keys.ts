import { eq } from 'drizzle-orm';
import type { ApiKey } from '../../domain/api-key.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { NewApiKey } from '../../ports/store.ts';
import type { Database } from './database.ts';
import { ensureOrganization } from './organizations.ts';
import { toApiKey } from './rows.ts';
import { apiKeys, auditLog, organizations } from './schema.ts';

export function createApiKey(db: Database, input: NewApiKey): ApiKey {
  const { id, name, hash, expiresAt, now } = input;
  return db.transaction(
    (tx) => {
      const organization = ensureOrganization(tx, {
        name: input.organizationName,
        idIfNew: input.organizationIdIfNew,
        now,
      });
      const row = tx
        .insert(apiKeys)
        .values({
          id,
          organizationId: organization.id,
          name,
          hash,
          scopes: [...input.scopes],
          createdAt: now,
          expiresAt,
        })
        .returning()
        .get();
      tx.insert(auditLog)
        .values({
          at: now,
          organizationId: organization.id,
          action: 'api_key.created',
          actor: 'operator',
          subjectId: id,
        })
        .run();
      return toApiKey(row, organization.name);
    },
    { behavior: 'immediate' },
  );
}

export function findApiKey(db: Database, hash: string): ApiKey | null {
  const found = joined(db).where(eq(apiKeys.hash, hash)).get();
  return found === undefined ? null : toApiKey(found.key, found.organizationName);
}

export function listApiKeys(db: Database): ApiKey[] {
  return joined(db)
    .orderBy(apiKeys.id)
    .all()
    .map((found) => toApiKey(found.key, found.organizationName));
}

export function revokeApiKey(db: Database, { id, now }: { id: string; now: Timestamp }): ApiKey | null {
  return db.transaction(
    (tx) => {
      const found = joined(tx).where(eq(apiKeys.id, id)).get();
      if (found === undefined) return null;
      if (found.key.revokedAt !== null) return toApiKey(found.key, found.organizationName);
      tx.update(apiKeys).set({ revokedAt: now }).where(eq(apiKeys.id, id)).run();
      tx.insert(auditLog)
        .values({
          at: now,
          organizationId: found.key.organizationId,
          action: 'api_key.revoked',
          actor: 'operator',
          subjectId: id,
        })
        .run();
      return toApiKey({ ...found.key, revokedAt: now }, found.organizationName);
    },
    { behavior: 'immediate' },
  );
}

export function recordApiKeyUse(db: Database, { id, now }: { id: string; now: Timestamp }): void {
  db.update(apiKeys).set({ lastUsedAt: now }).where(eq(apiKeys.id, id)).run();
}

function joined(db: Pick<Database, 'select'>) {
  return db
    .select({ key: apiKeys, organizationName: organizations.name })
    .from(apiKeys)
    .innerJoin(organizations, eq(organizations.id, apiKeys.organizationId));
}
