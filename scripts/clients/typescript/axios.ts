import assert from 'node:assert/strict';
import axios, { isAxiosError } from 'axios';

interface Item {
  readonly id: string;
  readonly status: string;
}
interface Responses {
  readonly list: { readonly data: { readonly calls: readonly Item[] } };
  readonly call: { readonly data: Item };
}

const { HANGUP_URL, HANGUP_API_KEY = '', CALL_ID = '' } = process.env;
const client = axios.create({
  baseURL: `${HANGUP_URL}/api/v1`,
  headers: { 'x-api-key': HANGUP_API_KEY },
});
const refusal = async (request: Promise<unknown>) => {
  const error: unknown = await request.catch((cause: unknown) => cause);
  assert.ok(isAxiosError<{ error: { message: string } }>(error));
  return `${error.response?.status} ${error.response?.data.error.message}`;
};

const created = await client.post<Responses['call']>('/calls', { id: CALL_ID, phoneNumber: '+15551234567' });
assert.equal(created.status, 201);

// axios writes an array as `status[]=...`.
const listed = async (params: object) =>
  (await client.get<Responses['list']>('/calls', { params })).data.data.calls.map(({ id }) => id);
assert.ok((await listed({ status: ['initiated', 'connecting', 'active'] })).includes(CALL_ID));
assert.ok(!(await listed({ status: ['completed'] })).includes(CALL_ID));
assert.ok((await listed({ phoneNumber: '+15551234567' })).includes(CALL_ID));
assert.match(await refusal(client.get('/calls', { params: { phone_number: 'x' } })), /^400 .*phone_number/);

const cancelled = await client.delete<Responses['call']>(`/calls/${CALL_ID}`, {
  params: { reason: 'by axios' },
});
assert.equal(cancelled.data.data.status, 'cancelled');
assert.equal(
  await refusal(client.delete(`/calls/${CALL_ID}`)),
  '400 Cannot cancel call with status: cancelled',
);
