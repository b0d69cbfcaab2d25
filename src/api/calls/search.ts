import { z } from 'zod';
import { MIN_SEARCH_LENGTH, toSearchTerms } from '../../domain/call-search.ts';
import { missingScope, unauthorized } from '../../domain/errors.ts';
import { searchCalls } from '../../operations/calls/search.ts';
import { badRequest, invalidInput, unrecognizedKeys } from '../errors.ts';
import { scopedProcedure } from '../procedures.ts';
import { plusSigns, searchText } from '../validators.ts';
import { CALL_LIST_ITEM_EXAMPLE, CallListItem, toCallListItem } from './call-list-item.ts';
import { CALL_ROOM_EXAMPLE, CallRoom, toCallRoom } from './call-room.ts';

const MAX_LIMIT = 100;

const SearchCallsInput = z.strictObject({
  text: searchText(MIN_SEARCH_LENGTH, 256)
    .transform(toSearchTerms)
    .meta({
      description: 'The beginning of an id or of a room name, or the first or last digits of a phone number.',
      examples: ['4567'],
    })
    .register(plusSigns, { where: 'first' }),
  limit: z.int().min(1).max(MAX_LIMIT).default(20).meta({ description: 'The largest number of calls.' }),
});

const FoundCalls = z
  .object({ calls: z.array(CallListItem.extend({ room: CallRoom }).meta({ id: 'FoundCall' })) })
  .meta({ id: 'FoundCalls' });

export const search = scopedProcedure('calls:read').query({
  rest: {
    method: 'GET',
    path: '/call-search',
    operationId: 'searchCalls',
    summary: 'Search calls',
    description:
      'Returns the calls whose id or room name begins with the text, or whose phone number begins or ends with its digits, newest first. Upper and lower case differ. When more than 1,000 calls match, older ones can be missing: search for a longer text.',
    success: {
      status: 200,
      example: { calls: [{ ...CALL_LIST_ITEM_EXAMPLE, room: { ...CALL_ROOM_EXAMPLE, participants: [] } }] },
    },
    errors: [
      invalidInput(SearchCallsInput, { text: '12' }),
      badRequest(unrecognizedKeys(['page'])),
      unauthorized(),
      missingScope('calls:read'),
    ],
  },
  input: SearchCallsInput,
  output: FoundCalls,
  handle: async ({ dependencies, apiKey }, { text: terms, limit }) => {
    const calls = await searchCalls(dependencies, { apiKey, terms, limit });
    return { calls: calls.map((call) => ({ ...toCallListItem(call), room: toCallRoom(call.room) })) };
  },
});
