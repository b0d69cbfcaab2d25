import assert from 'node:assert/strict';
import createClient from 'openapi-fetch';
import type { paths } from './generated/openapi-typescript.ts';

const { HANGUP_URL, HANGUP_API_KEY = '', CALL_ID = '' } = process.env;
const client = createClient<paths>({
  baseUrl: `${HANGUP_URL}/api/v1`,
  headers: { 'x-api-key': HANGUP_API_KEY },
});

// Without `direction`: a default in the document would make the field required here.
const created = await client.POST('/calls', {
  body: { id: CALL_ID, phoneNumber: '+15551234567', metadata: { by: 'openapi-typescript' } },
});
assert.equal(created.data?.data.direction, 'outbound');

const list = await client.GET('/calls', {
  params: {
    query: { status: ['initiated', 'connecting', 'active'], phoneNumber: '+15551234567', limit: 100 },
  },
});
assert.ok(list.data?.data.calls.some(({ id }) => id === CALL_ID));

const path = { callId: CALL_ID };
const read = await client.GET('/calls/{callId}', { params: { path } });
const summary: string | null | undefined = read.data?.data.summary;
assert.equal(summary, null);
assert.equal(read.data?.data.liveRoomStatus?.participants[0]?.identity, 'phone');

const query = { reason: 'by openapi-typescript' };
const cancelled = await client.DELETE('/calls/{callId}', { params: { path, query } });
assert.equal(cancelled.data?.data.status, 'cancelled');
const again = await client.DELETE('/calls/{callId}', { params: { path } });
assert.equal(again.error?.error.message, 'Cannot cancel call with status: cancelled');
