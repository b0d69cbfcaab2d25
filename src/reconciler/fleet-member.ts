import {
  divisorInUse,
  HEARTBEAT_TTL_MS,
  type Heartbeat,
  heldFence,
  type Membership,
  nextHeartbeatInMs,
  PASSES,
  type Pass,
  ratePart,
  wantedPasses,
} from '../domain/fleet.ts';
import type { Timestamp } from '../domain/time.ts';
import type { FleetStore } from '../ports/fleet-store.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { Clock, Logger } from '../ports/system.ts';
import { createLoop } from './loop.ts';
import type { Scheduler } from './scheduler.ts';

/** The membership of this process in the fleet. */
export interface FleetMember {
  /** Sends heartbeats until `leave`. */
  start(): void;
  /** Sends a heartbeat now. */
  heartbeat(): void;
  /** Whether this process may run the pass now. */
  holds(pass: Pass): boolean;
  /** Returns a signal that aborts when this process loses the pass. Aborted if the process does not hold the pass. */
  signalOf(pass: Pass): AbortSignal;
  /** Releases all passes, and remains a member. Call this when no pass is running. */
  release(): Promise<void>;
  /** Ends the membership. */
  leave(): Promise<void>;
}

/**
 * Creates the membership of this process. Failed heartbeats are logged and retried.
 * @param memberId unique for each start of a process
 * @param unreachableSince returns since when LiveKit does not respond to this process; null if LiveKit responds
 * @param onGained is called when this process may run a pass. `isTakeover`: another process ran the pass before
 * @param onRatePart receives the part of LiveKit's rate limit for this process, from 0 to 1
 */
export function createFleetMember({
  memberId,
  store,
  clock,
  scheduler,
  log,
  metrics,
  unreachableSince,
  onGained,
  onRatePart,
}: {
  memberId: string;
  store: FleetStore;
  clock: Clock;
  scheduler: Scheduler;
  log: Logger;
  metrics: Pick<Metrics, 'fleetChanged'>;
  unreachableSince: () => Timestamp | null;
  onGained: (pass: Pass, gained: { isTakeover: boolean }) => void;
  onRatePart: (part: number) => void;
}): FleetMember {
  const leaving = new AbortController();
  const loop = createLoop('fleet', sendHeartbeat, { log, signal: leaving.signal });
  let isStarted = false;
  let isStopping = false;
  let joinedAt: Timestamp | null = null;
  let membership: Membership | null = null;
  let wanted: readonly Pass[] = [];
  const held = new Map<Pass, { readonly fence: number; readonly lost: AbortController }>();
  const lastFences = new Map<Pass, number>();
  let cancelHeartbeat = () => {};
  let cancelExpiry = () => {};

  async function sendHeartbeat(): Promise<void> {
    cancelHeartbeat();
    const sentAt = clock.now();
    wanted = wantedPasses({ isStopping, unreachableSince: unreachableSince() }, sentAt);
    const command = { memberId, wanted, rateDivisor: divisorInUse(membership, sentAt) };
    // From the time of the request, and independent of the clock, which can be set back.
    const cancelOwnExpiry = scheduler.after(HEARTBEAT_TTL_MS, expire);
    let heartbeat: Heartbeat | null = null;
    try {
      heartbeat = await store.heartbeat(command);
      membership = { sentAt, heartbeat };
      joinedAt ??= sentAt;
      cancelExpiry();
      cancelExpiry = cancelOwnExpiry;
    } finally {
      if (heartbeat === null) cancelOwnExpiry();
      update();
      cancelHeartbeat = scheduler.after(nextHeartbeatInMs(heartbeat, command), loop.trigger);
    }
  }

  function expire(): void {
    membership = null;
    update();
  }

  /** Compares the passes that this process may run with the passes that it runs. */
  function update(): void {
    const now = clock.now();
    for (const pass of PASSES) {
      const fence = heldFence(membership, pass, now);
      const current = held.get(pass);
      if (fence === (current?.fence ?? null)) continue;
      if (current !== undefined) lose(pass, current.lost);
      if (fence !== null) gain(pass, fence, now);
    }
    onRatePart(ratePart(membership, now));
    metrics.fleetChanged({ members: membership?.heartbeat.members ?? 0, passes: [...held.keys()] });
  }

  function lose(pass: Pass, lost: AbortController): void {
    held.delete(pass);
    lost.abort();
    if (wanted.includes(pass)) {
      log.warn({ pass }, 'this process stopped a background pass, because its heartbeat was late');
    }
  }

  function gain(pass: Pass, fence: number, now: Timestamp): void {
    const lastFence = lastFences.get(pass);
    const hasWaited = joinedAt !== null && now - joinedAt > HEARTBEAT_TTL_MS;
    const isTakeover = lastFence === undefined ? hasWaited : lastFence !== fence;
    held.set(pass, { fence, lost: new AbortController() });
    lastFences.set(pass, fence);
    if (isTakeover) log.info({ pass, fence }, 'this process took over a background pass');
    onGained(pass, { isTakeover });
  }

  function holds(pass: Pass): boolean {
    if (!held.has(pass)) return false;
    if (heldFence(membership, pass, clock.now()) !== null) return true;
    // The clock was set, or the process was suspended.
    update();
    loop.trigger();
    return false;
  }

  return {
    start() {
      isStarted = true;
      loop.trigger();
    },
    heartbeat() {
      if (isStarted) loop.trigger();
    },
    holds,
    signalOf: (pass) => held.get(pass)?.lost.signal ?? AbortSignal.abort(),
    async release() {
      isStopping = true;
      if (isStarted) loop.trigger();
      await loop.idle();
    },
    async leave() {
      leaving.abort();
      cancelHeartbeat();
      cancelExpiry();
      await loop.idle();
      cancelHeartbeat();
      cancelExpiry();
      membership = null;
      update();
      if (!isStarted) return;
      try {
        await store.leaveFleet({ memberId });
      } catch (error) {
        log.warn({ err: error }, 'cannot leave the fleet; the last heartbeat expires within 8 s');
      }
    },
  };
}
