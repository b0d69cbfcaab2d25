import { expect, test } from 'vitest';
import { onSqlite } from '../harness/hangup.ts';
import { type Simulation, simulate } from './simulation.ts';

// `npm run simulate -- --seeds 20` runs more and larger simulations.

const store = process.env.TEST_STORE === 'postgres' ? 'postgres' : 'sqlite';
/** Each call of a store on Postgres waits for another thread, and a loaded machine takes ten times as long. */
const TIMEOUT_MS = 300_000;

test(
  'invariants hold under injected faults (seeds 2 and 5, 100 calls each)',
  async () => {
    const outcomes = [
      await simulate({ seed: 2, calls: 100, store }),
      await simulate({ seed: 5, calls: 100, store }),
    ];
    expect(outcomes.map(({ violation }) => violation)).toEqual([null, null]);
    // Each of these must occur, or the simulation tests nothing.
    for (const event of [
      'fault: crash',
      'fault: fault',
      'fault: livekitUnreachable',
      'webhooks lost',
      'webhooks delivered late',
      'webhooks delivered twice',
      'DeleteRoom: unavailable',
      'log: room deletion failed; retry scheduled',
      'cancel: done',
      'call: cancelled',
      'call: completed',
      'fault: nodeDies',
      'fault: listHasHoles',
      'scenario: warmTransfer',
      'scenario: takeover',
      'scenario: huntGroup',
      'scenario: noteTaker',
      'scenario: sharedRoom',
      'SendData: answered',
      'cancellation: filter',
      'cancellation: filter with a hold',
      'cancellation: callIds',
      'cancellation: call recorded',
      'cancellation: a call starts to match',
      'cancellation: completed',
      'stream: opened',
      'stream: call.room_deletion',
      'stream: cancellation.progress',
      'stream: hold.lifted',
      'POST of a cancellation: previewed',
      'POST of a cancellation: replayed',
      'POST of a cancellation: too_many',
      'hold: registration refused',
      'hold: call cancelled',
      'hold: lifted',
    ]) {
      const count = outcomes.reduce((sum, { counts }) => sum + (counts.get(event) ?? 0), 0);
      expect(count, event).toBeGreaterThan(0);
    }
  },
  TIMEOUT_MS,
);

test(
  'the simulation is deterministic for each seed',
  async () => {
    const [first, same, other] = [
      await simulate({ seed: 2, calls: 30, store }),
      await simulate({ seed: 2, calls: 30, store }),
      await simulate({ seed: 3, calls: 30, store }),
    ];
    expect(same.auditLog).toBe(first.auditLog);
    expect(same.events).toBe(first.events);
    expect(other.auditLog).not.toBe(first.auditLog);
  },
  TIMEOUT_MS,
);

/** Returns the first violation in ten seeds: participants also leave by themselves, so one seed may not show a fault. */
async function firstViolation(broken: Partial<Simulation>) {
  for (let seed = 1; seed <= 10; seed += 1) {
    const { violation } = await simulate({ seed, calls: 100, ...broken });
    if (violation !== null) return { seed, violation };
  }
  throw new Error('no violation in ten seeds');
}

// Tests the checks of the simulation.
onSqlite.for([
  {
    fault: 'hangup gets no webhook and reconciles nothing: calls go on without a room',
    broken: { receivesWebhooks: false, reconciles: false },
    expected: /^seed \d+, 100 calls: call \S+ is (initiated|connecting|ringing|active), and has no room$/m,
  },
  {
    fault: 'hangup deletes no room: rooms of ended calls exist, and their deletions do not end',
    broken: { deletesRooms: false },
    expected:
      /^seed \d+, 100 calls: the (room of call \S+ lives, and the call is \w+|deletion of call \S+ is \w+ at attempt [1-9]\d* .*)$/m,
  },
  {
    fault: 'hangup gets empty participant lists: conversations end',
    broken: { listsParticipants: false },
    expected:
      /^seed \d+, 100 calls: hangup (ends call \S+ .* while .* talk|requests DeleteRoom of \S+, the room of .*)$/m,
  },
])('a violation prints its seed and its history when $fault', async ({ broken, expected }) => {
  const { seed, violation } = await firstViolation(broken);
  expect(violation).toMatch(expected);
  expect(violation).toContain('the audit log:');
  expect(violation).toContain(`repeat: npm run simulate -- --seed ${seed} --calls 100`);
});
