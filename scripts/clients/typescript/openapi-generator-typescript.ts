import assert from 'node:assert/strict';
import { isAxiosError } from 'axios';
import { CallStatus, CallsApi, Configuration, type ErrorResponse } from './generated/openapi-generator';

const { HANGUP_URL, HANGUP_API_KEY = '', CALL_ID = '' } = process.env;
const calls = new CallsApi(new Configuration({ basePath: `${HANGUP_URL}/api/v1`, apiKey: HANGUP_API_KEY }));

const created = await calls.createCall({
  id: CALL_ID,
  phoneNumber: '+15551234567',
  metadata: { by: 'openapi-generator-typescript' },
});
assert.equal(created.data.data.direction, 'outbound');

const list = await calls.listCalls(
  undefined,
  [CallStatus.Initiated, CallStatus.Connecting, CallStatus.Active],
  undefined,
  '+15551234567',
);
assert.ok(list.data.data.calls.some(({ id }) => id === CALL_ID));

const { data: read } = await calls.getCall(CALL_ID);
const summary: string | null = read.data.summary;
assert.equal(summary, null);
assert.equal(read.data.liveRoomStatus?.participants[0]?.identity, 'phone');

const cancelled = await calls.cancelCall(CALL_ID, undefined, 'by openapi-generator-typescript');
assert.equal(cancelled.data.data.status, 'cancelled');
const again: unknown = await calls.cancelCall(CALL_ID).catch((error: unknown) => error);
assert.ok(isAxiosError<ErrorResponse>(again));
assert.equal(again.response?.data.error.message, 'Cannot cancel call with status: cancelled');
