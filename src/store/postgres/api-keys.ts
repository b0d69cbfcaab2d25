import { and, asc, desc, eq, isNotNull, isNull, or, type SQL, sql } from 'drizzle-orm';
import type { ApiKey } from '../../domain/api-key.ts';
import { actorOf } from '../../domain/audit.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { NewApiKey, Store, StoredApiKey } from '../../ports/store.ts';
import type { Database } from './database.ts';
import { ensureOrganization } from './organizations.ts';
import { knownScopes } from './rows.ts';
import { apiKeys, organizations } from './schema.ts';
import {
  build,
  isAnyOf,
  placeholder,
  placeholdersFor,
  prepareRows,
  prepareRun,
  type Session,
} from './session.ts';
import { transaction } from './transaction.ts';

/** An API key with the names of {@link API_KEY}. */
interface ApiKeyRow {
  readonly keyId: string;
  readonly keyOrganizationId: string;
  readonly keyOrganizationName: string;
  readonly keyName: string;
  readonly keyScopes: readonly string[];
  readonly keyCreatedAt: Timestamp;
  readonly keyExpiresAt: Timestamp | null;
  readonly keyRevokedAt: Timestamp | null;
  readonly keyLastUsedAt: Timestamp | null;
}

type Selection<Row> = { readonly [Name in keyof Row & string]: SQL.Aliased<Row[Name]> };

/** The selection of an API key and its organization, for {@link toApiKeyOfRow}. */
const API_KEY: Selection<ApiKeyRow> = {
  keyId: sql<string>`${apiKeys.id}`.as('keyId'),
  keyOrganizationId: sql<string>`${apiKeys.organizationId}`.as('keyOrganizationId'),
  keyOrganizationName: sql<string>`${organizations.name}`.as('keyOrganizationName'),
  keyName: sql<string>`${apiKeys.name}`.as('keyName'),
  keyScopes: sql<string[]>`${apiKeys.scopes}`.as('keyScopes'),
  keyCreatedAt: sql<Timestamp>`${apiKeys.createdAt}`.as('keyCreatedAt'),
  keyExpiresAt: sql<Timestamp | null>`${apiKeys.expiresAt}`.as('keyExpiresAt'),
  keyRevokedAt: sql<Timestamp | null>`${apiKeys.revokedAt}`.as('keyRevokedAt'),
  keyLastUsedAt: sql<Timestamp | null>`${apiKeys.lastUsedAt}`.as('keyLastUsedAt'),
};

const withOrganization = () =>
  build.select(API_KEY).from(apiKeys).innerJoin(organizations, eq(organizations.id, apiKeys.organizationId));

const isId = eq(apiKeys.id, placeholder('id'));

/** Null: an operator, who may change each key. */
const isOfAuthor = or(
  sql`${placeholder('authorOrganizationId')}::text IS NULL`,
  sql`${apiKeys.organizationId} = ${placeholder('authorOrganizationId')}::text`,
);

const insert = prepareRun(
  build.insert(apiKeys).values(
    placeholdersFor({
      id: true,
      organizationId: true,
      name: true,
      hash: true,
      scopes: true,
      createdAt: true,
      expiresAt: true,
    }),
  ),
);
const byId = prepareRows(withOrganization().where(isId));
const withHash = () =>
  build
    .select({ ...API_KEY, keyHash: sql<string>`${apiKeys.hash}`.as('keyHash') })
    .from(apiKeys)
    .innerJoin(organizations, eq(organizations.id, apiKeys.organizationId));
