import { z } from 'zod';
import { toIso } from '../../domain/time.ts';
import type { AdoptionPrefix as Prefix } from '../../ports/adoption-store.ts';
import { isoTime } from '../calls/call-fields.ts';
import { trimmedText } from '../validators.ts';

export const prefix = trimmedText(128).meta({
  description: 'The beginning of the names of rooms.',
  examples: ['support-'],
});

/** Rooms whose name begins with the prefix become calls of the organization. */
export const AdoptionPrefix = z
  .object({ prefix: z.string(), createdAt: isoTime })
  .meta({ id: 'AdoptionPrefix' });

export const ADOPTION_PREFIX_EXAMPLE: z.output<typeof AdoptionPrefix> = {
  prefix: 'support-',
  createdAt: '2026-11-23T08:00:00.000Z',
};

export function toAdoptionPrefix({
  prefix: text,
  createdAt,
}: Pick<Prefix, 'prefix' | 'createdAt'>): z.output<typeof AdoptionPrefix> {
  return { prefix: text, createdAt: toIso(createdAt) };
}
