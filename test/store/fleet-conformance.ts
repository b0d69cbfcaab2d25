import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { HEARTBEAT_TTL_MS, type Heartbeat, type HeartbeatCommand, PASSES } from '../../src/domain/fleet.ts';
import type { OpenStore, Store } from '../../src/ports/store.ts';
import type { Clock } from '../../src/ports/system.ts';
import { type ManualClock, manualClock } from '../harness/manual-clock.ts';

const NOW = 1_000_000;
const NOTHING = { passes: [], rateDivisor: null };

type OpenOne = (clock: Clock) => OpenStore | Promise<OpenStore>;

/**
 * The tests of the fleet, for every store. test/domain/fleet.test.ts tests the decisions.
 * @param createDatabase returns a function that opens one more store on the same database
 */
export function fleetConformance(name: string, createDatabase: () => OpenOne | Promise<OpenOne>): void {
  describe(`${name}: the fleet`, () => {
    let first: Store;
    let second: Store;
    let clock: ManualClock;

    beforeEach(async () => {
      clock = manualClock(NOW);
      const openOne = await createDatabase();
      const open = async () => {
        const store = await openOne(clock);
        onTestFinished(async () => {
          await store.close();
        });
        return store;
      };
      first = await open();
      second = await open();
    });

    const beat = (store: Store, memberId: string, parts: Partial<HeartbeatCommand> = {}) =>
      store.heartbeat({ memberId, wanted: PASSES, rateDivisor: null, ...parts });
    const all = (fence: number) => PASSES.map((pass) => ({ pass, fence }));

    test('one member holds the passes until its heartbeat expires by the clock of the store', async () => {
      expect(await beat(first, 'a')).toMatchObject({ passes: all(1), members: 1, freeInMs: null });
      clock.set(NOW + 2_500);
      expect(await beat(second, 'b')).toMatchObject({ passes: [], members: 2, freeInMs: 5_000 });
      expect(await beat(first, 'a')).toMatchObject({ passes: all(1), members: 2 });
      clock.set(NOW + 2_500 + HEARTBEAT_TTL_MS - 1);
      expect(await beat(second, 'b')).toMatchObject({ passes: [], freeInMs: 1 });
      clock.set(NOW + 2_500 + HEARTBEAT_TTL_MS);
      expect(await beat(second, 'b')).toMatchObject({ passes: all(2), members: 1 });
      expect(await beat(first, 'a')).toMatchObject({ passes: [], members: 2 });
    });

    test('a member that does not want a pass releases it, and another member takes it at once', async () => {
      await beat(first, 'a');
      expect(await beat(first, 'a', { wanted: ['pruning'] })).toMatchObject({
        passes: [{ pass: 'pruning', fence: 1 }],
      });
      expect(await beat(second, 'b')).toMatchObject({ passes: [{ pass: 'reconciliation', fence: 2 }] });
    });

    test('a member that leaves releases its passes and its part of the rate limit at once', async () => {
      await beat(first, 'a');
      expect(await beat(second, 'b')).toMatchObject(NOTHING);
      await first.leaveFleet({ memberId: 'a' });
      expect(await beat(second, 'b')).toEqual({
        passes: all(2),
        rateDivisor: 1,
        members: 1,
        freeInMs: null,
      });
      await first.leaveFleet({ memberId: 'a' });
      expect(await beat(second, 'b')).toMatchObject({ passes: all(2), rateDivisor: 1 });
    });

    test('a new member waits for its part of the rate limit until the other confirmed a smaller part', async () => {
      await beat(first, 'a');
      await beat(second, 'b');
      expect(await beat(first, 'a', { rateDivisor: 1 })).toMatchObject({ rateDivisor: 2 });
      expect(await beat(second, 'b')).toMatchObject({ rateDivisor: null });
      await beat(first, 'a', { rateDivisor: 2 });
      expect(await beat(second, 'b')).toMatchObject({ rateDivisor: 2 });
    });

    test('of concurrent heartbeats one gets each pass, and one the complete rate limit', async () => {
      const stores = [first, second];
      const heartbeats: Heartbeat[] = await Promise.all(
        Array.from({ length: 20 }, (_, i) => beat(stores[i % 2] ?? first, `member-${i}`)),
      );
      const granted = heartbeats.flatMap(({ passes }) => passes);
      expect(granted.toSorted((a, b) => (a.pass < b.pass ? 1 : -1))).toEqual(all(1));
      expect(heartbeats.flatMap(({ rateDivisor }) => rateDivisor ?? [])).toEqual([1]);
      expect(heartbeats.map(({ members }) => members).toSorted((a, b) => a - b)).toEqual(
        Array.from({ length: 20 }, (_, i) => i + 1),
      );
    });
  });
}
