import { eq, getTableColumns, sql } from 'drizzle-orm';
import type { ApiKey } from '../../domain/api-key.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { NewApiKey } from '../../ports/store.ts';
import { appendAudit } from './audit.ts';
import type { Database } from './database.ts';
import { toJsonObject } from './field-names.ts';
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

/** Returns the query of an API key by its hash, as the JSON that {@link parseApiKey} reads. */
export function apiKeyQuery(db: Database) {
  const { hash, scopes, ...columns } = getTableColumns(apiKeys);
  const organizationName = db
    .select({ name: organizations.name })
    .from(organizations)
    .where(eq(organizations.id, apiKeys.organizationId));
  const fields = { ...columns, scopes: sql`json(${scopes})`, organizationName: sql`${organizationName}` };
  return db
    .select({ json: toJsonObject(fields).as('json') })
    .from(apiKeys)
    .where(eq(hash, sql.placeholder('hash')));
}

export function parseApiKey(json: string): ApiKey {
  const key: ApiKey = JSON.parse(json);
  return Object.assign(key, { scopes: knownScopes(key.scopes) });
}

const statements = preparePerConnection((db) => ({
  keyByHash: db.$client.prepare<[hash: string], string>(apiKeyQuery(db).toSQL().sql).pluck(),
  recordUse: db
    .update(apiKeys)
    .set({ lastUsedAt: sql`${sql.placeholder('now')}` })
    .where(eq(apiKeys.id, sql.placeholder('id')))
    .prepare(),
}));

export function findApiKey(db: Database, hash: string): ApiKey | null {
  const json = statements(db).keyByHash.get(hash);
  return json === undefined ? null : parseApiKey(json);
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
