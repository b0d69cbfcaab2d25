import type { ApiKey } from '../../src/domain/api-key.ts';
import { type Call, newCall } from '../../src/domain/call.ts';
import type { ApiKeyStore } from '../../src/ports/store.ts';

/** Returns a new call with the given fields replaced. */
export function buildCall(parts: Partial<Call> & Pick<Call, 'id' | 'organizationId'>): Call {
  return newCall({ roomName: parts.id, createdAt: 1_000, ...parts });
}

/** Creates an API key with its organization, so that calls can refer to both. */
export function insertApiKey(store: Pick<ApiKeyStore, 'createApiKey'>): Promise<ApiKey> {
  return store.createApiKey({
    id: 'key_1',
    organizationName: 'acme',
    organizationIdIfNew: 'org_1',
    name: 'test',
    hash: '0'.repeat(64),
    scopes: ['calls:cancel'],
    expiresAt: null,
    now: 1,
  });
}
