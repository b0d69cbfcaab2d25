import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import { pruneBatch, retentionCutoffs } from '../../operations/retention/prune.ts';
import { systemClock } from '../../platform/clock.ts';
import { withExistingStore } from '../open-store.ts';
import { print, printProgress } from '../output.ts';
import { pruneAll } from '../prune-all.ts';
import { readSettings } from '../settings.ts';

const TIMER = { now: () => performance.now(), sleep: (durationMs: number) => delay(durationMs) };

export function registerPruneCommand(program: Command): void {
  program
    .command('prune')
    .description(
      'Delete rows that are older than the retention settings, as a running hangup does every hour',
    )
    .option('--dry-run', 'Count the rows, but delete nothing')
    .option('--json', 'Print a JSON object')
    .action(prune);
}

async function prune({ dryRun, json }: { dryRun?: true; json?: true }): Promise<void> {
  const { operations, database } = readSettings();
  const { retention, callSettings } = operations;
  await withExistingStore(async (store) => {
    const cutoffs = retentionCutoffs(retention, callSettings.policy.recreatedRoomWindowMs, systemClock.now());
    const prunable = await store.countPrunable(cutoffs);
    const deleted = { ...prunable };
    if (!dryRun) {
      const total = prunable.calls + prunable.audit + prunable.events;
      await pruneAll({
        pruneBatch: () => pruneBatch({ store, clock: systemClock, retention, callSettings }),
        database: database.kind,
        timer: TIMER,
        onProgress: (deletedRows) => printProgress(`deleted ${deletedRows} of about ${total} rows`),
      });
      const remaining = await store.countPrunable(cutoffs);
      for (const kind of ['calls', 'audit', 'events'] as const) deleted[kind] -= remaining[kind];
    }
    if (json) print(JSON.stringify({ ...deleted, deleted: !dryRun }));
    else {
      const counts = `${deleted.calls} ended calls, ${deleted.audit} audit entries, ${deleted.events} event ids`;
      print(dryRun ? `would delete: ${counts}` : `deleted: ${counts}`);
    }
  });
}
