/* Cancels all outbound calls to a phone number that nobody has answered, scheduled calls included. */
import { run } from './run.js';

await run('cancel-by-criteria.js PHONE_NUMBER REASON', async (hangup, phoneNumber, reason) => {
  const { id } = await hangup.cancellations.create({
    filter: { phoneNumber, direction: 'outbound', status: ['initiated', 'connecting', 'ringing'] },
    reason,
  });
  const { counts } = await hangup.cancellations.wait(id);
  console.log(`Cancelled calls: ${counts.cancelled}`);
  for await (const call of hangup.calls.listAll({ cancellationId: id })) console.log(call.id);
});
