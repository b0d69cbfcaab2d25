import { z } from 'zod';
import { CALL_STATUSES, DIRECTIONS } from '../../domain/call-status.ts';

/* The fields that several procedures share. */

export const CALL_ID_EXAMPLE = 'call_019ab1f0c2d37e4f8a6b5c4d3e2f1a0b';

/** Accepts any string: a call id of another shape is a call that is not found, not a bad request. */
export const callId = z.string().meta({ description: 'Id of the call.', examples: [CALL_ID_EXAMPLE] });

export const isoTime = z.iso.datetime().meta({ examples: ['2026-11-23T08:00:00.000Z'] });

export const CallStatus = z.enum(CALL_STATUSES).meta({
  id: 'CallStatus',
  description: 'A live call is initiated, connecting, ringing or active. The other statuses are final.',
});

export const Direction = z.enum(DIRECTIONS).meta({ id: 'Direction' });

export const Agent = z.object({
  id: z.string().nullable(),
  name: z.string().nullable(),
});

/** Any JSON object, not copied: the copy that z.record makes lacks `__proto__`. */
export const jsonObject = z
  .custom<Record<string, unknown>>(
    (value) => value !== null && typeof value === 'object' && !Array.isArray(value),
    'expected an object',
  )
  .meta({ override: { type: 'object', additionalProperties: {} } });
