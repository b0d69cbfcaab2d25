import type { CallCursor, CallQuery } from '../ports/store.ts';

type Order = Pick<CallQuery, 'sortBy' | 'sortOrder'>;

/** A place in a list, and the order that it is a place in. */
export type Cursor = CallCursor & Order;

/** Opaque to clients: only what {@link encodeCursor} made is understood. */
export function encodeCursor({ value, id }: CallCursor, { sortBy, sortOrder }: Order): string {
  return Buffer.from(JSON.stringify([sortBy, sortOrder, value, id])).toString('base64url');
}

/** Null for what is no cursor of ours. */
export function decodeCursor(text: string): Cursor | null {
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(text, 'base64url').toString());
  } catch {
    return null;
  }
  if (!Array.isArray(parts) || parts.length !== 4) return null;
  const [sortBy, sortOrder, value, id]: unknown[] = parts;
  if (sortBy !== 'createdAt' && sortBy !== 'scheduledAt') return null;
  if (sortOrder !== 'asc' && sortOrder !== 'desc') return null;
  if (!Number.isSafeInteger(value) || typeof value !== 'number' || typeof id !== 'string') return null;
  const cursor: Cursor = { sortBy, sortOrder, value, id };
  // Buffer skips characters that are not base64url.
  return encodeCursor(cursor, cursor) === text ? cursor : null;
}
