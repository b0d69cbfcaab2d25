import { dialOut, type OutboundCall } from '../../src/emulator/phone-call.ts';
import { operatorCancels, register } from './clients.ts';
import { SimulatedParticipant } from './simulated-participant.ts';
import type { World } from './world.ts';

/* Scenarios with more than two parties. When one leaves, the others continue to talk. */

/** Longer than every grace period. */
const LONG_TALK_MS = 120_000;
const NEVER_BACK = { whenDeleted: 0, whenCutOff: 0 };
const AGENT_RETURNS = { whenDeleted: 0.1, whenCutOff: 0.5 };
const BROKEN = ['CONNECTION_TIMEOUT', 'SIGNAL_CLOSE', 'SERVER_SHUTDOWN'];

const anAgent = (world: World, roomName: string) =>
  new SimulatedParticipant(world, roomName, { identity: 'agent', kind: 'AGENT' }, AGENT_RETURNS);

function dialPhone(world: World, roomName: string, identity: string): OutboundCall {
  world.eventLog.record(roomName, `${identity}: dialled`);
  return dialOut(world.livekit.rooms, roomName, { identity, phoneNumber: '+15550100001' });
}

/** Lets the phone ring, then answers it. */
async function answers(world: World, roomName: string, phone: OutboundCall): Promise<void> {
  const { prng, virtualClock, eventLog } = world;
  await virtualClock.sleep(prng.between(50, 2_000));
  phone.ring();
  await virtualClock.sleep(prng.around(3_000));
  eventLog.record(roomName, `${phone.identity}: answers`);
  phone.answer();
}

/** Two phones talk. One hangs up; the other hangs up too, or hangup ends its call. */
async function twoPhonesTalk(
  world: World,
  roomName: string,
  phones: readonly [OutboundCall, OutboundCall],
): Promise<void> {
  const { prng, virtualClock, eventLog } = world;
  await virtualClock.sleep(prng.between(0, LONG_TALK_MS));
  const [first, second] = prng.happens(0.5) ? phones : [phones[1], phones[0]];
  eventLog.record(roomName, `${first.identity}: hangs up`);
  first.hangUp();
  if (prng.happens(0.5)) return;
  await virtualClock.sleep(prng.between(0, 60_000));
  eventLog.record(roomName, `${second.identity}: hangs up too`);
  second.hangUp();
}

async function beginsWithAgent(world: World, id: string) {
  const { prng, virtualClock } = world;
  if (!(await register(world, { id, roomName: id }))) return null;
  const cancels = prng.happens(0.15) ? operatorCancels(world, id, prng.between(0, 150_000)) : null;
  const agent = anAgent(world, id);
  agent.join();
  await virtualClock.sleep(prng.between(0, 1_000));
  agent.publishAudio();
  return { agent, cancels };
}

/** The agent dials a colleague and leaves. The caller and the colleague continue to talk. */
export async function warmTransfer(world: World, id: string): Promise<void> {
  const { prng, virtualClock } = world;
  const begun = await beginsWithAgent(world, id);
  if (begun === null) return;
  const { agent, cancels } = begun;
  const caller = dialPhone(world, id, 'caller');
  await answers(world, id, caller);
  await virtualClock.sleep(prng.around(10_000));
  const colleague = dialPhone(world, id, 'colleague');
  if (prng.happens(0.2)) {
    await virtualClock.sleep(prng.between(50, 2_000));
    colleague.ring();
    await virtualClock.sleep(prng.around(3_000));
    world.eventLog.record(id, 'colleague: busy');
    colleague.busy();
    await virtualClock.sleep(prng.around(5_000));
    caller.hangUp();
    agent.leave();
    await cancels;
    return;
  }
  // Some agents leave while the colleague's phone rings.
  const leavesEarly = prng.happens(0.3);
  if (leavesEarly) agent.leave();
  await answers(world, id, colleague);
  await virtualClock.sleep(prng.around(5_000));
  if (!leavesEarly) {
    if (prng.happens(0.3)) agent.lose(prng.of(BROKEN));
    agent.leave();
  }
  await twoPhonesTalk(world, id, [caller, colleague]);
  await cancels;
}

