import { z } from 'zod';
import { missingScope, unauthorized } from '../../domain/errors.ts';
import { toIso } from '../../domain/time.ts';
import { isoTime } from '../calls/call-fields.ts';
import { badRequest, unrecognizedKeys } from '../errors.ts';
import { scopedProcedure } from '../procedures.ts';

const HealthFindings = z
  .object({
    findings: z.array(
      z
        .object({
          check: z.string(),
          level: z.enum(['ok', 'warning', 'failure', 'unknown']).meta({
            description: 'unknown: the check has no result.',
          }),
          message: z.string(),
          advice: z.string().nullable().meta({ description: 'The remedy. Can have several lines.' }),
        })
        .meta({ id: 'Finding' }),
    ),
    checkedAt: isoTime,
  })
  .meta({ id: 'HealthFindings' });

const NoInput = z.strictObject({});

export const findings = scopedProcedure('admin').query({
  rest: {
    method: 'GET',
    path: '/health/findings',
    operationId: 'getHealthFindings',
    summary: 'Get the findings of hangup doctor',
    description:
      'Runs `hangup doctor` on the server, and returns the findings of all checks. They are at most a minute old. They concern the complete installation, not only your organization.',
    success: {
      status: 200,
      example: {
        findings: [
          { check: 'webhooks', level: 'ok', message: 'last webhook 5 seconds ago', advice: null },
          {
            check: 'livekit',
            level: 'failure',
            message: 'https://livekit.example.com does not respond: connect ECONNREFUSED',
            advice: 'check LIVEKIT_URL, and that LiveKit is running and reachable from this machine',
          },
        ],
        checkedAt: '2026-11-23T08:00:00.000Z',
      },
    },
    errors: [badRequest(unrecognizedKeys(['page'])), unauthorized(), missingScope('admin')],
  },
  input: NoInput,
  // tRPC clients call a query without an input as `query()`.
  trpcInput: NoInput.prefault({}),
  output: HealthFindings,
  handle: async ({ dependencies }) => {
    const { findings: found, checkedAt } = await dependencies.health.diagnose();
    return { findings: found.map((finding) => ({ ...finding })), checkedAt: toIso(checkedAt) };
  },
});
