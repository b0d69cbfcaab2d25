import { parseJson } from '../../domain/json.ts';
import type { CallCursor, CallQuery } from '../../ports/store.ts';

type Order = Pick<CallQuery, 'sortBy' | 'sortOrder'>;

/** A position in a list, and the list's order. */
export type ListCursor = CallCursor & Order;

/** Returns an opaque text, which only {@link decodeCursor} reads. */
export function encodeCursor({ sort, createdAt, id }: CallCursor, { sortBy, sortOrder }: Order): string {
  const times = sortBy === 'createdAt' ? [createdAt] : [sort, createdAt];
  return Buffer.from(JSON.stringify([sortBy, sortOrder, ...times, id])).toString('base64url');
}

/** Returns the position and the order in a cursor; null for a text that {@link encodeCursor} did not return. */
export function decodeCursor(text: string): ListCursor | null {
  const parts = parseJson(Buffer.from(text, 'base64url').toString());
  if (!Array.isArray(parts) || parts.length < 4) return null;
  const [sortBy, sortOrder, sort]: unknown[] = parts;
  const [createdAt, id]: unknown[] = parts.slice(sortBy === 'createdAt' ? 2 : 3);
  if (sortBy !== 'createdAt' && sortBy !== 'scheduledAt') return null;
  if (sortOrder !== 'asc' && sortOrder !== 'desc') return null;
  if (!isTime(sort) || !isTime(createdAt) || typeof id !== 'string') return null;
  const cursor: ListCursor = { sortBy, sortOrder, sort, createdAt, id };
  // Buffer skips characters outside base64url.
  return encodeCursor(cursor, cursor) === text ? cursor : null;
}

function isTime(value: unknown): value is number {
  return Number.isSafeInteger(value);
}
