import { type ApiKey, formatKey, KEY_SECRET_BYTES, type Scope } from '../../domain/api-key.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { Author } from '../../ports/store.ts';
import type { Dependencies } from '../dependencies.ts';
import { hashKey } from './authenticate.ts';

/** Creates an API key, and its organization if it is new. The store keeps a hash: `key` is the only copy. */
export async function createApiKey(
  { store, clock, random }: Pick<Dependencies, 'store' | 'clock' | 'random'>,
  input: {
    organizationName: string;
    name: string;
    scopes: readonly Scope[];
    expiresAt: Timestamp | null;
    /** The API key of the request; by default an operator creates the key. */
    author?: Author;
  },
): Promise<{ apiKey: ApiKey; key: string }> {
  const key = formatKey(Buffer.from(random.bytes(KEY_SECRET_BYTES)).toString('base64url'));
  const apiKey = await store.createApiKey({
    ...input,
    id: random.id('key'),
    organizationIdIfNew: random.id('org'),
    hash: hashKey(key),
    now: clock.now(),
  });
  return { apiKey, key };
}
