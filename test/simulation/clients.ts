import { authorizeCall } from '../../src/operations/calls/authorize.ts';
import { cancelCall } from '../../src/operations/calls/cancel.ts';
import { createCall } from '../../src/operations/calls/create.ts';
import { getCall } from '../../src/operations/calls/get.ts';
import { InvariantViolation } from './event-log.ts';
import { anyHangup, keyOf, type World } from './world.ts';

/* Clients of hangup's API, without HTTP. */

const ATTEMPTS = 12;

/** The agents and the numbers of registered calls, in both organizations. */
export const AGENTS = ['agent-a', 'agent-b', 'agent-c', 'agent-d', 'agent-e', 'agent-f'];
export const PHONE_NUMBERS = ['+15550300001', '+15550300002', '+15550300003', '+15550300004'];
/** The agent of adopted calls. */
export const RECEPTIONIST = 'receptionist';

/** Registers a call, and retries while the outcome is unknown. @returns whether the call is registered */
export async function register(
  world: World,
  call: { id: string; roomName: string; scheduledAt?: number | null },
): Promise<boolean> {
  const { prng, virtualClock, eventLog } = world;
  const apiKey = keyOf(world, call.roomName);
  const agentId = prng.of(AGENTS);
  const phoneNumber = prng.happens(0.8) ? prng.of(PHONE_NUMBERS) : null;
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const reply = await anyHangup(world).request((dependencies) =>
      createCall(dependencies, {
        apiKey,
        idempotencyKey: null,
        markReplayed: () => {},
        registered: {
          ...UNKNOWN,
          ...call,
          agentId,
          phoneNumber,
          scheduledAt: call.scheduledAt ?? null,
          direction: 'outbound',
        },
      }),
    );
    const outcome = reply.kind === 'refused' ? reply.error.message : reply.kind;
    eventLog.record(call.roomName, `POST ${call.id}: ${outcome}`);
    if (reply.kind === 'done') return true;
    if (reply.kind === 'refused') {
      const isRegistered = reply.error.message === 'Call id is already taken';
      if (isRegistered) return true;
      if (attempt > 5) return false;
    }
    await virtualClock.sleep(prng.between(500, 5_000));
  }
  return false;
}

const UNKNOWN = {
  agentName: null,
  contactName: null,
  contactPhone: null,
  contactEmail: null,
  jobId: null,
  sipParticipantId: null,
  metadata: {},
};

/** Cancels a call, sometimes twice at once, and retries while the outcome is unknown. */
export async function operatorCancels(
  world: World,
  id: string | null,
  inMs: number,
  roomName = id ?? '',
): Promise<void> {
  const { prng, virtualClock, database } = world;
  await virtualClock.sleep(inMs);
  // The operator looks up the id of an adopted call.
  const callId = id ?? database.callsIn(roomName).at(-1)?.id;
  if (callId === undefined) return;
  const idempotencyKey = prng.happens(0.3) ? `key-${callId}` : null;
  const once = () => cancelUntilKnown(world, { callId, idempotencyKey });
  await Promise.all(prng.happens(0.15) ? [once(), once()] : [once()]);
}

async function cancelUntilKnown(
  world: World,
  { callId, idempotencyKey }: { callId: string; idempotencyKey: string | null },
): Promise<void> {
  const { prng, virtualClock, eventLog, database, apiKeys } = world;
  const owner = database.find(callId)?.organizationId;
  const apiKey = apiKeys.find(({ organizationId }) => organizationId === owner) ?? keyOf(world, callId);
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const reply = await anyHangup(world).request((dependencies) =>
      cancelCall(dependencies, {
        callId,
        apiKey,
        reason: 'simulated',
        idempotencyKey,
        markReplayed: () => eventLog.count('cancel: replayed'),
      }),
    );
    const call = database.find(callId);
    const outcome = reply.kind === 'refused' ? reply.error.message : reply.kind;
    if (call !== null) eventLog.record(call.roomName, `DELETE ${callId}: ${outcome}`);
    eventLog.count(`cancel: ${outcome}`);
    if (call?.status === 'cancelled' && reply.kind === 'done' && !database.hasDeletion(callId)) {
      throw new InvariantViolation(
        `call ${callId} is cancelled, and there is no deletion of its room`,
        call.roomName,
      );
    }
    if (reply.kind === 'done' && call?.status !== 'cancelled') {
      throw new InvariantViolation(
        `the cancel of ${callId} got 200, but the call is ${call?.status}`,
        call?.roomName,
      );
    }
    if (reply.kind !== 'unknown') {
      return;
    }
    await virtualClock.sleep(prng.between(500, 5_000));
  }
}

export async function readCall(world: World, callId: string): Promise<void> {
  const apiKey = keyOf(world, callId);
  await anyHangup(world).request(async (dependencies) =>
    getCall(dependencies, await authorizeCall(dependencies, { callId, apiKey, scope: 'calls:read' })),
  );
}
