import { z } from 'zod';
import { CALL_STATUSES, DIRECTIONS } from '../domain/call.ts';
import { DELETION_STATES } from '../domain/room-deletion.ts';
import { CALL_SORT_KEYS } from '../ports/store.ts';
import { decodeCursor } from './cursor.ts';
import { phoneNumber, roomName, text } from './text.ts';
import { time, timeOrDate } from './times.ts';

/* What goes in and out, once: tRPC's types, the REST API's checks and the OpenAPI document are made of these. */

const MAX_METADATA_BYTES = 16 * 1024;
/** Readers of other languages give up earlier than ours: .NET's at 64, and an answer adds levels of its own. */
const MAX_METADATA_DEPTH = 32;
/** Beyond it a page costs time in proportion; `cursor` does not. */
const MAX_OFFSET = 1_000_000;
const NO_CURSOR = 'expected pagination.nextCursor of an earlier answer';

const isoTime = z.iso.datetime().meta({ examples: ['2026-11-23T08:00:00.000Z'] });

export const CallStatus = z.enum(CALL_STATUSES).meta({
  id: 'CallStatus',
  description: 'initiated, connecting, ringing and active are live; the others are ends.',
});
const Direction = z.enum(DIRECTIONS).meta({ id: 'Direction' });

const callId = z.string().meta({ examples: ['call_019ab1f0c2d37e4f8a6b5c4d3e2f1a0b'] });

/** Of any shape: what is no id of ours is a call that is not found, not a bad request. */
export const CallIdInput = z.strictObject({ callId });

export const CancelCallInput = z.strictObject({
  callId,
  reason: text(500)
    .optional()
    .meta({ description: 'Kept on the call and in the audit log.', examples: ['caller asked'] }),
  idempotencyKey: text(255).optional().meta({
    description:
      'A retried cancel with the same key gets the first answer again, for 24 h. The same key for another request: 422.',
  }),
});

export const CancelledCall = z
  .object({ id: callId, status: z.literal('cancelled') })
  .meta({ id: 'CancelledCall' });

/** Whether no value lies below so many objects and arrays. */
function isShallow(value: unknown, levels = MAX_METADATA_DEPTH): boolean {
  if (value === null || typeof value !== 'object') return true;
  return levels > 0 && Object.values(value).every((part) => isShallow(part, levels - 1));
}

/** Any JSON object as it is. z.record would make a copy, which lacks `__proto__`. */
const jsonObject = z
  .custom<Record<string, unknown>>(
    (value) => value !== null && typeof value === 'object' && !Array.isArray(value),
    'expected an object',
  )
  .meta({ override: { type: 'object', additionalProperties: {} } });

const isSmallJson = (value: unknown) => Buffer.byteLength(JSON.stringify(value)) <= MAX_METADATA_BYTES;

const metadata = jsonObject
  // First: JSON.stringify ends with a RangeError where values lie deeper than its stack.
  .refine((value) => isShallow(value), {
    error: `must be at most ${MAX_METADATA_DEPTH} levels deep`,
    abort: true,
  })
  .refine(isSmallJson, `must be at most ${MAX_METADATA_BYTES} bytes as JSON`);

const Contact = z.strictObject({
  name: text(256).optional(),
  phone: phoneNumber.optional(),
  email: text(320).optional(),
});

/** URLs have their own meaning for `.` and `..`: no client could name the call. */
const CALL_ID =
  /^(?:[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}|\.[A-Za-z0-9_-][A-Za-z0-9_.-]{0,126}|\.\.[A-Za-z0-9_.-]{1,126})$/;

