import type { Timestamp } from '../domain/time.ts';
import type { Dependencies } from './dependencies.ts';

const BATCH = 200;

/** Ends the calls whose grace is over. @returns when there is more to do */
export async function settleGraces({
  store,
  clock,
  log,
}: Pick<Dependencies, 'store' | 'clock' | 'log'>): Promise<{ ended: number; nextAt: Timestamp | null }> {
  const { ended, nextAt } = await store.settleGraces({ now: clock.now(), limit: BATCH });
  for (const call of ended) log.info(call, 'call ended: nobody came back in time');
  return { ended: ended.length, nextAt };
}
