import assert from 'node:assert/strict';
import { cancelCall, createCall, getCall, listCalls } from './generated/orval/hangup.ts';

const { HANGUP_API_KEY = '', CALL_ID = '' } = process.env;
const options = { headers: { 'x-api-key': HANGUP_API_KEY } };

const created = await createCall(
  { id: CALL_ID, phoneNumber: '+15551234567', metadata: { by: 'orval' } },
  options,
);
assert.ok(created.status === 201);
assert.equal(created.data.data.direction, 'outbound');

const list = await listCalls(
  { status: ['initiated', 'connecting', 'active'], phoneNumber: '+15551234567', limit: 100 },
  options,
);
assert.ok(list.status === 200);
assert.ok(list.data.data.calls.some(({ id }) => id === CALL_ID));

const read = await getCall(CALL_ID, options);
assert.ok(read.status === 200);
const summary: string | null = read.data.data.summary;
assert.equal(summary, null);
assert.equal(read.data.data.liveRoomStatus?.participants[0]?.identity, 'phone');

const cancelled = await cancelCall(CALL_ID, { reason: 'by orval' }, options);
assert.ok(cancelled.status === 200);
assert.equal(cancelled.data.data.status, 'cancelled');
const again = await cancelCall(CALL_ID, undefined, options);
assert.ok(again.status === 400);
assert.equal(again.data.error.message, 'Cannot cancel call with status: cancelled');