export const CreateCallInput = z
  .strictObject({
    id: z
      .string()
      .regex(CALL_ID, {
        error: ({ input }) =>
          input === '.' || input === '..' ? 'must not be . or ..' : 'expected 1 to 128 of A-Z a-z 0-9 _ - .',
      })
      .optional()
      .meta({ description: 'Made by hangup when absent. Unique over all organizations.' }),
    agentId: text(256).optional().meta({
      description:
        'Compared character by character: the composed and the decomposed form of é are two agents.',
    }),
    agentName: text(256).optional(),
    direction: Direction.default('outbound'),
    phoneNumber: phoneNumber.optional().meta({ examples: ['+15551234567'] }),
    contact: Contact.optional(),
    roomName: roomName.optional().meta({
      description:
        "The LiveKit room; the call's id when absent. One name, one call. At most 256 bytes as UTF-8: LiveKit counts bytes.",
    }),
    jobId: text(256).optional(),
    sipParticipantId: text(256).optional(),
    scheduledAt: time.optional().meta({
      description:
        'An ISO 8601 time with its offset from UTC, in the years 1970 to 9999. Kept to the millisecond.',
      examples: ['2026-11-23T08:00:00Z'],
    }),
    metadata: metadata.optional().meta({
      description:
        'Any JSON object of at most 16 KiB and 32 levels. Comes back with the same values; what would not (a number that a double does not hold, a name given twice) is a 400.',
    }),
  })
  .meta({ id: 'CreateCall' });

export const ListCallsInput = z
  .strictObject({
    agentId: text(256).optional(),
    status: z
      .array(CallStatus)
      .min(1)
      .max(CALL_STATUSES.length)
      .optional()
      .meta({ description: 'May repeat.' }),
    direction: Direction.optional(),
    phoneNumber: phoneNumber.optional(),
    startDate: timeOrDate('first')
      .optional()
      .meta({
        description: 'createdAt from here on: an ISO 8601 date, or a time with its offset from UTC.',
        examples: ['2026-11-23'],
      }),
    endDate: timeOrDate('last')
      .optional()
      .meta({ description: 'createdAt up to here, inclusive; a date alone: that whole day (UTC).' }),
    limit: z.int().min(1).max(100).default(50),
    offset: z.int().min(0).max(MAX_OFFSET).default(0),
    sortBy: z.enum(CALL_SORT_KEYS).optional().meta({ description: 'Default: createdAt.' }),
    sortOrder: z.enum(['asc', 'desc']).optional().meta({ description: 'Default: desc.' }),
    cursor: z
      .string()
      .regex(/^[A-Za-z0-9_-]+$/, NO_CURSOR)
      .max(512)
      .transform((value, context) => {
        const position = decodeCursor(value);
        if (position !== null) return position;
        context.issues.push({ code: 'custom', message: NO_CURSOR, input: value });
        return z.NEVER;
      })
      .optional()
      .meta({
        description:
          '`pagination.nextCursor` of the page before, and no other value; for deep pages, instead of `offset`. It carries its own order: another `sortBy` or `sortOrder` is a 400.',
      }),
  })
  .refine(({ cursor, offset }) => cursor === undefined || offset === 0, {
    path: ['offset'],
    error: 'cannot be combined with cursor',
  })
  .refine(({ cursor, sortBy = cursor?.sortBy }) => cursor === undefined || sortBy === cursor.sortBy, {
    path: ['sortBy'],
    error: 'is not the order of this cursor',
  })
  .refine(
    ({ cursor, sortOrder = cursor?.sortOrder }) => cursor === undefined || sortOrder === cursor.sortOrder,
    { path: ['sortOrder'], error: 'is not the order of this cursor' },
  );

const Agent = z.object({
  id: z.string().nullable(),
  name: z.string().nullable(),
});

const LiveParticipant = z
  .object({
    identity: z.string(),
    name: z.string(),
    kind: z.string().meta({ description: "LiveKit's word.", examples: ['SIP', 'AGENT', 'STANDARD'] }),
    state: z.string().meta({ description: "LiveKit's word.", examples: ['ACTIVE'] }),
    joinedAt: isoTime.nullable(),
  })
  .meta({ id: 'LiveParticipant' });

