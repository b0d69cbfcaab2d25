import { z } from 'zod';
import { CALL_STATUSES, type Direction as CallDirection, DIRECTIONS } from '../../domain/call-status.ts';
import { missingScope, unauthorized } from '../../domain/errors.ts';
import { listCalls } from '../../operations/calls/list.ts';
import { CALL_SORT_KEYS } from '../../ports/store.ts';
import { cursorInput } from '../cursor.ts';
import { badRequest, invalidInput, unrecognizedKeys } from '../errors.ts';
import { scopedProcedure } from '../procedures.ts';
import { dateOrTimestamp, phoneNumber, plainText } from '../validators.ts';
import { CallStatus, Direction } from './call-fields.ts';
import { CALL_LIST_ITEM_EXAMPLE, CallListItem, toCallListItem } from './call-list-item.ts';
import { type InfiniteQueryInput, isObject, type PageDirection, withoutPaging } from './infinite-query.ts';
import { decodeCursor, encodeCursor } from './list-cursor.ts';

const MAX_LIMIT = 100;
/** The cost of a page grows with its offset, in contrast to `cursor`. */
const MAX_OFFSET = 1_000_000;

export const ListCallsInput = z
  .strictObject({
    agentId: plainText(256).optional().meta({ description: 'Only calls of this agent.' }),
    status: z
      .array(CallStatus)
      .min(1)
      .max(CALL_STATUSES.length)
      .optional()
      .meta({ description: 'May be repeated.' }),
    direction: Direction.optional().meta({ description: 'Only calls in this direction.' }),
    phoneNumber: phoneNumber.optional().meta({ description: 'Only calls with this number.' }),
    startDate: dateOrTimestamp('startOfDay')
      .optional()
      .meta({
        description:
          'The earliest `createdAt`, inclusive: an ISO 8601 date (UTC), or a time with its offset from UTC.',
        examples: ['2026-11-23'],
      }),
    endDate: dateOrTimestamp('endOfDay').optional().meta({
      description: 'The latest `createdAt`, inclusive. A date includes that complete day (UTC).',
    }),
    cancellationId: z
      .string()
      .max(64)
      .optional()
      .meta({
        description: 'Only calls that this cancellation of many calls has cancelled.',
        examples: ['can_019ab1f0c2d37e4f8a6b5c4d3e2f1a0b'],
      }),
    limit: z.int().min(1).max(MAX_LIMIT).default(50).meta({ description: 'Calls per page.' }),
    offset: z.int().min(0).max(MAX_OFFSET).default(0).meta({ description: 'Calls to skip.' }),
    sortBy: z.enum(CALL_SORT_KEYS).optional().meta({ description: 'Default: createdAt.' }),
    sortOrder: z.enum(['asc', 'desc']).optional().meta({ description: 'Default: desc.' }),
    cursor: cursorInput(decodeCursor).meta({
      description:
        "`pagination.nextCursor` of the previous page, and no other value. For deep pages, use `cursor` instead of `offset`. A cursor has its own order: `sortBy` and `sortOrder` must match the cursor's.",
    }),
    include: z
      .array(z.enum(['room']))
      .min(1)
      .max(1)
      .optional()
      .meta({ description: 'room: adds the room of each call, with the participants on record.' }),
  })
  .refine(({ cursor, offset }) => cursor === undefined || offset === 0, {
    path: ['offset'],
    error: 'cannot be combined with cursor',
  })
  .refine(({ cursor, sortBy = cursor?.sortBy }) => cursor === undefined || sortBy === cursor.sortBy, {
    path: ['sortBy'],
    error: "does not match the cursor's order",
  })
  .refine(
    ({ cursor, sortOrder = cursor?.sortOrder }) => cursor === undefined || sortOrder === cursor.sortOrder,
    { path: ['sortOrder'], error: "does not match the cursor's order" },
  );

type InfiniteInput = Omit<InfiniteQueryInput<z.input<typeof ListCallsInput>>, 'direction'> & {
  direction?: CallDirection | PageDirection | undefined;
  /** The same filter as `direction`. Infinite queries need it, because they overwrite `direction`. */
  callDirection?: CallDirection | undefined;
};

const InfiniteListCallsInput = z
  .transform((input: InfiniteInput, context) => {
    if (!isObject(input)) return input;
    const { callDirection, ...others } = withoutPaging(input);
    if (callDirection === undefined) return others;
    const reject = (message: string) => {
      context.issues.push({ code: 'custom', path: ['callDirection'], message, input });
      return z.NEVER;
    };
    if (!DIRECTIONS.includes(callDirection)) return reject(`expected one of ${DIRECTIONS.join(', ')}`);
    const isContradiction = 'direction' in others && others.direction !== callDirection;
    return isContradiction
      ? reject('cannot be combined with another direction')
      : { ...others, direction: callDirection };
  })
  .pipe(ListCallsInput);

export const CallList = z
  .object({
    calls: z.array(CallListItem),
    pagination: z.object({
      total: z.int().meta({ description: 'Exact up to 10,000.' }),
      totalCapped: z.boolean().meta({ description: 'True if there are more calls than `total`.' }),
      limit: z.int(),
      offset: z.int(),
      hasMore: z.boolean(),
      nextCursor: z.string().nullable(),
    }),
  })
  .meta({ id: 'CallList' });

export const CALL_LIST_EXAMPLE: z.output<typeof CallList> = {
  calls: [CALL_LIST_ITEM_EXAMPLE],
  pagination: { total: 1, totalCapped: false, limit: 50, offset: 0, hasMore: false, nextCursor: null },
};

export const list = scopedProcedure('calls:read').query({
  rest: {
    method: 'GET',
    path: '/calls',
    operationId: 'listCalls',
    summary: 'List calls',
    description: "Lists the organization's calls, newest first.",
    success: { status: 200, example: CALL_LIST_EXAMPLE },
    errors: [
      invalidInput(ListCallsInput, { limit: MAX_LIMIT + 1 }),
      badRequest(unrecognizedKeys(['page'])),
      unauthorized(),
      missingScope('calls:read'),
    ],
  },
  input: ListCallsInput,
  trpcInput: InfiniteListCallsInput,
  output: CallList,
  handle: async (context, input) => {
    const { startDate: from, endDate: to, status: statuses, cursor, include, ...query } = input;
    // A cursor has its own order, so that a page never continues a list in another order.
    const { sortBy = 'createdAt', sortOrder = 'desc' } = cursor ?? query;
    const page = await listCalls(context.dependencies, {
      apiKey: context.apiKey,
      query: { ...query, statuses, from, to, sortBy, sortOrder, after: cursor },
      withRooms: include !== undefined,
    });
    const { total, totalCapped, next } = page;
    return {
      calls: page.calls.map(toCallListItem),
      pagination: {
        total,
        totalCapped,
        limit: query.limit,
        offset: query.offset,
        hasMore: next !== null,
        nextCursor: next && encodeCursor(next, { sortBy, sortOrder }),
      },
    };
  },
});
