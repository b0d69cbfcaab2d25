import { dialOut, receiveCall } from '../../src/emulator/phone-call.ts';
import { operatorCancels, RECEPTIONIST, readCall, register } from './clients.ts';
import { callerOfSharedRoom, PREFIX, SECOND_PREFIX } from './shared-rooms.ts';
import { SimulatedParticipant } from './simulated-participant.ts';
import { huntGroup, noteTaker, takeover, warmTransfer } from './transfers.ts';
import type { World } from './world.ts';

const LONGEST_SCHEDULE_MS = 300_000;
const BROKEN = ['CONNECTION_TIMEOUT', 'SIGNAL_CLOSE', 'STATE_MISMATCH', 'MEDIA_FAILURE', 'SERVER_SHUTDOWN'];

const KINDS = {
  talk: 30,
  outbound: 20,
  inbound: 15,
  neverPlaced: 3,
  registeredLate: 3,
  foreign: 2,
  warmTransfer: 7,
  takeover: 5,
  huntGroup: 5,
  noteTaker: 5,
  sharedRoom: 10,
};

/** Plays one call: its agent, its people and its operator. Resolves when all of them are finished. */
export async function runScenario(world: World, id: string): Promise<void> {
  const kind = world.prng.among(KINDS);
  world.eventLog.count(`scenario: ${kind}`);
  switch (kind) {
    case 'talk':
      return talk(world, id);
    case 'outbound':
      return outbound(world, id);
    case 'inbound':
      return inbound(world);
    case 'neverPlaced':
      return neverPlaced(world, id);
    case 'registeredLate':
      return registeredLate(world, id);
    case 'foreign':
      return conversation(world, `foreign_${id}`, null);
    case 'warmTransfer':
      return warmTransfer(world, id);
    case 'takeover':
      return takeover(world, id);
    case 'huntGroup':
      return huntGroup(world, id);
    case 'noteTaker':
      return noteTaker(world, id);
    case 'sharedRoom':
      return callerOfSharedRoom(world);
  }
}

async function talk(world: World, id: string): Promise<void> {
  const { prng, virtualClock } = world;
  const isEndless = prng.happens(0.02);
  if (!(await register(world, { id, roomName: id }))) return;
  if (isEndless) {
    goOnForEver(world, id);
    return;
  }
  const cancels = prng.happens(0.3) ? operatorCancels(world, id, prng.between(0, 60_000)) : null;
  await virtualClock.sleep(prng.between(0, 5_000));
  await conversation(world, id, id);
  await cancels;
  if (prng.happens(0.1)) await useRoomAgain(world, `${id}-again`, id);
}

/** Reuses a room name. hangup allows this once the deletion of the earlier call's room is complete. */
async function useRoomAgain(world: World, id: string, roomName: string): Promise<void> {
  await world.virtualClock.sleep(world.prng.between(0, 40_000));
  if (!(await register(world, { id, roomName }))) return;
  world.eventLog.count('a room name is used again');
  const cancels = world.prng.happens(0.3) ? operatorCancels(world, id, world.prng.between(0, 30_000)) : null;
  await conversation(world, roomName, id);
  await cancels;
}

async function registeredLate(world: World, id: string): Promise<void> {
  const { prng, virtualClock } = world;
  const registered = virtualClock.sleep(prng.between(100, 10_000)).then(async () => {
    if ((await register(world, { id, roomName: id })) && prng.happens(0.3))
      await operatorCancels(world, id, 5_000);
  });
  await conversation(world, id, null);
  await registered;
}

async function neverPlaced(world: World, id: string): Promise<void> {
  const { prng } = world;
  const scheduledAt = prng.happens(0.5)
    ? world.virtualClock.now + prng.between(0, LONGEST_SCHEDULE_MS)
    : null;
  if (!(await register(world, { id, roomName: id, scheduledAt }))) return;
  if (prng.happens(0.3)) await operatorCancels(world, id, prng.between(0, 60_000));
}

/** An agent and a person talk. @param callId null: the call is not registered (yet) */
async function conversation(world: World, roomName: string, callId: string | null): Promise<void> {
  const { prng, virtualClock, livekit, eventLog } = world;
  const agent = new SimulatedParticipant(
    world,
    roomName,
    { identity: 'agent', kind: 'AGENT' },
    { whenDeleted: 0.15, whenCutOff: 0.7 },
  );
  const human = new SimulatedParticipant(
    world,
    roomName,
    { identity: 'human' },
    { whenDeleted: 0.3, whenCutOff: 0.7 },
  );
  const joining = prng.among({ both: 90, agentOnly: 5, humanOnly: 5 });
  const arrivals = (prng.happens(0.5) ? [agent, human] : [human, agent]).filter(
    (person) => joining === 'both' || person === (joining === 'agentOnly' ? agent : human),
  );
  for (const person of arrivals) {
    person.join();
    await virtualClock.sleep(prng.between(0, 2_000));
    person.publishAudio();
  }
  if (prng.happens(0.1)) void readCall(world, callId ?? roomName);
  await virtualClock.sleep(prng.around(20_000));
  const end = prng.among({
    humanLeaves: 40,
    agentLeaves: 25,
    humanBreaks: 15,
    agentBreaks: 5,
    roomDeleted: 10,
    stays: 5,
  });
  switch (end) {
    case 'humanLeaves':
      human.leave();
      break;
    case 'agentLeaves':
      agent.leave();
      await virtualClock.sleep(prng.between(0, 60_000));
      break;
    case 'humanBreaks':
      human.lose(prng.of(BROKEN));
      await virtualClock.sleep(prng.between(0, 60_000));
      break;
    case 'agentBreaks':
      agent.lose(prng.of(BROKEN));
      await virtualClock.sleep(prng.between(0, 60_000));
      break;
    case 'roomDeleted':
      // The code of an agent may delete the room.
      eventLog.record(roomName, 'the agent deletes the room');
      livekit.rooms.deleteRoom(roomName);
      break;
    case 'stays':
      await virtualClock.sleep(prng.between(0, 240_000));
  }
  // Some people never leave. Only hangup can disconnect them, after the call ended.
  if (prng.happens(0.05)) eventLog.record(roomName, 'human never leaves');
  else human.leave();
  await virtualClock.sleep(prng.between(0, 5_000));
  agent.leave();
}

