import assert from 'node:assert/strict';
import { type AppRouter, createHangup } from '@hangup/client';
import { QueryClient } from '@tanstack/react-query';
import { createTRPCClient, httpBatchLink } from '@trpc/client';
import { createTRPCOptionsProxy } from '@trpc/tanstack-react-query';

const { HANGUP_URL = '', HANGUP_API_KEY = '', CALL_ID = '' } = process.env;
const client = createTRPCClient<AppRouter>({
  links: [httpBatchLink({ url: `${HANGUP_URL}/trpc`, headers: { 'x-api-key': HANGUP_API_KEY } })],
});
const queryClient = new QueryClient();
const trpc = createTRPCOptionsProxy<AppRouter>({ client, queryClient });

const agentId = 'tanstack-query';
const created = await client.calls.create.mutate({ id: CALL_ID, agentId });
assert.equal(created.direction, 'outbound');
const twelve = Array.from({ length: 12 }, (_, index) => `${CALL_ID}-${index}`);
await Promise.all(twelve.map((id) => client.calls.create.mutate({ id, agentId, direction: 'inbound' })));

type Filter = { callDirection?: 'inbound' | 'outbound'; cursor?: string | null };
const pagesOf = async (filter: Filter) => {
  const options = trpc.calls.list.infiniteQueryOptions(
    { agentId, limit: 5, ...filter },
    { getNextPageParam: ({ pagination }) => pagination.nextCursor },
  );
  const { pages } = await queryClient.fetchInfiniteQuery({ ...options, pages: 10 });
  return pages.map(({ calls }) => calls.length);
};
assert.deepEqual(await pagesOf({}), [5, 5, 3]);
assert.deepEqual(await pagesOf({ cursor: null }), [5, 5, 3]);
assert.deepEqual(await pagesOf({ callDirection: 'inbound' }), [5, 5, 2]);
assert.deepEqual(await pagesOf({ callDirection: 'outbound' }), [1]);

const list = await queryClient.fetchQuery(trpc.calls.list.queryOptions({ agentId, direction: 'inbound' }));
assert.equal(list.pagination.total, 12);
const read = await queryClient.fetchQuery(trpc.calls.get.queryOptions({ callId: CALL_ID }));
assert.equal(read.liveRoomStatus?.participants[0]?.identity, 'phone');

const hangup = createHangup({ url: HANGUP_URL, apiKey: HANGUP_API_KEY });
const details = await queryClient.fetchQuery({
  queryKey: ['call', CALL_ID],
  queryFn: ({ signal }) => hangup.calls.get(CALL_ID, { signal }),
});
assert.equal(details.agent.id, agentId);
const { pages } = await queryClient.fetchInfiniteQuery({
  queryKey: ['calls'],
  queryFn: ({ pageParam: cursor, signal }) => hangup.calls.list({ agentId, limit: 5, cursor }, { signal }),
  initialPageParam: undefined as string | undefined,
  getNextPageParam: ({ pagination }) => pagination.nextCursor ?? undefined,
  pages: 10,
});
assert.deepEqual(
  pages.map(({ calls }) => calls.length),
  [5, 5, 3],
);

const reason = 'by tanstack-query';
const answers = await Promise.all(
  [CALL_ID, ...twelve].map((callId) => client.calls.cancel.mutate({ callId, reason })),
);
assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set(['cancelled']));
await assert.rejects(client.calls.cancel.mutate({ callId: CALL_ID }), {
  message: 'Cannot cancel call with status: cancelled',
});
