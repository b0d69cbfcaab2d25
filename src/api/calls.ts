import { cancelCall } from '../operations/calls/cancel.ts';
import { createCall } from '../operations/calls/create.ts';
import { getCall } from '../operations/calls/get.ts';
import { listCalls } from '../operations/calls/list.ts';
import { listCallEvents } from '../operations/calls/list-events.ts';
import { encodeCursor } from './cursor.ts';
import { CALL_DETAILS_EXAMPLE, CALL_EVENTS_EXAMPLE, CALL_ID_EXAMPLE, CALL_LIST_EXAMPLE } from './examples.ts';
import { InfiniteCallEventsInput, InfiniteListCallsInput } from './infinite-query.ts';
import { presentDetails, presentEvent, presentListItem } from './present.ts';
import {
  CallDetails,
  CallEvents,
  CallEventsInput,
  CallIdInput,
  CallList,
  CancelCallInput,
  CancelledCall,
  CreateCallInput,
  ListCallsInput,
} from './schemas.ts';
import { onCall, router, withScope } from './trpc.ts';

const FORBIDDEN = 'Access denied - call belongs to different organization';
const lacking = (scope: string) => `Access denied - API key lacks scope: ${scope}`;

export const calls = router({
  cancel: onCall('calls:cancel')
    .meta({
      rest: {
        method: 'DELETE',
        path: '/calls/{callId}',
        operationId: 'cancelCall',
        summary: 'Cancel a call',
        description:
          'The call is cancelled and its LiveKit room deleted. 200 means that the cancel is on record for good: when LiveKit does not answer, hangup retries until the room is gone.',
        headers: { 'idempotency-key': 'idempotencyKey' },
        success: {
          status: 200,
          message: 'Call cancelled successfully',
          example: { id: CALL_ID_EXAMPLE, status: 'cancelled' },
        },
        errors: {
          400: ['Cannot cancel call with status: completed', 'Unrecognized key: "Reason"'],
          401: ['Unauthorized'],
          403: [FORBIDDEN, lacking('calls:cancel')],
          404: ['Call not found'],
          413: ['Request body too large'],
          415: ['Unsupported media type'],
          422: ['Idempotency-Key was already used for another request'],
        },
      },
    })
    .input(CancelCallInput)
    .output(CancelledCall)
    .mutation(async ({ ctx, input }) => {
      const { callId, reason = null, idempotencyKey = null } = input;
      await cancelCall(ctx.dependencies, { callId, apiKey: ctx.apiKey, reason, idempotencyKey });
      return { id: callId, status: 'cancelled' as const };
    }),

  get: onCall('calls:read')
    .meta({
      rest: {
        method: 'GET',
        path: '/calls/{callId}',
        operationId: 'getCall',
        summary: 'Read a call',
        description: 'All that is on record, and for a live call who LiveKit says is in its room.',
        success: { status: 200, example: CALL_DETAILS_EXAMPLE },
        errors: {
          400: ['Unrecognized key: "page"'],
          401: ['Unauthorized'],
          403: [FORBIDDEN, lacking('calls:read')],
          404: ['Call not found'],
        },
      },
    })
    .input(CallIdInput)
    .output(CallDetails)
    .query(async ({ ctx }) => presentDetails(await getCall(ctx.dependencies, ctx.record))),

  events: onCall('calls:read')
    .meta({
      rest: {
        method: 'GET',
        path: '/calls/{callId}/events',
        operationId: 'listCallEvents',
        input: CallEventsInput,
        summary: 'What happened to a call',
        description: 'Every change of its status: who, when, from, to and why. Newest last.',
        success: { status: 200, example: CALL_EVENTS_EXAMPLE },
        errors: {
          400: ['limit: Too big: expected number to be <=100', 'Unrecognized key: "page"'],
          401: ['Unauthorized'],
          403: [FORBIDDEN, lacking('calls:read')],
          404: ['Call not found'],
        },
      },
    })
    .input(InfiniteCallEventsInput)
    .output(CallEvents)
    .query(async ({ ctx, input: { callId, limit, cursor } }) => {
      const page = await listCallEvents(ctx.dependencies, { callId, limit, after: Number(cursor ?? 0) });
      const nextCursor = page.next === null ? null : String(page.next);
      return {
        events: page.entries.map(presentEvent),
        pagination: { limit, hasMore: nextCursor !== null, nextCursor },
      };
    }),

  list: withScope('calls:read')
    .meta({
      rest: {
        method: 'GET',
        path: '/calls',
        operationId: 'listCalls',
        input: ListCallsInput,
        summary: 'List calls',
        description: "The organization's calls, newest first.",
        success: { status: 200, example: CALL_LIST_EXAMPLE },
        errors: {
          400: ['limit: Too big: expected number to be <=100', 'Unrecognized key: "page"'],
          401: ['Unauthorized'],
          403: [lacking('calls:read')],
        },
      },
    })
    .input(InfiniteListCallsInput)
    .output(CallList)
    .query(async ({ ctx, input }) => {
      const { startDate: from, endDate: to, status: statuses, cursor, ...query } = input;
      // A cursor carries its own order, so that a page never continues another list's.
      const { sortBy = 'createdAt', sortOrder = 'desc' } = cursor ?? query;
      const page = await listCalls(ctx.dependencies, {
        apiKey: ctx.apiKey,
        query: { ...query, statuses, from, to, sortBy, sortOrder, after: cursor },
      });
      const { total, totalCapped, next } = page;
      return {
        calls: page.calls.map(presentListItem),
        pagination: {
          total,
          totalCapped,
          limit: query.limit,
          offset: query.offset,
          hasMore: next !== null,
          nextCursor: next && encodeCursor(next, { sortBy, sortOrder }),
        },
      };
    }),

  create: withScope('calls:write')
    .meta({
      rest: {
        method: 'POST',
        path: '/calls',
        operationId: 'createCall',
        summary: 'Register a call',
        description:
          'Registers a call that another system places, before it is placed, so that it can be cancelled from its first moment.',
        success: { status: 201, message: 'Call created successfully', example: CALL_DETAILS_EXAMPLE },
        errors: {
          400: ['Unrecognized key: "phone"'],
          401: ['Unauthorized'],
          403: [lacking('calls:write')],
          409: [
            'Call id is already taken',
            'Room name is in use: its earlier call is still live, or the deletion of its room is not complete',
          ],
          413: ['Request body too large'],
          415: ['Unsupported media type'],
        },
      },
    })
    .input(CreateCallInput)
    .output(CallDetails)
    .mutation(async ({ ctx, input }) => {
      const call = await createCall(ctx.dependencies, {
        apiKey: ctx.apiKey,
        registered: {
          id: input.id ?? null,
          roomName: input.roomName ?? null,
          direction: input.direction,
          phoneNumber: input.phoneNumber ?? null,
          agentId: input.agentId ?? null,
          agentName: input.agentName ?? null,
          contactName: input.contact?.name ?? null,
          contactPhone: input.contact?.phone ?? null,
          contactEmail: input.contact?.email ?? null,
          jobId: input.jobId ?? null,
          sipParticipantId: input.sipParticipantId ?? null,
          scheduledAt: input.scheduledAt ?? null,
          metadata: input.metadata ?? {},
        },
      });
      return presentDetails({ call, deletion: null, liveRoomStatus: null });
    }),
});
