/* Cancels a call, and handles each error separately. Exit code 75: the call may be live, run the command again. */
import { HangupError } from '@hangup/client';
import { run } from './run.js';

await run('handle-errors.js CALL_ID', async (hangup, callId) => {
  try {
    await hangup.calls.cancel(callId, { reason: 'caller request' });
    console.log(`Call ${callId} is cancelled.`);
  } catch (error) {
    if (!(error instanceof HangupError)) throw error;
    if (error.code === 'bad_request') {
      console.log(`Call ${callId} has already ended. ${error.message}`);
    } else if (error.code === 'not_found') {
      console.error(`No call has the id ${callId}.`);
      process.exitCode = 1;
    } else if (error.code === 'unauthorized' || error.code === 'forbidden') {
      console.error(`hangup refuses the key in HANGUP_API_KEY: ${error.message}`);
      process.exitCode = 1;
    } else if (error.isRetryable) {
      console.error(`Call ${callId} may be live. ${error.message}`);
      process.exitCode = 75;
    } else {
      // The log of hangup has the details under this id.
      console.error(`${error.message} (request ${error.requestId})`);
      process.exitCode = 1;
    }
  }
});
