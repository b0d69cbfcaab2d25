import type { ApiKey } from '../../src/domain/api-key.ts';
import { LIVE_STATUSES } from '../../src/domain/call-status.ts';
import type { CallFilter, Cancellation, CancellationSelector } from '../../src/domain/cancellation.ts';
import { createCancellation } from '../../src/operations/cancellations/create.ts';
import { getCancellation } from '../../src/operations/cancellations/get.ts';
import { liftHold } from '../../src/operations/cancellations/lift-hold.ts';
import { listCancellations } from '../../src/operations/cancellations/list.ts';
import { AGENTS, PHONE_NUMBERS, RECEPTIONIST } from './clients.ts';
import { InvariantViolation } from './event-log.ts';
import { anyHangup, type World } from './world.ts';

/* Operators who cancel many calls at once, and lift holds. */

/** A reason with this end has an Idempotency-Key: repeated requests start one cancellation. */
export const ONCE = 'once';

const ATTEMPTS = 20;
const POLLS = 30;

/** Starts cancellations until `isEnough`. Resolves when the operators are finished. */
export async function operateStops(world: World, isEnough: () => boolean): Promise<void> {
  const { prng, virtualClock } = world;
  const failed = (error: unknown) => world.fail(error instanceof Error ? error : new Error(String(error)));
  const operators: Promise<void>[] = [];
  for (let number = 0; !isEnough(); number += 1) {
    await virtualClock.sleep(prng.around(20_000));
    operators.push(stopCalls(world, `stop ${number}`).catch(failed));
  }
  await Promise.all(operators);
}

/** One operator: a preview, a cancellation, a look at its progress, and the end of its hold. */
async function stopCalls(world: World, reason: string): Promise<void> {
  const { prng } = world;
  const apiKey = prng.of(world.apiKeys);
  const selector = randomSelector(world, apiKey);
  const hasHold = !('callIds' in selector) && prng.happens(0.5);
  if (prng.happens(0.2)) await post(world, { apiKey, selector, reason, hasHold, isDryRun: true });
  const started = await post(world, { apiKey, selector, reason, hasHold, isDryRun: false });
  if (started === null) return;
  const { id } = started;
  // The hold of one agent may stay.
  const isNarrow = 'filter' in selector && selector.filter.agentId !== undefined;
  const isLifted = hasHold && !(isNarrow && prng.happens(0.1));
  await Promise.all([
    followProgress(world, { id, apiKey }),
    isLifted ? endHold(world, { id, apiKey, isNarrow }) : null,
  ]);
}

async function endHold(
  world: World,
  { isNarrow, ...hold }: { id: string; apiKey: ApiKey; isNarrow: boolean },
): Promise<void> {
  const { prng, virtualClock } = world;
  await virtualClock.sleep(prng.around(isNarrow ? 15_000 : 3_000));
  await lift(world, hold);
  if (prng.happens(0.2)) await lift(world, hold);
}

function randomSelector(world: World, { organizationId }: ApiKey): CancellationSelector {
  const { prng, database, virtualClock } = world;
  const kind = prng.among({
    agent: 30,
    phone: 15,
    status: 15,
    direction: 6,
    recent: 6,
    mixed: 10,
    ids: 25,
    all: 6,
  });
  const filter = (values: CallFilter) => ({ filter: values });
  const agentId = prng.of([...AGENTS, RECEPTIONIST]);
  const status = prng.of([
    ['initiated'],
    ['ringing'],
    ['initiated', 'connecting', 'ringing'],
    ['connecting'],
  ] as const);
  switch (kind) {
    case 'agent':
      return filter({ agentId });
    case 'phone':
      return filter({ phoneNumber: prng.of(PHONE_NUMBERS) });
    case 'status':
      return filter({ status });
    case 'direction':
      return filter({ direction: prng.of(['inbound', 'outbound']), status });
    case 'recent':
      return filter({ from: virtualClock.now - 5_000, to: virtualClock.now + 10_000 });
    case 'mixed':
      return filter({ agentId, status: prng.happens(0.5) ? LIVE_STATUSES : ['active'] });
    case 'all':
      return { all: true };
    case 'ids': {
      // Live and ended calls of both organizations, unknown ids, and ids that are registered later.
      const all = database.all();
      const live = database.liveOf(organizationId);
      const ids = Array.from({ length: prng.between(1, 12) }, (_, index) => {
        const call = prng.happens(0.5) ? live.at(-index) : all.at(-prng.between(1, 200));
        if (call !== undefined && prng.happens(0.9)) return call.id;
        return prng.happens(0.5) ? `unknown-${index}` : `c${prng.between(0, all.length + 10)}`;
      });
      return { callIds: [...new Set(ids)] };
    }
  }
}

