import { z } from 'zod';
import { callNotFound, callOfOtherOrganization, missingScope, unauthorized } from '../../domain/errors.ts';
import { getCall } from '../../operations/calls/get.ts';
import { badRequest, unrecognizedKeys } from '../errors.ts';
import { callProcedure } from '../procedures.ts';
import { CALL_DETAILS_EXAMPLE, CallDetails, toCallDetails } from './call-details.ts';
import { callId } from './call-fields.ts';

export const GetCallInput = z.strictObject({ callId });

export const get = callProcedure('calls:read').query({
  rest: {
    method: 'GET',
    path: '/calls/{callId}',
    operationId: 'getCall',
    summary: 'Get a call',
    description: 'Returns the stored call and, if the call is live, the participants in its LiveKit room.',
    success: { status: 200, example: CALL_DETAILS_EXAMPLE },
    errors: [
      badRequest(unrecognizedKeys(['page'])),
      unauthorized(),
      callOfOtherOrganization(),
      missingScope('calls:read'),
      callNotFound(),
    ],
  },
  input: GetCallInput,
  output: CallDetails,
  handle: async ({ dependencies, record }) => toCallDetails(await getCall(dependencies, record)),
});
