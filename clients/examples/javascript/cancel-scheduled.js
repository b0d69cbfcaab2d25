/* Cancels a scheduled call before its start. */
import { run } from './run.js';

await run('cancel-scheduled.js CALL_ID', async (hangup, callId) => {
  const { status, scheduledAt } = await hangup.calls.get(callId);
  if (status !== 'initiated' || scheduledAt === null) {
    console.error(`Call ${callId} does not wait for its start: ${status}.`);
    process.exitCode = 1;
    return;
  }
  await hangup.calls.cancel(callId, { reason: 'appointment moved' });
  console.log(`Call ${callId}, scheduled for ${scheduledAt}, is cancelled.`);
});