/** A person takes over a phone call from the agent. */
export async function takeover(world: World, id: string): Promise<void> {
  const { prng, virtualClock, eventLog } = world;
  const begun = await beginsWithAgent(world, id);
  if (begun === null) return;
  const { agent, cancels } = begun;
  const caller = dialPhone(world, id, 'caller');
  await answers(world, id, caller);
  const supervisor = new SimulatedParticipant(world, id, { identity: 'supervisor' }, NEVER_BACK);
  const listener = new SimulatedParticipant(
    world,
    id,
    { identity: 'listener', permission: { hidden: true, canPublish: false } },
    NEVER_BACK,
  );
  if (prng.happens(0.3)) listener.join();
  await virtualClock.sleep(prng.around(10_000));
  supervisor.join();
  supervisor.publishAudio();
  await virtualClock.sleep(prng.between(0, 5_000));
  agent.leave();
  await virtualClock.sleep(prng.between(0, LONG_TALK_MS));
  if (prng.happens(0.5)) {
    eventLog.record(id, 'caller: hangs up');
    caller.hangUp();
    await virtualClock.sleep(prng.between(0, 5_000));
    supervisor.leave();
  } else {
    // The caller is alone, so hangup hangs up.
    supervisor.leave();
  }
  await virtualClock.sleep(prng.between(0, 60_000));
  listener.leave();
  await cancels;
}

/** The agent dials several phones at once. The first phone that answers gets the call. */
export async function huntGroup(world: World, id: string): Promise<void> {
  const { prng, virtualClock, eventLog } = world;
  const begun = await beginsWithAgent(world, id);
  if (begun === null) return;
  const { agent, cancels } = begun;
  const phones = Array.from({ length: prng.between(2, 4) }, (_, i) => dialPhone(world, id, `phone-${i}`));
  await virtualClock.sleep(prng.between(50, 2_000));
  for (const phone of phones) phone.ring();
  const taker = prng.happens(0.85) ? prng.of(phones) : null;
  for (const phone of phones.filter((other) => other !== taker)) {
    if (prng.happens(0.5)) continue;
    await virtualClock.sleep(prng.around(1_000));
    eventLog.record(id, `${phone.identity}: busy`);
    phone.busy();
  }
  await virtualClock.sleep(prng.around(3_000));
  if (taker !== null) {
    eventLog.record(id, `${taker.identity}: answers`);
    taker.answer();
  }
  // The dialler hangs up the other phones.
  for (const phone of phones.filter((other) => other !== taker)) phone.leave('CLIENT_INITIATED');
  if (taker !== null) {
    await virtualClock.sleep(prng.around(20_000));
    eventLog.record(id, `${taker.identity}: hangs up`);
    taker.hangUp();
  }
  await virtualClock.sleep(prng.between(0, 5_000));
  agent.leave();
  await cancels;
}

/** Two people talk. A note-taking bot loses its connection, and they continue to talk. */
export async function noteTaker(world: World, id: string): Promise<void> {
  const { prng, virtualClock } = world;
  if (!(await register(world, { id, roomName: id }))) return;
  const cancels = prng.happens(0.15) ? operatorCancels(world, id, prng.between(0, 150_000)) : null;
  const joining = prng.happens(0.5)
    ? ({ identity: 'notes', kind: 'AGENT' } as const)
    : ({ identity: 'notes', permission: { agent: true } } as const);
  const notes = new SimulatedParticipant(world, id, joining, NEVER_BACK);
  const returns = { whenDeleted: 0.2, whenCutOff: 0.8 };
  const people = ['alice', 'bob'].map(
    (identity) => new SimulatedParticipant(world, id, { identity }, returns),
  );
  for (const participant of prng.happens(0.5) ? [notes, ...people] : [...people, notes]) {
    participant.join();
    await virtualClock.sleep(prng.between(0, 2_000));
    participant.publishAudio();
  }
  await virtualClock.sleep(prng.around(10_000));
  notes.lose(prng.of(BROKEN));
  notes.leave();
  await virtualClock.sleep(prng.between(0, LONG_TALK_MS));
  for (const person of people) {
    // A reloaded page leaves and rejoins.
    if (prng.happens(0.3)) person.lose('CLIENT_INITIATED');
    await virtualClock.sleep(prng.between(0, 10_000));
    person.leave();
  }
  await cancels;
}
