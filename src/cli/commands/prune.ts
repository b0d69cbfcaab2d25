import type { Command } from 'commander';
import { systemClock } from '../../app/app.ts';
import { forget, retentionOf } from '../../operations/retention/prune.ts';
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
  const { keep, guardMs, agentLeftGraceMs, connectionLostGraceMs, agentIdKey } = readSettings();
  await withStore(async (store) => {
    const retention = retentionOf(keep, guardMs, systemClock.now());
    const old = await store.countPrunable(retention);
    const gone = { ...old };
    if (!dryRun) {
      const policy = { guardMs, agentLeftGraceMs, connectionLostGraceMs };
      let toldAt = performance.now();
      let deleted = 0;
      for (;;) {
        const batch = await forget({ store, clock: systemClock, keep, events: { policy, agentIdKey } });
        deleted += batch.forgotten;
        if (!batch.more) break;
        if (performance.now() - toldAt < TELLS_EVERY_MS) continue;
        toldAt = performance.now();
        tell(`${deleted} of some ${old.calls + old.audit + old.events} rows are deleted`);
      }
      const left = await store.countPrunable(retention);
      for (const what of ['calls', 'audit', 'events'] as const) gone[what] -= left[what];
    }
    if (json) print(JSON.stringify({ ...gone, deleted: !dryRun }));
    else {
      const what = `${gone.calls} ended calls, ${gone.audit} entries of the audit log, ${gone.events} ids of events`;
      print(dryRun ? `would delete: ${what}` : `deleted: ${what}`);
    }
  });
}
