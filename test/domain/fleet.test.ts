import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  divisorInUse,
  type FleetSnapshot,
  HEARTBEAT_TTL_MS,
  heldFence,
  type Membership,
  nextHeartbeatInMs,
  onHeartbeat,
  PASSES,
  type Pass,
  ratePart,
  wantedPasses,
} from '../../src/domain/fleet.ts';

const NOW = 1_000_000;
const TTL = HEARTBEAT_TTL_MS;

/** The rows of a fleet, with a clock that a test sets. */
function startFleet() {
  let snapshot: FleetSnapshot = { members: [], leases: [], now: NOW };
  return {
    at(now: number) {
      snapshot = { ...snapshot, now };
    },
    leases: () => snapshot.leases,
    members: () => snapshot.members,
    beat(memberId: string, { wanted = PASSES, rateDivisor = null }: Partial<Beat> = {}) {
      const decision = onHeartbeat(snapshot, { memberId, wanted, rateDivisor });
      const kept = snapshot.members.filter(({ id }) => id !== memberId && !decision.expired.includes(id));
      const changed = decision.leases.map(({ pass }) => pass);
      snapshot = {
        ...snapshot,
        members: [...kept, decision.member],
        leases: [...snapshot.leases.filter(({ pass }) => !changed.includes(pass)), ...decision.leases],
      };
      return decision.heartbeat;
    },
    leave(memberId: string) {
      snapshot = {
        ...snapshot,
        members: snapshot.members.filter(({ id }) => id !== memberId),
        leases: snapshot.leases.map((lease) =>
          lease.holder === memberId ? { ...lease, holder: null } : lease,
        ),
      };
    },
  };
}

interface Beat {
  readonly wanted: readonly Pass[];
  readonly rateDivisor: number | null;
}

const both = (fence: number) => PASSES.map((pass) => ({ pass, fence }));

describe('the passes', () => {
  test('the first member gets all passes, and a second member none', () => {
    const { beat } = startFleet();
    expect(beat('a')).toMatchObject({ passes: both(1), members: 1, freeInMs: null });
    expect(beat('b')).toMatchObject({ passes: [], members: 2, freeInMs: TTL });
  });

  test('a heartbeat of the holder changes no lease', () => {
    const { at, beat, leases } = startFleet();
    beat('a');
    const before = leases();
    at(NOW + 2_500);
    expect(beat('a').passes).toEqual(both(1));
    expect(leases()).toEqual(before);
  });

  test('another member takes over when the last heartbeat of the holder expires, and not before', () => {
    const { at, beat, members } = startFleet();
    beat('a');
    at(NOW + TTL - 1);
    expect(beat('b')).toMatchObject({ passes: [], freeInMs: 1 });
    at(NOW + TTL);
    expect(beat('b')).toMatchObject({ passes: both(2), members: 1, freeInMs: null });
    expect(members().map(({ id }) => id)).toEqual(['b']);
    // The former holder is late, and learns from its heartbeat that it lost the passes.
    expect(beat('a')).toMatchObject({ passes: [], members: 2 });
  });

  test('a holder whose heartbeat expired keeps its leases if no other member took them', () => {
    const { at, beat } = startFleet();
    beat('a');
    at(NOW + 60_000);
    expect(beat('a').passes).toEqual(both(1));
  });

  test('a holder releases the passes that it does not want, and another member takes them at its next heartbeat', () => {
    const { at, beat } = startFleet();
    beat('a');
    at(NOW + 100);
    expect(beat('a', { wanted: ['pruning'] }).passes).toEqual([{ pass: 'pruning', fence: 1 }]);
    expect(beat('b').passes).toEqual([{ pass: 'reconciliation', fence: 2 }]);
    expect(beat('a').passes).toEqual([{ pass: 'pruning', fence: 1 }]);
  });

  test('a holder that leaves frees its passes at once', () => {
    const { beat, leave } = startFleet();
    beat('a');
    leave('a');
    expect(beat('b').passes).toEqual(both(2));
  });

  test('a heartbeat from a clock that was ahead does not keep the passes', () => {
    const { at, beat } = startFleet();
    beat('a');
    at(NOW - 3_600_000);
    expect(beat('b').passes).toEqual(both(2));
  });

  test('a heartbeat that was sent before that of the holder, and written after it, takes nothing over', () => {
    const { at, beat, members } = startFleet();
    at(NOW + 3_000);
    beat('a');
    at(NOW);
    expect(beat('b')).toMatchObject({ passes: [], members: 2 });
    expect(members()).toHaveLength(2);
  });
});

