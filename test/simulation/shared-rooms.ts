import { receiveCall } from '../../src/emulator/phone-call.ts';
import { operatorCancels } from './clients.ts';
import { SimulatedParticipant } from './simulated-participant.ts';
import type { World } from './world.ts';

/** Rooms with this prefix are adopted. LiveKit appends an underscore to the prefix. */
export const PREFIX = 'call-';
/** The longest prefix wins: these rooms are the second organization's. */
export const SECOND_PREFIX = 'call-second';

/** Few names, because callers must share rooms. */
const SHARED_ROOMS = [`${PREFIX}desk`, `${PREFIX}sales`, `${PREFIX}night`];
const CALLERS = ['+15557770001', '+15557770002', '+15557770003', '+15557770004'];

/** Plays one caller of a direct dispatch rule, which gives all callers the same room name. */
export async function callerOfSharedRoom(world: World): Promise<void> {
  const { prng, virtualClock, eventLog, livekit } = world;
  const roomName = prng.of(SHARED_ROOMS);
  const phone = receiveCall(livekit.rooms, {
    rule: 'direct',
    roomName,
    callerNumber: prng.of(CALLERS),
    calledNumber: '+15550100002',
  });
  eventLog.record(roomName, `${phone.identity} (${phone.sid}): calls in`);
  const cancels = prng.happens(0.2)
    ? operatorCancels(world, null, prng.between(500, 30_000), roomName)
    : null;
  const agent = new SimulatedParticipant(
    world,
    roomName,
    { identity: `agent of ${phone.sid}`, kind: 'AGENT' },
    { whenDeleted: 0.15, whenCutOff: 0.7 },
  );
  await virtualClock.sleep(prng.between(100, 3_000));
  if (prng.happens(0.9)) {
    agent.join();
    await virtualClock.sleep(prng.between(0, 1_000));
    agent.publishAudio();
  }
  await virtualClock.sleep(prng.around(15_000));
  if (prng.happens(0.25)) {
    agent.leave();
    // After its grace period of 30 s, hangup hangs up the phone.
    await virtualClock.sleep(prng.between(0, 120_000));
  }
  eventLog.record(roomName, `${phone.identity} (${phone.sid}): hangs up`);
  phone.hangUp();
  await virtualClock.sleep(prng.between(0, 5_000));
  agent.leave();
  await cancels;
}
