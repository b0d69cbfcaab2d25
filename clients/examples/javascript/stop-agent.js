/* Cancels all live calls of an agent, and waits until the last room is gone. */
import { run } from './run.js';

await run('stop-agent.js AGENT_ID REASON', async (hangup, agentId, reason) => {
  const input = { filter: { agentId }, reason };
  const { matched } = await hangup.cancellations.preview(input);
  console.log(`Matching live calls: ${matched.total}`);
  if (matched.total === 0) return;
  // If more calls match by now, hangup refuses the request.
  const { id } = await hangup.cancellations.create({ ...input, expectedAtMost: matched.total });
  const { counts } = await hangup.cancellations.wait(id, {
    onProgress: ({ counts: { rooms } }) => console.error(`Rooms to delete: ${rooms.pending}`),
  });
  console.log(`Cancelled calls: ${counts.cancelled}`);
  if (counts.rooms.discarded > 0) {
    console.error(`Rooms that may still exist: ${counts.rooms.discarded}`);
    process.exitCode = 1;
  }
});