describe('the process', () => {
  const membership = (sentAt: number, fence = 1): Membership => ({
    sentAt,
    heartbeat: { passes: both(fence), rateDivisor: 2, members: 2, freeInMs: null },
  });

  test('a process may run its passes until its heartbeat expires, counted from the request', () => {
    expect(heldFence(membership(NOW), 'pruning', NOW)).toBe(1);
    expect(heldFence(membership(NOW), 'pruning', NOW + TTL - 1)).toBe(1);
    expect(heldFence(membership(NOW), 'pruning', NOW + TTL)).toBeNull();
    expect(heldFence(null, 'pruning', NOW)).toBeNull();
  });

  test('a process stops when its clock is set back', () => {
    expect(heldFence(membership(NOW), 'reconciliation', NOW - 1)).toBeNull();
    expect(ratePart(membership(NOW), NOW - 1)).toBe(0);
  });

  test('a process sends heartbeats three times in the validity of one, and retries a failed one sooner', () => {
    const { heartbeat } = membership(NOW);
    expect(nextHeartbeatInMs(heartbeat, { rateDivisor: 2 })).toBe(TTL / 3);
    expect(nextHeartbeatInMs(null, { rateDivisor: 2 })).toBeLessThan(TTL / 3);
  });

  test('a process without a pass sends its next heartbeat when the holder may have expired', () => {
    const { heartbeat } = membership(NOW);
    expect(nextHeartbeatInMs({ ...heartbeat, freeInMs: 40 }, { rateDivisor: 2 })).toBe(40);
    expect(nextHeartbeatInMs({ ...heartbeat, freeInMs: 7_000 }, { rateDivisor: 2 })).toBe(TTL / 3);
  });

  test('a process does not want reconciliation after 10 s without LiveKit, and nothing while it stops', () => {
    const at = (unreachableSince: number | null) => ({ isStopping: false, unreachableSince });
    expect(wantedPasses(at(null), NOW)).toEqual(PASSES);
    expect(wantedPasses(at(NOW - 10_000), NOW)).toEqual(PASSES);
    expect(wantedPasses(at(NOW - 10_001), NOW)).toEqual(['pruning']);
    expect(wantedPasses({ isStopping: true, unreachableSince: null }, NOW)).toEqual([]);
  });
});

describe('the parts of the rate limit', () => {
  test('a single member gets the complete limit', () => {
    const { beat } = startFleet();
    expect(beat('a').rateDivisor).toBe(1);
  });

  test('a new member gets its part when the other member confirmed the smaller part', () => {
    const { beat } = startFleet();
    beat('a');
    beat('a', { rateDivisor: 1 });
    expect(beat('b').rateDivisor).toBeNull();
    // The result of this heartbeat can be lost, so the member may still use the complete limit.
    expect(beat('a', { rateDivisor: 1 }).rateDivisor).toBe(2);
    expect(beat('b').rateDivisor).toBeNull();
    expect(beat('a', { rateDivisor: 2 }).rateDivisor).toBe(2);
    expect(beat('b').rateDivisor).toBe(2);
  });

  test('the part of a member that left goes to the others', () => {
    const { beat, leave } = startFleet();
    beat('a');
    beat('b');
    beat('a', { rateDivisor: 2 });
    beat('b');
    leave('b');
    expect(beat('a', { rateDivisor: 2 }).rateDivisor).toBe(1);
  });

  /** A process that sends heartbeats at random times. Some fail before or after the store writes them. */
  interface Process {
    readonly id: string;
    membership: Membership | null;
    /** When it began to wait for its next result. */
    idleSince: number;
  }

  const action = fc.record({
    afterMs: fc.integer({ min: 0, max: 3_000 }),
    process: fc.integer({ min: 0, max: 5 }),
    delayMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 3_000 })),
    kind: fc.constantFrom('beat', 'beat', 'beat', 'beat', 'lost request', 'lost result', 'crash', 'leave'),
  });

  test('the parts in use never exceed the limit, and no pass has two holders, in any order of events', () => {
    const property = fc.property(fc.array(action, { minLength: 1, maxLength: 200 }), (actions) => {
      const { at, beat, leave } = startFleet();
      let now = NOW;
      let starts = 0;
      const start = (): Process => {
        starts += 1;
        return { id: `p${starts}`, membership: null, idleSince: now };
      };
      const processes = Array.from({ length: 6 }, start);
      for (const { afterMs, process: index, delayMs, kind } of actions) {
        now += afterMs;
        const process = processes[index] ?? start();
        // The store writes a heartbeat now, and decides it with the time at which it was sent.
        const sentAt = Math.max(now - delayMs, process.idleSince);
        process.idleSince = now;
        at(sentAt);
        const command = { rateDivisor: divisorInUse(process.membership, sentAt) };
        if (kind === 'beat') process.membership = { sentAt, heartbeat: beat(process.id, command) };
        else if (kind === 'lost result') beat(process.id, command);
        else if (kind === 'leave') leave(process.id);
        if (kind === 'crash' || kind === 'leave') processes[index] = start();
        const used = processes.reduce((sum, { membership }) => sum + ratePart(membership, now), 0);
        expect(used).toBeLessThanOrEqual(1 + 1e-9);
        for (const pass of PASSES) {
          const holders = processes.filter(({ membership }) => heldFence(membership, pass, now) !== null);
          expect(holders.length).toBeLessThanOrEqual(1);
        }
      }
    });
    fc.assert(property, { numRuns: 5_000 });
  });

  test('the parts converge to equal parts of the complete limit', () => {
    const { at, beat } = startFleet();
    const members = ['a', 'b', 'c'].map((id) => ({ id, membership: null as Membership | null }));
    let now = NOW;
    for (let round = 0; round < 4; round += 1) {
      for (const member of members) {
        now += 500;
        at(now);
        const rateDivisor = divisorInUse(member.membership, now);
        member.membership = { sentAt: now, heartbeat: beat(member.id, { rateDivisor }) };
      }
    }
    expect(members.map(({ membership }) => ratePart(membership, now))).toEqual([1 / 3, 1 / 3, 1 / 3]);
  });
});
