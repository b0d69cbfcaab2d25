import { z } from 'zod';
import { LIVE_STATUSES } from '../../domain/call-status.ts';
import type { CancellationSelector } from '../../domain/cancellation.ts';
import { idempotencyKeyReused, missingScope, tooManyMatches, unauthorized } from '../../domain/errors.ts';
import { createCancellation } from '../../operations/cancellations/create.ts';
import { MAX_SAMPLE } from '../../ports/store.ts';
import { Direction } from '../calls/call-fields.ts';
import { CALL_LIST_ITEM_EXAMPLE, CallListItem, toCallListItem } from '../calls/call-list-item.ts';
import { badRequest, bodyTooLarge, unrecognizedKeys, unsupportedMediaType } from '../errors.ts';
import { IDEMPOTENCY_HEADERS, idempotencyKey } from '../idempotency-key.ts';
import { scopedProcedure } from '../procedures.ts';
import { dateOrTimestamp, phoneNumber, plainText, visibleText } from '../validators.ts';
import { CANCELLATION_EXAMPLE, Cancellation, toCancellation } from './cancellation.ts';

const MAX_CALL_IDS = 10_000;
/** Enough for {@link MAX_CALL_IDS} of the longest ids. */
const MAX_BODY_BYTES = 2 * 1024 * 1024;

const EMPTY_FILTER =
  'expected at least one of agentId, status, direction, phoneNumber, startDate, endDate; for every call, send "all": true instead';

const Filter = z
  .strictObject({
    agentId: plainText(256).optional(),
    status: z.array(z.enum(LIVE_STATUSES)).min(1).max(LIVE_STATUSES.length).optional(),
    direction: Direction.optional(),
    phoneNumber: phoneNumber.optional(),
    startDate: dateOrTimestamp('startOfDay')
      .optional()
      .meta({ description: 'The earliest `createdAt`, inclusive.' }),
    endDate: dateOrTimestamp('endOfDay')
      .optional()
      .meta({ description: 'The latest `createdAt`, inclusive.' }),
  })
  .refine((filter) => Object.values(filter).some((value) => value !== undefined), EMPTY_FILTER)
  .refine(({ startDate = 0, endDate = Number.POSITIVE_INFINITY }) => startDate <= endDate, {
    path: ['endDate'],
    error: 'must not be before startDate',
  })
  .meta({
    description:
      'Live calls that match every field. At least one field is required. `endDate` is not before `startDate`.',
    minProperties: 1,
  });

/** Returns a JSON Schema. An object literal with `then` would look like a promise. */
const ifThenElse = (condition: object, rule: object, otherwise: object) =>
  Object.fromEntries([
    ['if', condition],
    ['then', rule],
    ['else', otherwise],
  ]);

/** openapi-typescript refuses a required property that is not defined beside it. */
const has = (name: string) => ({ required: [name], properties: { [name]: {} } });
const hasNot = (name: string) => ({ not: has(name) });

/** The rules between the fields, as JSON Schema that client generators ignore: they would make a class of each `oneOf`. */
const SELECTOR_RULES = ifThenElse(
  has('filter'),
  { allOf: [hasNot('callIds'), hasNot('all')] },
  ifThenElse(
    has('callIds'),
    { ...hasNot('all'), properties: { hold: { const: false } } },
    { ...has('all'), properties: { all: { const: true } } },
  ),
);

