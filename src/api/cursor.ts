import { z } from 'zod';
import { parseJson } from '../domain/json.ts';
import type { Timestamp } from '../domain/time.ts';

/** A position in a list by time, as the text of a cursor. */
export function encodePosition(at: Timestamp, id: string): string {
  return Buffer.from(JSON.stringify([at, id])).toString('base64url');
}

/** Returns the position in a cursor; null for a text that {@link encodePosition} did not return. */
export function decodePosition(text: string): { readonly at: Timestamp; readonly id: string } | null {
  const parts = parseJson(Buffer.from(text, 'base64url').toString());
  if (!Array.isArray(parts)) return null;
  const [at, id]: unknown[] = parts;
  if (!Number.isSafeInteger(at) || typeof at !== 'number' || typeof id !== 'string') return null;
  // Buffer skips characters outside base64url.
  return encodePosition(at, id) === text ? { at, id } : null;
}

/** The error for a cursor that hangup did not make. */
export const NOT_A_CURSOR = 'expected pagination.nextCursor of an earlier response';

/** Returns the schema of an input `cursor`. @param decode returns null for a cursor that hangup did not make */
export const cursorInput = <Position>(decode: (cursor: string) => Position | null) =>
  z
    .string()
    .regex(/^[A-Za-z0-9_-]+$/, NOT_A_CURSOR)
    .max(512)
    .transform((value, context) => {
      const position = decode(value);
      if (position !== null) return position;
      context.issues.push({ code: 'custom', message: NOT_A_CURSOR, input: value });
      return z.NEVER;
    })
    .optional();

/** The input `cursor` of a list by time. */
export const positionCursor = cursorInput(decodePosition).meta({
  description: '`pagination.nextCursor` of the previous page.',
});

/** The output `pagination` of a list by time. */
export const Pagination = z.object({
  limit: z.int(),
  hasMore: z.boolean(),
  nextCursor: z.string().nullable(),
});