const LiveRoomStatus = z
  .object({
    roomExists: z.boolean(),
    numParticipants: z.int(),
    participants: z.array(LiveParticipant),
  })
  .meta({ id: 'LiveRoomStatus' });

const RoomDeletion = z
  .object({
    state: z.enum(DELETION_STATES),
    attempt: z.int(),
    lastError: z.string().nullable(),
    nextAttemptAt: isoTime.nullable(),
  })
  .meta({ id: 'RoomDeletion' });

export const CallDetails = z
  .object({
    id: callId,
    organizationId: z.string(),
    status: CallStatus,
    direction: Direction,
    phoneNumber: z.string().nullable(),
    duration: z.int().nullable().meta({ description: 'Seconds from answer to end.' }),
    scheduledAt: isoTime.nullable(),
    startedAt: isoTime.nullable(),
    endedAt: isoTime.nullable(),
    failureReason: z.string().nullable(),
    cancelledAt: isoTime.nullable(),
    cancelledBy: z.string().nullable().meta({ description: 'Id of the API key.' }),
    cancelReason: z.string().nullable(),
    agent: Agent.extend({ type: z.literal('voice') }),
    metadata: jsonObject,
    summary: z
      .string()
      .nullable()
      .meta({ description: 'Kept for existing clients: hangup writes no summaries.' }),
    transcript: z
      .string()
      .nullable()
      .meta({ description: 'Kept for existing clients: hangup hears no calls.' }),
    roomId: z.string().nullable(),
    roomName: z.string(),
    jobId: z.string().nullable(),
    sipParticipantId: z.string().nullable(),
    liveRoomStatus: LiveRoomStatus.nullable().meta({
      description:
        'Requested from LiveKit for a live call; null for an ended one, and when LiveKit does not answer.',
    }),
    roomDeletion: RoomDeletion.nullable(),
    createdAt: isoTime,
    updatedAt: isoTime,
  })
  .meta({ id: 'CallDetails' });

export const CallListItem = z
  .object({
    id: callId,
    status: CallStatus,
    direction: Direction,
    scheduledAt: isoTime.nullable(),
    duration: z.int().nullable(),
    outcome: CallStatus.nullable().meta({ description: 'How the call ended; null while it lives.' }),
    agent: Agent,
    contact: z.object({
      phone: z.string().nullable(),
      name: z.string().nullable(),
      email: z.string().nullable(),
    }),
    phoneNumber: z.string().nullable(),
    createdAt: isoTime,
  })
  .meta({ id: 'CallListItem' });

export const CallList = z
  .object({
    calls: z.array(CallListItem),
    pagination: z.object({
      total: z.int().meta({ description: 'Exact up to 10,000.' }),
      totalCapped: z.boolean().meta({ description: 'There are more than `total`.' }),
      limit: z.int(),
      offset: z.int(),
      hasMore: z.boolean(),
      nextCursor: z.string().nullable(),
    }),
  })
  .meta({ id: 'CallList' });

const EVENTS_PER_PAGE = 100;

export const CallEventsInput = z.strictObject({
  callId,
  limit: z.int().min(1).max(EVENTS_PER_PAGE).default(50),
  cursor: z
    .string()
    .regex(/^\d{1,15}$/, NO_CURSOR)
    .optional()
    .meta({ description: '`pagination.nextCursor` of the page before.' }),
});

export const CallEvents = z
  .object({
    events: z.array(
      z.object({
        id: z.string(),
        at: isoTime,
        action: z.string().meta({ examples: ['call.created', 'call.status_changed'] }),
        actor: z.string().meta({ description: 'api_key, livekit, reconciler or operator.' }),
        actorId: z.string().nullable().meta({ description: "Id of the API key, or of LiveKit's event." }),
        from: CallStatus.nullable(),
        to: CallStatus.nullable(),
        reason: z.string().nullable(),
      }),
    ),
    pagination: z.object({ limit: z.int(), hasMore: z.boolean(), nextCursor: z.string().nullable() }),
  })
  .meta({ id: 'CallEvents' });
