import { z } from 'zod';
import { missingScope, unauthorized } from '../../domain/errors.ts';
import { toIso } from '../../domain/time.ts';
import { isoTime } from '../calls/call-fields.ts';
import { badRequest, unrecognizedKeys } from '../errors.ts';
import { scopedProcedure } from '../procedures.ts';

const values = z.array(z.number().nullable());

const HealthHistory = z
  .object({
    times: z.array(isoTime),
    series: z
      .object({
        liveCalls: values,
        requestsPerSecond: values.meta({ description: 'All requests to this process.' }),
        cancelsPerMinute: values.meta({ description: 'Cancelled calls.' }),
        deletionsPerMinute: values.meta({ description: 'Deleted rooms.' }),
        failedDeletionsPerMinute: values.meta({ description: 'Failed attempts to delete a room.' }),
        livekitRequestMs: values.meta({
          description: 'The 95th percentile of the durations of requests from this process to LiveKit.',
        }),
        openDeletions: values,
      })
      .meta({ description: 'Each series has one value for each time. Null: not known.' }),
  })
  .meta({ id: 'HealthHistory' });

const NoInput = z.strictObject({});

export const history = scopedProcedure('calls:read').query({
  rest: {
    method: 'GET',
    path: '/health/history',
    operationId: 'getHealthHistory',
    summary: 'Get the last hour',
    description:
      'Returns the last hour of the process that serves the request, with a value for each 10 s since its start. Numbers of calls and rooms are those of your organization, from all processes.',
    success: {
      status: 200,
      example: {
        times: ['2026-11-23T08:00:00.000Z', '2026-11-23T08:00:10.000Z'],
        series: {
          liveCalls: [118, 120],
          requestsPerSecond: [null, 12.5],
          cancelsPerMinute: [null, 6],
          deletionsPerMinute: [null, 6],
          failedDeletionsPerMinute: [null, 0],
          livekitRequestMs: [null, 4.25],
          openDeletions: [0, 0],
        },
      },
    },
    errors: [badRequest(unrecognizedKeys(['page'])), unauthorized(), missingScope('calls:read')],
  },
  input: NoInput,
  // tRPC clients call a query without an input as `query()`.
  trpcInput: NoInput.prefault({}),
  output: HealthHistory,
  handle: async ({ dependencies, apiKey }) => {
    const { times, series } = dependencies.health.history.read(apiKey.organizationId);
    return {
      times: times.map(toIso),
      series: {
        liveCalls: [...series.liveCalls],
        requestsPerSecond: [...series.requestsPerSecond],
        cancelsPerMinute: [...series.cancelsPerMinute],
        deletionsPerMinute: [...series.deletionsPerMinute],
        failedDeletionsPerMinute: [...series.failedDeletionsPerMinute],
        livekitRequestMs: [...series.livekitRequestMs],
        openDeletions: [...series.openDeletions],
      },
    };
  },
});
