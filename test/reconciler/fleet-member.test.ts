import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { HEARTBEAT_TTL_MS, PASSES } from '../../src/domain/fleet.ts';
import type { FleetStore } from '../../src/ports/fleet-store.ts';
import { createFleetMember } from '../../src/reconciler/fleet-member.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { manualClock } from '../harness/manual-clock.ts';
import { manualScheduler } from '../harness/manual-scheduler.ts';
import { temporaryFolder } from '../harness/temporary.ts';

const NOW = 1_000_000;

/** Returns members of one fleet, with one clock. Each has timers of its own, which the test fires. */
function openFleet() {
  const clock = manualClock(NOW);
  const store = openSqliteStore(join(temporaryFolder(), 'hangup.db'), { clock });
  onTestFinished(() => store.close());
  const join_ = (memberId: string, through: FleetStore = store) => {
    const { scheduler, names, fire } = manualScheduler();
    const gained: string[] = [];
    const logged: string[] = [];
    const parts: number[] = [];
    let reported: object = {};
    let unreachableSince: number | null = null;
    const log = (_: object, message: string) => logged.push(message);
    const member = createFleetMember({
      memberId,
      store: through,
      clock,
      scheduler,
      log: { info: log, warn: log, error: log },
      metrics: {
        fleetChanged(fleet) {
          reported = fleet;
        },
      },
      unreachableSince: () => unreachableSince,
      onGained: (pass, { isTakeover }) => gained.push(`${pass}${isTakeover ? ' (takeover)' : ''}`),
      onRatePart: (part) => parts.push(part),
    });
    onTestFinished(() => member.leave());
    const beats = () => parts.length;
    return {
      member,
      gained,
      logged,
      names,
      fire,
      reported: () => reported,
      part: () => parts.at(-1),
      setUnreachable(since: number | null) {
        unreachableSince = since;
      },
      /** Sends a heartbeat, and waits for its result. */
      async beat() {
        const before = beats();
        member.heartbeat();
        await expect.poll(beats).toBeGreaterThan(before);
      },
      async start() {
        member.start();
        await expect.poll(beats).toBe(1);
      },
    };
  };
  return { clock, store, join: join_ };
}

const held = ({ member }: ReturnType<ReturnType<typeof openFleet>['join']>) =>
  PASSES.filter((pass) => member.holds(pass));

test('the first process gets all passes and the complete rate limit with its first heartbeat', async () => {
  const a = openFleet().join('a');
  expect(held(a)).toEqual([]);
  expect(a.member.signalOf('pruning').aborted).toBe(true);
  await a.start();
  expect(held(a)).toEqual(PASSES);
  expect(a.gained).toEqual(PASSES);
  expect(a.part()).toBe(1);
  expect(a.reported()).toEqual({ members: 1, passes: PASSES });
  expect(a.member.signalOf('pruning').aborted).toBe(false);
  expect(a.logged).toEqual([]);
});

test('a process sends the next heartbeat after a third of the validity', async () => {
  const a = openFleet().join('a');
  await a.start();
  // At once after the first one, to confirm the part of the rate limit.
  expect(a.names()).toEqual([`after ${HEARTBEAT_TTL_MS}`, 'after 500']);
  a.fire('after 500');
  await expect.poll(a.names).toEqual([`after ${HEARTBEAT_TTL_MS}`, `after ${HEARTBEAT_TTL_MS / 3}`]);
});

test('a process takes over when the heartbeat of the holder expires, and the former holder stops before', async () => {
  const { clock, join } = openFleet();
  const a = join('a');
  const b = join('b');
  await a.start();
  const signal = a.member.signalOf('reconciliation');
  clock.set(NOW + 100);
  await b.start();
  expect(held(b)).toEqual([]);
  clock.set(NOW + HEARTBEAT_TTL_MS);
  // The last heartbeat of the holder expires, and its timer fires.
  a.fire(`after ${HEARTBEAT_TTL_MS}`);
  expect(signal.aborted).toBe(true);
  expect(held(a)).toEqual([]);
  expect(a.part()).toBe(0);
  await b.beat();
  expect(held(b)).toEqual(PASSES);
  await a.beat();
  expect([held(a), held(b)]).toEqual([[], PASSES]);
  expect(a.reported()).toEqual({ members: 2, passes: [] });
});

