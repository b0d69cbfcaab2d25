import { eq, getTableColumns, sql } from 'drizzle-orm';
import type { ApiKey } from '../../domain/api-key.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { NewApiKey } from '../../ports/store.ts';
import { appendAudit } from './audit.ts';
import type { Database } from './database.ts';
import { nameFields } from './field-names.ts';
import { ensureOrganization } from './organizations.ts';
import { preparePerConnection } from './prepare-per-connection.ts';
import { knownScopes, toApiKey } from './rows.ts';
import { apiKeys, organizations } from './schema.ts';

export function createApiKey(db: Database, input: NewApiKey): ApiKey {
  const { id, name, hash, expiresAt, now } = input;
  const organization = ensureOrganization(db, {
    name: input.organizationName,
    idIfNew: input.organizationIdIfNew,
    now,
  });
  const row = db
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
  appendAudit(db, {
    at: now,
    organizationId: organization.id,
    action: 'api_key.created',
    actor: 'operator',
    subjectId: id,
  });
  return toApiKey(row, organization.name);
}

/** An API key as SQLite returns it: its scopes are a text. */
type ApiKeyRow = Omit<ApiKey, 'scopes'> & { readonly scopes: string };

const statements = preparePerConnection((db) => {
  const { hash: _, ...columns } = getTableColumns(apiKeys);
  const organizationName = db
    .select({ name: organizations.name })
    .from(organizations)
    .where(eq(organizations.id, apiKeys.organizationId));
  const query = db
    .select({ ...nameFields(columns), organizationName: sql`${organizationName}`.as('organizationName') })
    .from(apiKeys)
    .where(eq(apiKeys.hash, sql.placeholder('hash')));
  return {
    keyByHash: db.$client.prepare<[hash: string], ApiKeyRow>(query.toSQL().sql),
    recordUse: db
      .update(apiKeys)
      .set({ lastUsedAt: sql`${sql.placeholder('now')}` })
      .where(eq(apiKeys.id, sql.placeholder('id')))
      .prepare(),
  };
});

export function findApiKey(db: Database, hash: string): ApiKey | null {
  const row = statements(db).keyByHash.get(hash);
  return row === undefined ? null : { ...row, scopes: knownScopes(JSON.parse(row.scopes)) };
}

export function listApiKeys(db: Database): ApiKey[] {
  return withOrganization(db)
    .orderBy(apiKeys.id)
    .all()
    .map((found) => toApiKey(found.key, found.organizationName));
}

export function revokeApiKey(db: Database, { id, now }: { id: string; now: Timestamp }): ApiKey | null {
  const found = withOrganization(db).where(eq(apiKeys.id, id)).get();
  if (found === undefined) return null;
  if (found.key.revokedAt !== null) return toApiKey(found.key, found.organizationName);
  db.update(apiKeys).set({ revokedAt: now }).where(eq(apiKeys.id, id)).run();
  const { organizationId } = found.key;
  appendAudit(db, {
    at: now,
    organizationId,
    action: 'api_key.revoked',
    actor: 'operator',
    subjectId: id,
  });
  return toApiKey({ ...found.key, revokedAt: now }, found.organizationName);
}

export function recordApiKeyUse(db: Database, { id, now }: { id: string; now: Timestamp }): void {
  statements(db).recordUse.run({ id, now });
}

function withOrganization(db: Database) {
  return db
    .select({ key: apiKeys, organizationName: organizations.name })
    .from(apiKeys)
    .innerJoin(organizations, eq(organizations.id, apiKeys.organizationId));
}