const fields = {
  filter: Filter.optional(),
  callIds: z.array(z.string()).min(1).max(MAX_CALL_IDS).optional(),
  all: z
    .literal(true)
    .optional()
    .meta({ description: 'Every live call of your organization. The only value is true.' }),
  reason: visibleText(500).meta({
    description: 'Stored with each call and in the audit log. Not blank.',
    examples: ['agent gives wrong advice'],
  }),
  dryRun: z.boolean().default(false).meta({
    description: 'Returns the calls that match now, and cancels none.',
  }),
  expectedAtMost: z
    .int()
    .min(0)
    .optional()
    .meta({
      description: 'Refuses the cancellation with 412 when more calls match.',
      override: { type: 'integer', format: 'int64', minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
    }),
  hold: z.boolean().default(false).meta({
    description:
      'Until the hold is lifted, new calls that match are refused with 409, and calls that start to match are cancelled.',
  }),
  idempotencyKey: idempotencyKey.optional(),
};

interface Selectors {
  readonly filter?: unknown;
  readonly callIds?: unknown;
  readonly all?: unknown;
  readonly hold: boolean;
}

const rules = [
  z.refine<Selectors>(
    ({ filter, callIds, all }) => [filter, callIds, all].filter((value) => value !== undefined).length === 1,
    { path: ['filter'], error: 'expected exactly one of filter, callIds and all' },
  ),
  z.refine<Selectors>(({ hold, callIds }) => !hold || callIds === undefined, {
    path: ['hold'],
    error: 'cannot be combined with callIds, which no new call matches',
  }),
] as const;

const CreateCancellationInput = z
  .strictObject(fields)
  .check(...rules)
  .meta({ id: 'CreateCancellation', ...SELECTOR_RULES });

const { dryRun: _dryRun, idempotencyKey: _idempotencyKey, expectedAtMost, ...stopFields } = fields;

/** A stop before its preview: the input without the fields that a client sets by itself. */
export const PreviewStopInput = z.strictObject({ ...stopFields, expectedAtMost }).check(...rules);

/** A stop after its preview, whose result has the confirmation value. */
export const ConfirmedStopInput = z
  .strictObject({
    ...stopFields,
    confirmation: z.string().max(64).meta({ description: '`confirmation` of the preview.' }),
  })
  .check(...rules);

export const CancellationPreview = z
  .object({
    dryRun: z.literal(true),
    matched: z.object({
      initiated: z.int(),
      connecting: z.int(),
      ringing: z.int(),
      active: z.int(),
      total: z.int(),
    }),
    sample: z.array(CallListItem).meta({ description: `At most ${MAX_SAMPLE} of the calls.` }),
  })
  .meta({ id: 'CancellationPreview' });

export const create = scopedProcedure('calls:stop').mutation({
  rest: {
    method: 'POST',
    path: '/cancellations',
    operationId: 'createCancellation',
    summary: 'Cancel all matching calls',
    description:
      'Cancels all live calls that match, and deletes their rooms. 202 means that the cancellation is stored: hangup completes it, also after a crash or an outage of LiveKit. Calls that were never dialled come first, then ringing calls, then active calls.',
    headers: IDEMPOTENCY_HEADERS,
    maxBodyBytes: MAX_BODY_BYTES,
    // An emergency stop is never refused.
    rateLimit: null,
    success: {
      status: 202,
      message: 'Cancellation started',
      output: Cancellation,
      example: CANCELLATION_EXAMPLE,
      headers: {
        location: {
          description: 'The path of the cancellation.',
          read: (output) => ('id' in output ? `/api/v1/cancellations/${output.id}` : null),
        },
      },
    },
    otherSuccess: {
      status: 200,
      description: 'The calls that match now, for `dryRun`.',
      output: CancellationPreview,
      example: {
        dryRun: true,
        matched: { initiated: 0, connecting: 0, ringing: 1, active: 119, total: 120 },
        sample: [CALL_LIST_ITEM_EXAMPLE],
      },
      isReturned: (output) => 'dryRun' in output,
    },
    errors: [
      badRequest('filter: expected exactly one of filter, callIds and all'),
      badRequest(unrecognizedKeys(['agent'])),
      unauthorized(),
      missingScope('calls:stop'),
      tooManyMatches(120, 100),
      bodyTooLarge(),
      unsupportedMediaType('content-type application/json'),
      idempotencyKeyReused(),
    ],
  },
  input: CreateCancellationInput,
  output: z.union([Cancellation, CancellationPreview]),
  handle: async (context, input) => {
    const { reason, dryRun: isDryRun, expectedAtMost = null, hold: hasHold } = input;
    const created = await createCancellation(context.dependencies, {
      apiKey: context.apiKey,
      idempotencyKey: input.idempotencyKey ?? null,
      markReplayed: context.markReplayed,
      selector: toSelector(input),
      reason,
      hasHold,
      isDryRun,
      expectedAtMost,
    });
    if (created.kind === 'created') return toCancellation(created.cancellation);
    const { matched, sample } = created.preview;
    const total = LIVE_STATUSES.reduce((sum, status) => sum + matched[status], 0);
    return { dryRun: true as const, matched: { ...matched, total }, sample: sample.map(toCallListItem) };
  },
});

function toSelector({ filter, callIds }: z.output<typeof CreateCancellationInput>): CancellationSelector {
  if (callIds !== undefined) return { callIds: [...new Set(callIds)] };
  if (filter === undefined) return { all: true };
  const { startDate: from, endDate: to, status, ...others } = filter;
  return { filter: { ...others, status: status && [...new Set(status)], from, to } };
}
