import { z } from 'zod';
import { missingScope, unauthorized } from '../../domain/errors.ts';
import { listAgents } from '../../operations/agents/list.ts';
import { badRequest, unrecognizedKeys } from '../errors.ts';
import { scopedProcedure } from '../procedures.ts';

const AgentList = z
  .object({
    agents: z.array(
      z
        .object({
          id: z.string().nullable().meta({ description: 'Null: the live calls without an agent.' }),
          name: z.string().nullable().meta({ description: 'The name in one of these calls.' }),
          liveCalls: z.int(),
        })
        .meta({ id: 'LiveAgent' }),
    ),
  })
  .meta({ id: 'AgentList' });

const NoInput = z.strictObject({});

export const list = scopedProcedure('calls:read').query({
  rest: {
    method: 'GET',
    path: '/agents',
    operationId: 'listAgents',
    summary: 'List the agents of live calls',
    description: 'Lists the agents of the live calls, those with the most calls first, at most 1,000 agents.',
    success: {
      status: 200,
      example: {
        agents: [
          { id: 'receptionist', name: 'Receptionist', liveCalls: 12 },
          { id: null, name: null, liveCalls: 1 },
        ],
      },
    },
    errors: [badRequest(unrecognizedKeys(['page'])), unauthorized(), missingScope('calls:read')],
  },
  input: NoInput,
  // tRPC clients call a query without an input as `query()`.
  trpcInput: NoInput.prefault({}),
  output: AgentList,
  handle: async ({ dependencies, apiKey }) => ({
    agents: (await listAgents(dependencies, apiKey)).map((agent) => ({ ...agent })),
  }),
});