interface Post {
  readonly apiKey: ApiKey;
  readonly selector: CancellationSelector;
  readonly reason: string;
  readonly hasHold: boolean;
  readonly isDryRun: boolean;
}

/** Sends the POST until its outcome is known. Returns null without a cancellation. */
async function post(world: World, { apiKey, reason: why, ...input }: Post): Promise<Cancellation | null> {
  const { prng, virtualClock, eventLog } = world;
  const hasKey = !input.isDryRun && prng.happens(0.5);
  const reason = hasKey ? `${why} ${ONCE}` : why;
  const expectedAtMost = prng.happens(0.25) ? prng.between(0, 4) : null;
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const reply = await anyHangup(world).request((dependencies) =>
      createCancellation(dependencies, {
        ...input,
        apiKey,
        reason,
        expectedAtMost,
        idempotencyKey: hasKey ? reason : null,
        markReplayed: () => eventLog.count('POST of a cancellation: replayed'),
      }),
    );
    eventLog.recordForAllRooms(`POST of a cancellation, ${reason}: ${reply.kind}`);
    // A proxy loses some responses.
    const isLost = prng.happens(0.15);
    if (!isLost && reply.kind === 'refused') return null;
    if (!isLost && reply.kind === 'done')
      return reply.value.kind === 'created' ? reply.value.cancellation : null;
    await virtualClock.sleep(prng.between(500, 5_000));
    const started = input.isDryRun || hasKey ? null : await findByReason(world, { apiKey, reason });
    if (started !== null) return started;
  }
  return null;
}

/** Looks for the cancellation of a POST without a response. */
async function findByReason(
  world: World,
  { apiKey, reason }: { apiKey: ApiKey; reason: string },
): Promise<Cancellation | null> {
  const reply = await anyHangup(world).request((dependencies) =>
    listCancellations(dependencies, { apiKey, limit: 20, after: null }),
  );
  if (reply.kind !== 'done') return null;
  return reply.value.cancellations.find((cancellation) => cancellation.reason === reason) ?? null;
}

/** Reads the cancellation until it is completed: what is recorded never becomes less. */
async function followProgress(world: World, { id, apiKey }: { id: string; apiKey: ApiKey }): Promise<void> {
  const { prng, virtualClock } = world;
  let cancelled = 0;
  for (let poll = 0; poll < POLLS; poll += 1) {
    await virtualClock.sleep(prng.between(100, 3_000));
    // The other organization has no such cancellation.
    const reader = prng.happens(0.1) ? prng.of(world.apiKeys) : apiKey;
    const isOwner = reader.organizationId === apiKey.organizationId;
    const reply = await anyHangup(world).request((dependencies) =>
      getCancellation(dependencies, { id, apiKey: reader }),
    );
    if (reply.kind === 'unknown') continue;
    if ((reply.kind === 'done') !== isOwner)
      throw new InvariantViolation(`GET of ${id} by ${reader.organizationId}: ${reply.kind}`);
    if (reply.kind !== 'done') continue;
    const { counts, state } = reply.value;
    const { deleted, pending, discarded } = counts.rooms;
    if (deleted + pending + discarded !== counts.cancelled || counts.cancelled < cancelled)
      throw new InvariantViolation(
        `GET of ${id}: ${JSON.stringify(counts)} after ${cancelled} cancelled calls`,
      );
    cancelled = counts.cancelled;
    if (state === 'completed') return;
  }
}

async function lift(world: World, { id, apiKey }: { id: string; apiKey: ApiKey }): Promise<void> {
  const { prng, virtualClock } = world;
  const idempotencyKey = prng.happens(0.5) ? `lift ${id}` : null;
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const reply = await anyHangup(world).request((dependencies) =>
      liftHold(dependencies, { id, apiKey, idempotencyKey, markReplayed: () => {} }),
    );
    if (reply.kind === 'refused')
      throw new InvariantViolation(`the hold of ${id} is not lifted: ${reply.error.message}`);
    if (reply.kind === 'done' && reply.value.hold?.state !== 'lifted')
      throw new InvariantViolation(`the hold of ${id} is ${reply.value.hold?.state} after its end`);
    if (reply.kind === 'done') return;
    await virtualClock.sleep(prng.between(500, 5_000));
  }
}