/** Starts a call that nobody ends. hangup must not end it either. */
function goOnForEver(world: World, id: string): void {
  const returns = { whenDeleted: 1, whenCutOff: 1 };
  const people = [
    new SimulatedParticipant(world, id, { identity: 'agent', kind: 'AGENT' }, returns),
    new SimulatedParticipant(world, id, { identity: 'human' }, returns),
  ];
  world.eventLog.record(id, 'this call never ends');
  world.endless.set(id, { roomName: id, people });
  for (const person of people) {
    person.join();
    person.publishAudio();
    // A cancellation may have ended the call while the response to its registration was lost.
    if (world.endedAt.has(id)) person.stopReturning();
  }
}

async function outbound(world: World, id: string): Promise<void> {
  const { prng, virtualClock, eventLog, livekit } = world;
  if (!(await register(world, { id, roomName: id }))) return;
  const cancels = prng.happens(0.35) ? operatorCancels(world, id, prng.between(0, 30_000)) : null;
  const agent = new SimulatedParticipant(
    world,
    id,
    { identity: 'agent', kind: 'AGENT' },
    { whenDeleted: 0.15, whenCutOff: 0.7 },
  );
  if (prng.happens(0.9)) {
    agent.join();
    await virtualClock.sleep(prng.between(0, 1_000));
    agent.publishAudio();
  }
  const phone = dialOut(livekit.rooms, id, {
    phoneNumber: '+15550100001',
    isTrunkListening: prng.happens(0.9),
  });
  const record = (action: string) => eventLog.record(id, `phone: ${action}`);
  record('dialled');
  await virtualClock.sleep(prng.between(50, 2_000));
  if (prng.happens(0.8)) {
    record('rings');
    phone.ring();
  }
  await virtualClock.sleep(prng.around(4_000));
  const end = prng.among({
    answer: 60,
    busy: 8,
    decline: 8,
    unavailable: 6,
    timeOut: 8,
    unreachable: 4,
    breaks: 6,
  });
  record(end);
  switch (end) {
    case 'answer':
      phone.answer();
      await phoneTalk(world, id, { agent, phone });
      break;
    case 'breaks':
      phone.leave(prng.of(BROKEN));
      break;
    default:
      phone[end]();
  }
  await virtualClock.sleep(prng.between(0, 5_000));
  agent.leave();
  await cancels;
}

async function inbound(world: World): Promise<void> {
  const { prng, virtualClock, eventLog, livekit } = world;
  const phone = receiveCall(livekit.rooms, {
    prefix: prng.happens(0.3) ? SECOND_PREFIX : PREFIX,
    callerNumber: `+1555${prng.between(1_000_000, 9_999_999)}`,
    calledNumber: '+15550100002',
    roomMetadata: JSON.stringify({ agentId: RECEPTIONIST }),
  });
  const { roomName } = phone;
  eventLog.record(roomName, 'phone: calls in');
  const cancels = prng.happens(0.25) ? operatorCancels(world, null, prng.between(0, 30_000), roomName) : null;
  const agent = new SimulatedParticipant(
    world,
    roomName,
    { identity: 'agent', kind: 'AGENT' },
    { whenDeleted: 0.15, whenCutOff: 0.7 },
  );
  await virtualClock.sleep(prng.between(100, 3_000));
  if (prng.happens(0.9)) {
    agent.join();
    await virtualClock.sleep(prng.between(0, 1_000));
    agent.publishAudio();
  }
  await phoneTalk(world, roomName, { agent, phone });
  await virtualClock.sleep(prng.between(0, 5_000));
  agent.leave();
  await cancels;
}

async function phoneTalk(
  { prng, virtualClock, eventLog }: World,
  roomName: string,
  { agent, phone }: { agent: SimulatedParticipant; phone: { hangUp(): void; leave(reason: string): void } },
): Promise<void> {
  await virtualClock.sleep(prng.around(15_000));
  const end = prng.among({ hangUp: 60, agentLeaves: 25, breaks: 15 });
  if (end === 'agentLeaves') {
    agent.leave();
    // After its grace period of 30 s, hangup hangs up the phone.
    await virtualClock.sleep(prng.between(0, 120_000));
  }
  eventLog.record(roomName, `phone: ${end === 'breaks' ? 'breaks' : 'hangs up'}`);
  if (end === 'breaks') phone.leave(prng.of(BROKEN));
  else phone.hangUp();
}
