import { z } from 'zod';
import { missingScope, unauthorized } from '../../domain/errors.ts';
import { listRoomDeletions } from '../../operations/room-deletions/list.ts';
import { type InfiniteQueryInput, isObject, withoutPaging } from '../calls/infinite-query.ts';
import { encodePosition, Pagination, positionCursor } from '../cursor.ts';
import { badRequest, invalidInput, unrecognizedKeys } from '../errors.ts';
import { scopedProcedure } from '../procedures.ts';
import {
  INCOMPLETE_DELETION_EXAMPLE,
  IncompleteDeletion,
  IncompleteDeletionState,
  toIncompleteDeletion,
} from './room-deletion.ts';

const MAX_LIMIT = 100;
const STATES = IncompleteDeletionState.options;

export const ListRoomDeletionsInput = z.strictObject({
  state: z
    .array(IncompleteDeletionState)
    .min(1)
    .max(STATES.length)
    .optional()
    .meta({ description: 'May be repeated. By default all of these states.' }),
  cancellationId: z
    .string()
    .max(64)
    .optional()
    .meta({
      description: 'Only deletions of calls that this cancellation of many calls has cancelled.',
      examples: ['can_019ab1f0c2d37e4f8a6b5c4d3e2f1a0b'],
    }),
  limit: z.int().min(1).max(MAX_LIMIT).default(50).meta({ description: 'Deletions per page.' }),
  cursor: positionCursor,
});

const InfiniteListRoomDeletionsInput = z
  .transform((input: InfiniteQueryInput<z.input<typeof ListRoomDeletionsInput>>) =>
    isObject(input) ? withoutPaging(input) : input,
  )
  .pipe(ListRoomDeletionsInput);

const RoomDeletionList = z
  .object({
    roomDeletions: z.array(IncompleteDeletion),
    pagination: Pagination,
  })
  .meta({ id: 'RoomDeletionList' });

export const list = scopedProcedure('calls:read').query({
  rest: {
    method: 'GET',
    path: '/room-deletions',
    operationId: 'listRoomDeletions',
    summary: 'List room deletions',
    description:
      'Lists the room deletions that are open or discarded, oldest first: these rooms may still exist.',
    success: {
      status: 200,
      example: {
        roomDeletions: [INCOMPLETE_DELETION_EXAMPLE],
        pagination: { limit: 50, hasMore: false, nextCursor: null },
      },
    },
    errors: [
      invalidInput(ListRoomDeletionsInput, { limit: MAX_LIMIT + 1 }),
      badRequest(unrecognizedKeys(['page'])),
      unauthorized(),
      missingScope('calls:read'),
    ],
  },
  input: ListRoomDeletionsInput,
  trpcInput: InfiniteListRoomDeletionsInput,
  output: RoomDeletionList,
  handle: async ({ dependencies, apiKey }, { state, cancellationId = null, limit, cursor = null }) => {
    const { deletions, next } = await listRoomDeletions(dependencies, {
      apiKey,
      states: state ?? STATES,
      cancellationId,
      limit,
      after: cursor && { createdAt: cursor.at, callId: cursor.id },
    });
    return {
      roomDeletions: deletions.map(toIncompleteDeletion),
      pagination: {
        limit,
        hasMore: next !== null,
        nextCursor: next && encodePosition(next.createdAt, next.callId),
      },
    };
  },
});
