/* Cancels a call, and repeats a failed request three times. The client chooses the requests that are safe to repeat. */
import { run } from './run.js';

await run(
  'retry.js CALL_ID',
  async (hangup, callId) => {
    // With the same key, a second run of this command repeats the cancel of the first run, and gets its result.
    const idempotencyKey = `cancel-${callId}`;
    await hangup.calls.cancel(callId, { reason: 'caller request' }, { idempotencyKey });
    console.log(`Call ${callId} is cancelled.`);
  },
  {
    timeoutMs: 60_000,
    maxAttempts: 4,
    onRetry: ({ attempt, error }) => console.error(`Attempt ${attempt} failed. ${error.message}`),
  },
);
