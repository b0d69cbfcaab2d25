import { z } from 'zod';
import { LIVE_STATUSES } from '../../domain/call-status.ts';
import { missingScope, unauthorized } from '../../domain/errors.ts';
import { toIso, toIsoOrNull } from '../../domain/time.ts';
import { isoTime } from '../calls/call-fields.ts';
import { badRequest, unrecognizedKeys } from '../errors.ts';
import { scopedProcedure } from '../procedures.ts';

const Health = z
  .object({
    livekit: z.object({
      state: z.enum(['up', 'down', 'unknown']).meta({
        description: 'Whether LiveKit responds to this process. unknown: no request was sent yet.',
      }),
      since: isoTime.nullable(),
    }),
    lastWebhookAt: isoTime.nullable().meta({ description: 'The last event of LiveKit on record.' }),
    liveCalls: z.object({
      initiated: z.int(),
      connecting: z.int(),
      ringing: z.int(),
      active: z.int(),
      total: z.int(),
    }),
    roomDeletions: z.object({
      open: z.int(),
      discarded: z.int(),
      oldestOpenAt: isoTime.nullable().meta({ description: 'When the oldest open deletion was created.' }),
    }),
    cancellations: z.object({ running: z.int(), activeHolds: z.int() }),
    store: z.enum(['sqlite', 'postgres']),
    version: z.string(),
    startedAt: isoTime.meta({ description: 'When this process started.' }),
  })
  .meta({ id: 'Health' });

const NoInput = z.strictObject({});

export const get = scopedProcedure('calls:read').query({
  rest: {
    method: 'GET',
    path: '/health',
    operationId: 'getHealth',
    summary: 'Get the health of hangup',
    description:
      'Returns the state of the process that serves the request, and counts of your organization, at most 2 s old.',
    success: {
      status: 200,
      example: {
        livekit: { state: 'up', since: '2026-11-23T08:00:00.000Z' },
        lastWebhookAt: '2026-11-23T09:00:00.000Z',
        liveCalls: { initiated: 1, connecting: 0, ringing: 2, active: 117, total: 120 },
        roomDeletions: { open: 0, discarded: 0, oldestOpenAt: null },
        cancellations: { running: 0, activeHolds: 0 },
        store: 'sqlite',
        version: '0.3.0',
        startedAt: '2026-11-23T08:00:00.000Z',
      },
    },
    errors: [badRequest(unrecognizedKeys(['page'])), unauthorized(), missingScope('calls:read')],
  },
  input: NoInput,
  // tRPC clients call a query without an input as `query()`.
  trpcInput: NoInput.prefault({}),
  output: Health,
  handle: async ({ dependencies, apiKey }): Promise<z.output<typeof Health>> => {
    const { health } = dependencies;
    const counts = await health.countOrganization(apiKey);
    const { liveCalls, roomDeletions } = counts;
    const isUp = health.isLiveKitUp();
    return {
      livekit: {
        state: isUp === null ? 'unknown' : isUp ? 'up' : 'down',
        since: toIsoOrNull(health.liveKitSince()),
      },
      lastWebhookAt: toIsoOrNull(counts.lastWebhookAt),
      liveCalls: { ...liveCalls, total: LIVE_STATUSES.reduce((sum, status) => sum + liveCalls[status], 0) },
      roomDeletions: { ...roomDeletions, oldestOpenAt: toIsoOrNull(roomDeletions.oldestOpenAt) },
      cancellations: { ...counts.cancellations },
      store: health.storeKind,
      version: health.version,
      startedAt: toIso(health.startedAt),
    };
  },
});
