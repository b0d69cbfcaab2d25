import type { DatabaseAddress } from '../platform/database-address.ts';

const PROGRESS_INTERVAL_MS = 5_000;
const MAX_WORK_MS = 10;
/** A hangup that waits for SQLite's lock tries again after at most 15 ms. */
const PAUSE_MS = 20;

/**
 * Prunes batch after batch until none is left. On SQLite, other processes can write in the pauses between the batches.
 * @param onProgress receives the number of deleted rows every 5 s
 */
export async function pruneAll({
  pruneBatch,
  database,
  timer,
  onProgress,
}: {
  pruneBatch: () => Promise<{ hasMore: boolean; deleted: number }>;
  database: DatabaseAddress['kind'];
  timer: { now(): number; sleep(durationMs: number): Promise<unknown> };
  onProgress: (deletedRows: number) => void;
}): Promise<void> {
  let deletedRows = 0;
  let printedAt = timer.now();
  let pausedAt = timer.now();
  for (;;) {
    const batch = await pruneBatch();
    deletedRows += batch.deleted;
    if (!batch.hasMore) return;
    if (database === 'sqlite' && timer.now() - pausedAt > MAX_WORK_MS) {
      await timer.sleep(PAUSE_MS);
      pausedAt = timer.now();
    }
    if (timer.now() - printedAt < PROGRESS_INTERVAL_MS) continue;
    printedAt = timer.now();
    onProgress(deletedRows);
  }
}
