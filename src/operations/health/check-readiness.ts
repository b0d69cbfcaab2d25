import type { Dependencies } from '../dependencies.ts';

/** A condition for the process to receive requests. */
export type ReadinessCheck = 'store' | 'migrations';

/** Returns the failed checks: the store commits a write (`store`), and has the schema of this version (`migrations`). */
export async function checkReadiness({
  store,
  log,
}: Pick<Dependencies, 'store' | 'log'>): Promise<{ failed: readonly ReadinessCheck[] }> {
  try {
    const { isSchemaCurrent } = await store.checkWritable();
    if (isSchemaCurrent) return { failed: [] };
    log.error({}, 'not ready: another version of hangup migrated the database; restart with that version');
    return { failed: ['migrations'] };
  } catch (error) {
    log.error({ err: error }, 'not ready: cannot write to the database');
    return { failed: ['store'] };
  }
}
