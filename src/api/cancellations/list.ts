import { z } from 'zod';
import { missingScope, unauthorized } from '../../domain/errors.ts';
import { listCancellations } from '../../operations/cancellations/list.ts';
import { type InfiniteQueryInput, isObject, withoutPaging } from '../calls/infinite-query.ts';
import { encodePosition, Pagination, positionCursor } from '../cursor.ts';
import { badRequest, invalidInput, unrecognizedKeys } from '../errors.ts';
import { scopedProcedure } from '../procedures.ts';
import { CANCELLATION_EXAMPLE, Cancellation, toCancellation } from './cancellation.ts';

const MAX_LIMIT = 100;

export const ListCancellationsInput = z.strictObject({
  limit: z.int().min(1).max(MAX_LIMIT).default(20).meta({ description: 'Cancellations per page.' }),
  cursor: positionCursor,
});

const InfiniteListCancellationsInput = z
  .transform((input: InfiniteQueryInput<z.input<typeof ListCancellationsInput>>) =>
    isObject(input) ? withoutPaging(input) : input,
  )
  .pipe(ListCancellationsInput);

export const CancellationList = z
  .object({
    cancellations: z.array(Cancellation),
    pagination: Pagination,
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
    const { cancellations, next } = await listCancellations(dependencies, {
      apiKey,
      limit,
      after: cursor && { createdAt: cursor.at, id: cursor.id },
    });
    return {
      cancellations: cancellations.map(toCancellation),
      pagination: {
        limit,
        hasMore: next !== null,
        nextCursor: next && encodePosition(next.createdAt, next.id),
      },
    };
  },
});
