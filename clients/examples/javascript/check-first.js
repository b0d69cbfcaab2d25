/* Reads a call, and cancels the call only if it is live. */
import { run } from './run.js';

await run('check-first.js CALL_ID', async (hangup, callId) => {
  const { status, endedAt } = await hangup.calls.get(callId);
  if (endedAt !== null) {
    console.log(`Call ${callId} has already ended: ${status}.`);
    return;
  }
  console.log(`Call ${callId} is live: ${status}.`);
  // The call can end between the requests. This request then fails, and changes nothing.
  await hangup.calls.cancel(callId, { reason: 'caller request' });
  console.log(`Call ${callId} is cancelled.`);
});
