/* Cancels a call. After exit code 0, the cancel is on disk, and hangup deletes the room. */
import { run } from './run.js';

await run('cancel.js CALL_ID REASON', async (hangup, callId, reason) => {
  await hangup.calls.cancel(callId, { reason });
  console.log(`Call ${callId} is cancelled.`);
});
