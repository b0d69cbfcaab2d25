import { z } from 'zod';
import { missingScope, unauthorized } from '../../domain/errors.ts';
import { parseJson } from '../../domain/json.ts';
import { listCancellations } from '../../operations/cancellations/list.ts';
import type { CancellationCursor } from '../../ports/store.ts';
import { type InfiniteQueryInput, isObject, withoutPaging } from '../calls/infinite-query.ts';
import { NOT_A_CURSOR } from '../calls/list-cursor.ts';
import { badRequest, invalidInput, unrecognizedKeys } from '../errors.ts';
import { scopedProcedure } from '../procedures.ts';
import { CANCELLATION_EXAMPLE, Cancellation, toCancellation } from './cancellation.ts';

const MAX_LIMIT = 100;

export const ListCancellationsInput = z.strictObject({
  limit: z.int().min(1).max(MAX_LIMIT).default(20).meta({ description: 'Cancellations per page.' }),
  cursor: z
    .string()
    .regex(/^[A-Za-z0-9_-]+$/, NOT_A_CURSOR)
    .max(512)
    .transform((value, context) => {
      const position = decodeCursor(value);
      if (position !== null) return position;
      context.issues.push({ code: 'custom', message: NOT_A_CURSOR, input: value });
      return z.NEVER;
    })
    .optional()
    .meta({ description: '`pagination.nextCursor` of the previous page.' }),
});

const InfiniteListCancellationsInput = z
  .transform((input: InfiniteQueryInput<z.input<typeof ListCancellationsInput>>) =>
    isObject(input) ? withoutPaging(input) : input,
  )
  .pipe(ListCancellationsInput);

export const CancellationList = z
  .object({
    cancellations: z.array(Cancellation),
    pagination: z.object({ limit: z.int(), hasMore: z.boolean(), nextCursor: z.string().nullable() }),
  })
  .meta({ id: 'CancellationList' });

export const list = scopedProcedure('calls:stop').query({
  rest: {
    method: 'GET',
    path: '/cancellations',
    operationId: 'listCancellations',
    summary: 'List cancellations',
    description: 'Lists the cancellations of the organization, newest first.',
    // An emergency stop is never refused.
    rateLimit: null,
    success: {
      status: 200,
      example: {
        cancellations: [CANCELLATION_EXAMPLE],
        pagination: { limit: 20, hasMore: false, nextCursor: null },
      },
    },
    errors: [
      invalidInput(ListCancellationsInput, { limit: MAX_LIMIT + 1 }),
      badRequest(unrecognizedKeys(['page'])),
      unauthorized(),
      missingScope('calls:stop'),
    ],
  },
  input: ListCancellationsInput,
  trpcInput: InfiniteListCancellationsInput,
  output: CancellationList,
  handle: async ({ dependencies, apiKey }, { limit, cursor = null }) => {
    const { cancellations, next } = await listCancellations(dependencies, { apiKey, limit, after: cursor });
    return {
      cancellations: cancellations.map(toCancellation),
      pagination: { limit, hasMore: next !== null, nextCursor: next && encodeCursor(next) },
    };
  },
});

function encodeCursor({ createdAt, id }: CancellationCursor): string {
  return Buffer.from(JSON.stringify([createdAt, id])).toString('base64url');
}

/** Returns the position in a cursor; null for a text that {@link encodeCursor} did not return. */
function decodeCursor(text: string): CancellationCursor | null {
  const parts = parseJson(Buffer.from(text, 'base64url').toString());
  if (!Array.isArray(parts)) return null;
  const [createdAt, id]: unknown[] = parts;
  if (!Number.isSafeInteger(createdAt) || typeof createdAt !== 'number' || typeof id !== 'string')
    return null;
  const cursor = { createdAt, id };
  // Buffer skips characters outside base64url.
  return encodeCursor(cursor) === text ? cursor : null;
}