const byHashes = prepareRows(withHash().where(isAnyOf(apiKeys.hash, 'hashes')));
const byIdWithHash = prepareRows(withHash().where(isId));
const ofOrganization = prepareRows(
  withOrganization()
    .where(eq(apiKeys.organizationId, placeholder('organizationId')))
    .orderBy(asc(isNotNull(apiKeys.revokedAt)), desc(apiKeys.id))
    .limit(placeholder('limit')),
);
const list = prepareRows(withOrganization().orderBy(asc(apiKeys.id)));
const revoke = prepareRun(
  build
    .update(apiKeys)
    .set({ revokedAt: sql`${placeholder('now')}` })
    .where(and(isId, isNull(apiKeys.revokedAt), isOfAuthor)),
);
const recordUse = prepareRun(
  build
    .update(apiKeys)
    .set({ lastUsedAt: sql`${placeholder('now')}` })
    .where(isId),
);

export function createApiKey(db: Database, input: NewApiKey): Promise<ApiKey> {
  const { id, name, hash, scopes, expiresAt, now } = input;
  return transaction(db, async (tx) => {
    const organization = await ensureOrganization(tx, {
      name: input.organizationName,
      idIfNew: input.organizationIdIfNew,
      now,
    });
    const organizationId = organization.id;
    const key = { id, organizationId, name, hash, createdAt: now, expiresAt };
    const [, row] = await Promise.all([
      insert.run(tx, { ...key, scopes: JSON.stringify(scopes) }),
      byId.get(tx, { id }),
    ]);
    if (row === undefined) throw new Error(`the API key ${id} was not created`);
    tx.appendAudit({
      at: now,
      organizationId,
      action: 'api_key.created',
      ...actorOf(input.author),
      subjectId: id,
    });
    return toApiKeyOfRow(row);
  });
}

/** Returns the keys with these hashes, by their hash. */
export async function findApiKeys(
  session: Session,
  hashes: readonly string[],
): Promise<ReadonlyMap<string, ApiKey>> {
  const rows = await byHashes.all(session, { hashes });
  return new Map(rows.map((row) => [row.keyHash, toApiKeyOfRow(row)]));
}

export async function listApiKeys(session: Session): Promise<ApiKey[]> {
  return (await list.all(session)).map(toApiKeyOfRow);
}

export async function findApiKeyById(session: Session, id: string): Promise<StoredApiKey | null> {
  const row = await byIdWithHash.get(session, { id });
  return row === undefined ? null : { apiKey: toApiKeyOfRow(row), hash: row.keyHash };
}

export async function listApiKeysOf(
  session: Session,
  { organizationId, limit }: Parameters<Store['listApiKeysOf']>[0],
): Promise<ApiKey[]> {
  return (await ofOrganization.all(session, { organizationId, limit })).map(toApiKeyOfRow);
}

export function revokeApiKey(
  db: Database,
  { id, author, now }: Parameters<Store['revokeApiKey']>[0],
): Promise<ApiKey | null> {
  return transaction(db, async (tx) => {
    const authorOrganizationId = author?.organizationId ?? null;
    // Of two revocations at once, the second waits for the first, and then changes nothing.
    const [revoked, row] = await Promise.all([
      revoke.run(tx, { id, now, authorOrganizationId }),
      byId.get(tx, { id }),
    ]);
    if (row === undefined) return null;
    const { keyOrganizationId: organizationId } = row;
    if (author !== undefined && author.organizationId !== organizationId) return null;
    if (revoked > 0) {
      tx.appendAudit({
        at: now,
        organizationId,
        action: 'api_key.revoked',
        ...actorOf(author),
        subjectId: id,
      });
    }
    return toApiKeyOfRow(row);
  });
}

export async function recordApiKeyUse(
  session: Session,
  { id, now }: { id: string; now: Timestamp },
): Promise<void> {
  await recordUse.run(session, { id, now });
}

function toApiKeyOfRow(row: ApiKeyRow): ApiKey {
  return {
    id: row.keyId,
    organizationId: row.keyOrganizationId,
    organizationName: row.keyOrganizationName,
    name: row.keyName,
    scopes: knownScopes(row.keyScopes),
    createdAt: row.keyCreatedAt,
    expiresAt: row.keyExpiresAt,
    revokedAt: row.keyRevokedAt,
    lastUsedAt: row.keyLastUsedAt,
  };
}
