import { z } from 'zod';
import {
  callIdTaken,
  idempotencyKeyReused,
  missingScope,
  roomNameTaken,
  unauthorized,
} from '../../domain/errors.ts';
import { createCall } from '../../operations/calls/create.ts';
import { badRequest, bodyTooLarge, unrecognizedKeys, unsupportedMediaType } from '../errors.ts';
import { IDEMPOTENCY_HEADERS, idempotencyKey } from '../idempotency-key.ts';
import { scopedProcedure } from '../procedures.ts';
import { isoTimestamp, phoneNumber, plainText, roomName } from '../validators.ts';
import { CALL_DETAILS_EXAMPLE, CallDetails, toCallDetails } from './call-details.ts';
import { Direction, jsonObject } from './call-fields.ts';

const MAX_METADATA_BYTES = 16 * 1024;
/** JSON parsers have limits: .NET's is 64 levels, and a response adds levels of its own. */
const MAX_METADATA_DEPTH = 32;

/** Excludes `.` and `..`: URLs resolve these, so no client could address the call. */
const CALL_ID =
  /^(?:[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}|\.[A-Za-z0-9_-][A-Za-z0-9_.-]{0,126}|\.\.[A-Za-z0-9_.-]{1,126})$/;

const metadata = jsonObject
  // The depth is checked first: JSON.stringify throws a RangeError for deeply nested values.
  .refine((value) => isShallow(value), {
    error: `must be at most ${MAX_METADATA_DEPTH} levels deep`,
    abort: true,
  })
  .refine(isSmallJson, `must be at most ${MAX_METADATA_BYTES} bytes as JSON`);

/** Returns whether no value is nested in more than this number of objects and arrays. */
function isShallow(value: unknown, levels = MAX_METADATA_DEPTH): boolean {
  if (value === null || typeof value !== 'object') return true;
  return levels > 0 && Object.values(value).every((part) => isShallow(part, levels - 1));
}

function isSmallJson(value: unknown): boolean {
  return Buffer.byteLength(JSON.stringify(value)) <= MAX_METADATA_BYTES;
}

const Contact = z.strictObject({
  name: plainText(256).optional(),
  phone: phoneNumber.optional(),
  email: plainText(320).optional(),
});

const CreateCallInput = z
  .strictObject({
    id: z
      .string()
      .regex(CALL_ID, {
        error: ({ input }) =>
          input === '.' || input === '..'
            ? 'must not be . or ..'
            : 'expected 1 to 128 characters of A-Z a-z 0-9 _ - .',
      })
      .optional()
      .meta({ description: 'Unique across all organizations. If absent, hangup generates an id.' }),
    agentId: plainText(256).optional().meta({
      description: 'Compared by code point: the composed and the decomposed form of é are two agents.',
    }),
    agentName: plainText(256).optional(),
    direction: Direction.default('outbound'),
    phoneNumber: phoneNumber.optional().meta({ examples: ['+15551234567'] }),
    contact: Contact.optional(),
    roomName: roomName.optional().meta({
      description:
        "Name of the LiveKit room, at most 256 bytes as UTF-8. If absent, the call's id. Only one live call can use a name.",
    }),
    jobId: plainText(256).optional(),
    sipParticipantId: plainText(256).optional(),
    scheduledAt: isoTimestamp.optional().meta({
      description:
        'An ISO 8601 time with its offset from UTC, in the years 1970 to 9999. Stored with millisecond precision.',
      examples: ['2026-11-23T08:00:00Z'],
    }),
    metadata: metadata.optional().meta({
      description:
        'Any JSON object of at most 16 KiB and 32 levels, returned unchanged. Duplicate names and numbers that a double cannot represent exactly get 400.',
    }),
    idempotencyKey: idempotencyKey.optional(),
  })
  .meta({ id: 'CreateCall' });

export const create = scopedProcedure('calls:write').mutation({
  rest: {
    method: 'POST',
    path: '/calls',
    operationId: 'createCall',
    summary: 'Register a call',
    description:
      'Registers a call before your platform places the call. From then on, the call can be cancelled.',
    headers: IDEMPOTENCY_HEADERS,
    success: { status: 201, message: 'Call created successfully', example: CALL_DETAILS_EXAMPLE },
    errors: [
      badRequest(unrecognizedKeys(['phone'])),
      unauthorized(),
      missingScope('calls:write'),
      callIdTaken(),
      roomNameTaken(),
      bodyTooLarge(),
      unsupportedMediaType('content-type application/json'),
      idempotencyKeyReused(),
    ],
  },
  input: CreateCallInput,
  output: CallDetails,
  handle: async (context, input) => {
    const call = await createCall(context.dependencies, {
      apiKey: context.apiKey,
      idempotencyKey: input.idempotencyKey ?? null,
      markReplayed: context.markReplayed,
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
    return toCallDetails({ call, deletion: null, liveRoomStatus: null });
  },
});
