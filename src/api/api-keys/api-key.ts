import { z } from 'zod';
import type { ApiKey } from '../../domain/api-key.ts';
import { toIso, toIsoOrNull } from '../../domain/time.ts';
import { isoTime } from '../calls/call-fields.ts';
import { trimmedText } from '../validators.ts';
import { Scope } from './scope.ts';

export const apiKeyName = trimmedText(128).meta({
  description: 'The purpose of the key.',
  examples: ['dashboard'],
});

export const keyId = z
  .string()
  .min(1)
  .max(128)
  .meta({ description: 'The `id` of a key, never the key itself.' });

/** An API key of the organization, without the key itself. */
export const ListedApiKey = z
  .object({
    id: z.string(),
    name: z.string(),
    scopes: z.array(Scope),
    createdAt: isoTime,
    expiresAt: isoTime.nullable(),
    revokedAt: isoTime.nullable(),
    lastUsedAt: isoTime.nullable().meta({ description: 'Exact to a minute.' }),
    isCurrent: z.boolean().meta({ description: 'Whether this is the key of the request.' }),
  })
  .meta({ id: 'ListedApiKey' });

export const LISTED_API_KEY_EXAMPLE: z.output<typeof ListedApiKey> = {
  id: 'key_019ab1e7a1b27c3d9e8f7a6b5c4d3e2f',
  name: 'dashboard',
  scopes: ['calls:read', 'calls:cancel'],
  createdAt: '2026-11-23T08:00:00.000Z',
  expiresAt: null,
  revokedAt: null,
  lastUsedAt: '2026-11-23T09:00:00.000Z',
  isCurrent: false,
};

/** @param current the key of the request */
export function toListedApiKey(apiKey: ApiKey, current: ApiKey): z.output<typeof ListedApiKey> {
  return {
    id: apiKey.id,
    name: apiKey.name,
    scopes: [...apiKey.scopes],
    createdAt: toIso(apiKey.createdAt),
    expiresAt: toIsoOrNull(apiKey.expiresAt),
    revokedAt: toIsoOrNull(apiKey.revokedAt),
    lastUsedAt: toIsoOrNull(apiKey.lastUsedAt),
    isCurrent: apiKey.id === current.id,
  };
}