test('a process that took over after a long wait reports a takeover, and a process that has just started does not', async () => {
  const { clock, join } = openFleet();
  const a = join('a');
  const b = join('b');
  await a.start();
  await b.start();
  clock.set(NOW + 5_000);
  await b.beat();
  clock.set(NOW + HEARTBEAT_TTL_MS);
  const c = join('c');
  await c.start();
  expect(c.gained).toEqual(PASSES);
  expect(c.logged).toEqual([]);
  await b.beat();
  clock.set(NOW + 3 * HEARTBEAT_TTL_MS);
  await b.beat();
  expect(b.gained).toEqual(PASSES.map((pass) => `${pass} (takeover)`));
  expect(b.logged).toEqual(PASSES.map(() => 'this process took over a background pass'));
});

test('a late heartbeat aborts a pass that another process ran meanwhile', async () => {
  const { clock, join } = openFleet();
  const a = join('a');
  const b = join('b');
  await a.start();
  const signal = a.member.signalOf('reconciliation');
  clock.set(NOW + HEARTBEAT_TTL_MS);
  await b.start();
  await b.member.leave();
  // The process was suspended: its timers did not run, and it holds the pass under another lease now.
  await a.beat();
  expect(held(a)).toEqual(PASSES);
  expect(signal.aborted).toBe(true);
  expect(a.member.signalOf('reconciliation').aborted).toBe(false);
  expect(a.gained.slice(2)).toEqual(PASSES.map((pass) => `${pass} (takeover)`));
});

test('a clock that jumps ends the pass, and the next heartbeat resumes it without a takeover', async () => {
  const { clock, join } = openFleet();
  const a = join('a');
  await a.start();
  clock.set(NOW + 3_600_000);
  expect(a.member.holds('pruning')).toBe(false);
  await expect.poll(() => a.member.holds('pruning')).toBe(true);
  expect(a.gained).toEqual([...PASSES, ...PASSES]);
});

test('a process whose clock is set back while its heartbeats fail stops when the last successful one expires', async () => {
  const { clock, store, join } = openFleet();
  let fails = false;
  const a = join('a', {
    ...store,
    heartbeat: (command) => (fails ? Promise.reject(new Error('no database')) : store.heartbeat(command)),
  });
  await a.start();
  fails = true;
  clock.set(NOW + 5_000);
  await a.beat();
  clock.set(NOW + 1_000);
  await a.beat();
  expect(held(a)).toEqual(PASSES);
  a.fire(`after ${HEARTBEAT_TTL_MS}`);
  expect([held(a), a.part()]).toEqual([[], 0]);
});

test('failed heartbeats are retried, and a process stops its passes when the last successful one expires', async () => {
  const { clock, store, join } = openFleet();
  let fails = false;
  const failing: FleetStore = {
    ...store,
    heartbeat: (command) =>
      fails ? Promise.reject(new Error('the disk is full')) : store.heartbeat(command),
  };
  const a = join('a', failing);
  await a.start();
  fails = true;
  clock.set(NOW + 2_500);
  await a.beat();
  expect(held(a)).toEqual(PASSES);
  expect(a.names()).toContain('after 1000');
  clock.set(NOW + HEARTBEAT_TTL_MS);
  await a.beat();
  expect(held(a)).toEqual([]);
  expect(a.part()).toBe(0);
  expect(a.logged).toContain('background loop failed; it runs again on schedule');
  fails = false;
  await a.beat();
  expect(held(a)).toEqual(PASSES);
});

test('a process that LiveKit does not answer lets another process reconcile, and keeps pruning', async () => {
  const { clock, join } = openFleet();
  const a = join('a');
  const b = join('b');
  await a.start();
  await b.start();
  a.setUnreachable(NOW);
  clock.set(NOW + 5_000);
  await a.beat();
  expect(held(a)).toEqual(PASSES);
  clock.set(NOW + 10_001);
  await a.beat();
  await b.beat();
  expect([held(a), held(b)]).toEqual([['pruning'], ['reconciliation']]);
});

test('release frees the passes at once, and the process keeps its part of the rate limit until it leaves', async () => {
  const { join } = openFleet();
  const a = join('a');
  const b = join('b');
  await a.start();
  await b.start();
  await a.beat();
  await a.beat();
  await a.member.release();
  expect([held(a), a.part()]).toEqual([[], 0.5]);
  await b.beat();
  expect([held(b), b.part()]).toEqual([PASSES, 0.5]);
  await a.member.leave();
  expect([a.part(), a.names()]).toEqual([0, []]);
  await b.beat();
  expect(b.part()).toBe(1);
  expect(a.logged).toEqual([]);
});

test('a process that never started leaves nothing behind', async () => {
  const { store, join } = openFleet();
  const a = join('a');
  await a.member.release();
  await a.member.leave();
  a.member.heartbeat();
  expect(a.names()).toEqual([]);
  const first = await store.heartbeat({ memberId: 'b', wanted: PASSES, rateDivisor: null });
  expect(first.members).toBe(1);
});
