import { z } from 'zod';
import { LIVE_STATUSES } from '../../domain/call-status.ts';
import {
  CANCELLATION_STATES,
  type CallFilter,
  type CancellationCounts,
  type CancellationSelector,
  HOLD_STATES,
  type Cancellation as RecordedCancellation,
} from '../../domain/cancellation.ts';
import { toIso, toIsoOrNull } from '../../domain/time.ts';
import { Direction, isoTime } from '../calls/call-fields.ts';

export const CANCELLATION_ID_EXAMPLE = 'can_019ab1f0c2d37e4f8a6b5c4d3e2f1a0b';

/** Accepts any string: an id of another shape is a cancellation that is not found. */
export const cancellationId = z
  .string()
  .meta({ description: 'Id of the cancellation.', examples: [CANCELLATION_ID_EXAMPLE] });

const count = z.int();

export const Counts = z
  .object({
    matched: count.meta({ description: '`cancelled` + `alreadyEnded`. Final when the state is completed.' }),
    cancelled: count.meta({ description: 'Calls that are cancelled on record.' }),
    alreadyEnded: count.meta({ description: 'Of `callIds`: calls that had ended before.' }),
    notFound: count.meta({ description: 'Of `callIds`: ids without a call in your organization.' }),
    rooms: z.object({
      deleted: count.meta({ description: 'Rooms that are gone.' }),
      pending: count.meta({ description: 'Rooms that hangup still deletes.' }),
      discarded: count.meta({
        description: 'Rooms that hangup could not delete within the time limit. They may still exist.',
      }),
    }),
  })
  .meta({ id: 'CancellationCounts' });

const Selector = z
  .object({
    filter: z
      .object({
        agentId: z.string().optional(),
        status: z.array(z.enum(LIVE_STATUSES)).optional(),
        direction: Direction.optional(),
        phoneNumber: z.string().optional(),
        startDate: isoTime.optional(),
        endDate: isoTime.optional(),
      })
      .optional(),
    callIds: z.array(z.string()).optional(),
    all: z.literal(true).optional(),
  })
  .meta({ id: 'CancellationSelector', description: 'As in the request: one of the fields is set.' });

const Hold = z
  .object({
    state: z.enum(HOLD_STATES),
    liftedAt: isoTime.nullable(),
    liftedBy: z.string().nullable().meta({ description: 'Id of the API key.' }),
  })
  .meta({ id: 'Hold', description: 'While the hold is active, no call that matches can start.' });

export const Cancellation = z
  .object({
    id: cancellationId,
    state: z.enum(CANCELLATION_STATES).meta({
      description:
        'completed: every matching call is cancelled on record, and each room is deleted or its deletion was given up.',
    }),
    reason: z.string(),
    createdBy: z.string().meta({ description: 'Id of the API key.' }),
    createdAt: isoTime,
    completedAt: isoTime.nullable(),
    selector: Selector,
    hold: Hold.nullable(),
    counts: Counts,
  })
  .meta({ id: 'Cancellation' });

export const CANCELLATION_EXAMPLE: z.output<typeof Cancellation> = {
  id: CANCELLATION_ID_EXAMPLE,
  state: 'running',
  reason: 'agent gives wrong advice',
  createdBy: 'key_019ab1e7a1b27c3d9e8f7a6b5c4d3e2f',
  createdAt: '2026-11-23T08:00:00.000Z',
  completedAt: null,
  selector: { filter: { agentId: 'receptionist' } },
  hold: { state: 'active', liftedAt: null, liftedBy: null },
  counts: {
    matched: 120,
    cancelled: 120,
    alreadyEnded: 0,
    notFound: 0,
    rooms: { deleted: 80, pending: 40, discarded: 0 },
  },
};

export function toCancellation({
  organizationId: _,
  createdAt,
  completedAt,
  selector,
  hold,
  counts,
  ...others
}: RecordedCancellation): z.output<typeof Cancellation> {
  const { id, state, reason, createdBy } = others;
  return {
    id,
    state,
    reason,
    createdBy,
    createdAt: toIso(createdAt),
    completedAt: toIsoOrNull(completedAt),
    selector: toSelector(selector),
    hold: hold && { ...hold, liftedAt: toIsoOrNull(hold.liftedAt) },
    counts: toCounts(counts),
  };
}

export function toCounts(counts: CancellationCounts): z.output<typeof Counts> {
  return { matched: counts.cancelled + counts.alreadyEnded, ...counts };
}

function toSelector(selector: CancellationSelector): z.output<typeof Selector> {
  if ('callIds' in selector) return { callIds: [...selector.callIds] };
  return 'all' in selector ? selector : { filter: toFilter(selector.filter) };
}

/** Returns the filter as the request had it, with complete times. */
function toFilter({ from, to, status, ...filter }: CallFilter) {
  return {
    ...filter,
    ...(status !== undefined && { status: [...status] }),
    ...(from !== undefined && { startDate: toIso(from) }),
    ...(to !== undefined && { endDate: toIso(to) }),
  };
}
