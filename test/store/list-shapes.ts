import { CALL_SORT_KEYS, type CallQuery } from '../../src/ports/store.ts';

export type ListShape = Omit<CallQuery, 'organizationId' | 'limit' | 'offset' | 'after'>;

/** Returns every combination of the filters and orders of a list. */
export function* eachListShape({ from, to }: { from: number; to: number }): Generator<ListShape> {
  const statuses = [
    undefined,
    ['active'],
    ['completed'],
    ['busy', 'failed', 'busy'],
    ['ringing', 'cancelled'],
  ] as const;
  for (const sortBy of CALL_SORT_KEYS)
    for (const sortOrder of ['asc', 'desc'] as const)
      for (const agentId of [undefined, 'a'])
        for (const phoneNumber of [undefined, '+1'])
          for (const direction of [undefined, 'inbound'] as const)
            for (const some of statuses)
              for (const cancellationId of [undefined, 'can'])
                for (const dates of [{}, { from }, { to }, { from, to }]) {
                  const filters = { agentId, phoneNumber, direction, statuses: some, cancellationId };
                  yield { sortBy, sortOrder, ...filters, ...dates };
                }
}
