import type { Command } from 'commander';
import { systemClock } from '../../app/app.ts';
import { pruneBatch, retentionCutoffs } from '../../operations/retention/prune.ts';
import { print, readSettings, tell, withStore } from '../output.ts';

const TELLS_EVERY_MS = 5_000;

/** `hangup prune`: what a running hangup does every hour. */
export function addPrune(hangup: Command): void {
  hangup
    .command('prune')
    .description('delete what the settings KEEP_… say is old, as a running hangup does every hour')
    .option('--dry-run', 'only count it')
    .option('--json', 'print one JSON object')
    .action(prune);
}

async function prune({ dryRun, json }: { dryRun?: true; json?: true }): Promise<void> {
  const { retention, recreatedRoomWindowMs, agentLeftGraceMs, reconnectGraceMs, agentIdKey } = readSettings();
  await withStore(async (store) => {
    const cutoffs = retentionCutoffs(retention, recreatedRoomWindowMs, systemClock.now());
    const old = await store.countPrunable(cutoffs);
    const gone = { ...old };
    if (!dryRun) {
      const policy = { recreatedRoomWindowMs, agentLeftGraceMs, reconnectGraceMs };
      let toldAt = performance.now();
      let deleted = 0;
      for (;;) {
        const batch = await pruneBatch({
          store,
          clock: systemClock,
          retention,
          events: { policy, agentIdKey },
        });
        deleted += batch.deleted;
        if (!batch.hasMore) break;
        if (performance.now() - toldAt < TELLS_EVERY_MS) continue;
        toldAt = performance.now();
        tell(`${deleted} of some ${old.calls + old.audit + old.events} rows are deleted`);
      }
      const left = await store.countPrunable(cutoffs);
      for (const what of ['calls', 'audit', 'events'] as const) gone[what] -= left[what];
    }
    if (json) print(JSON.stringify({ ...gone, deleted: !dryRun }));
    else {
      const what = `${gone.calls} ended calls, ${gone.audit} entries of the audit log, ${gone.events} ids of events`;
      print(dryRun ? `would delete: ${what}` : `deleted: ${what}`);
    }
  });
}
