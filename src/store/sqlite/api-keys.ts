import { asc, desc, eq, isNotNull, type SQL, sql } from 'drizzle-orm';
import type { ApiKey } from '../../domain/api-key.ts';
import { actorOf } from '../../domain/audit.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { NewApiKey, Store, StoredApiKey } from '../../ports/store.ts';
import { appendAudit } from './audit.ts';
import type { Database } from './database.ts';
import { ensureOrganization } from './organizations.ts';
import { preparePerConnection } from './prepare-per-connection.ts';
import { knownScopes, toApiKey } from './rows.ts';
import { apiKeys, organizations } from './schema.ts';
import { text } from './statement.ts';

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
    ...actorOf(input.author),
    subjectId: id,
  });
  return toApiKey(row, organization.name);
}

/** An API key with the names of {@link API_KEY}, none of which is a name of a call's column. */
export interface ApiKeyRow {
  readonly keyId: string;
  readonly keyOrganizationId: string;
  readonly keyOrganizationName: string;
  readonly keyName: string;
  readonly keyScopesJson: string;
  readonly keyCreatedAt: Timestamp;
  readonly keyExpiresAt: Timestamp | null;
  readonly keyRevokedAt: Timestamp | null;
  readonly keyLastUsedAt: Timestamp | null;
}

/** The selection of an API key and its organization, for {@link toApiKeyOfRow}. */
export const API_KEY: Record<keyof ApiKeyRow, SQL.Aliased> = {
  keyId: sql`${apiKeys.id}`.as('keyId'),
  keyOrganizationId: sql`${apiKeys.organizationId}`.as('keyOrganizationId'),
  keyOrganizationName: sql`${organizations.name}`.as('keyOrganizationName'),
  keyName: sql`${apiKeys.name}`.as('keyName'),
  keyScopesJson: sql`${apiKeys.scopes}`.as('keyScopesJson'),
  keyCreatedAt: sql`${apiKeys.createdAt}`.as('keyCreatedAt'),
  keyExpiresAt: sql`${apiKeys.expiresAt}`.as('keyExpiresAt'),
  keyRevokedAt: sql`${apiKeys.revokedAt}`.as('keyRevokedAt'),
  keyLastUsedAt: sql`${apiKeys.lastUsedAt}`.as('keyLastUsedAt'),
};

export function toApiKeyOfRow(row: ApiKeyRow): ApiKey {
  return {
    id: row.keyId,
    organizationId: row.keyOrganizationId,
    organizationName: row.keyOrganizationName,
    name: row.keyName,
    scopes: knownScopes(JSON.parse(row.keyScopesJson)),
    createdAt: row.keyCreatedAt,
    expiresAt: row.keyExpiresAt,
    revokedAt: row.keyRevokedAt,
    lastUsedAt: row.keyLastUsedAt,
  };
}

const statements = preparePerConnection((db) => ({
  keyByHash: db.$client.prepare<[hash: string], ApiKeyRow>(
    db
      .select(API_KEY)
      .from(apiKeys)
      .innerJoin(organizations, eq(organizations.id, apiKeys.organizationId))
      .where(eq(apiKeys.hash, text('hash')))
      .toSQL().sql,
  ),
  keyById: db.$client.prepare<[id: string], ApiKeyRow & { readonly hash: string }>(
    db
      .select({ ...API_KEY, hash: sql`${apiKeys.hash}`.as('hash') })
      .from(apiKeys)
      .innerJoin(organizations, eq(organizations.id, apiKeys.organizationId))
      .where(eq(apiKeys.id, text('id')))
      .toSQL().sql,
  ),
  keysOfOrganization: db.$client.prepare<[organizationId: string, limit: number], ApiKeyRow>(
    db
      .select(API_KEY)
      .from(apiKeys)
      .innerJoin(organizations, eq(organizations.id, apiKeys.organizationId))
      .where(eq(apiKeys.organizationId, text('organizationId')))
      .orderBy(asc(isNotNull(apiKeys.revokedAt)), desc(apiKeys.id))
      .limit(sql.placeholder('limit'))
      .toSQL()
      .sql.replace(' limit ?', ' limit ? + 0'),
  ),
  recordUse: db
    .update(apiKeys)
    .set({ lastUsedAt: sql`${sql.placeholder('now')}` })
    .where(eq(apiKeys.id, sql.placeholder('id')))
    .prepare(),
}));

export function findApiKey(db: Database, hash: string): ApiKey | null {
  const row = statements(db).keyByHash.get(hash);
  return row === undefined ? null : toApiKeyOfRow(row);
}

export function findApiKeyById(db: Database, id: string): StoredApiKey | null {
  const row = statements(db).keyById.get(id);
  return row === undefined ? null : { apiKey: toApiKeyOfRow(row), hash: row.hash };
}

export function listApiKeysOf(
  db: Database,
  { organizationId, limit }: Parameters<Store['listApiKeysOf']>[0],
): ApiKey[] {
  return statements(db).keysOfOrganization.all(organizationId, limit).map(toApiKeyOfRow);
}

export function listApiKeys(db: Database): ApiKey[] {
  return withOrganization(db)
    .orderBy(apiKeys.id)
    .all()
    .map((found) => toApiKey(found.key, found.organizationName));
}

export function revokeApiKey(
  db: Database,
  { id, author, now }: Parameters<Store['revokeApiKey']>[0],
): ApiKey | null {
  const found = withOrganization(db).where(eq(apiKeys.id, id)).get();
  if (found === undefined) return null;
  const { organizationId } = found.key;
  if (author !== undefined && author.organizationId !== organizationId) return null;
  if (found.key.revokedAt !== null) return toApiKey(found.key, found.organizationName);
  db.update(apiKeys).set({ revokedAt: now }).where(eq(apiKeys.id, id)).run();
  appendAudit(db, {
    at: now,
    organizationId,
    action: 'api_key.revoked',
    ...actorOf(author),
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
