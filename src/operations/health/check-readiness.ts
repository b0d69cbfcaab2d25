import type { Dependencies } from '../dependencies.ts';

/** What must hold for requests to be sent here. */
export type ReadinessCheck = 'store' | 'migrations';

/** Whether this process can do its work: the store takes a write, and has the schema of this version. */
export async function checkReadiness({
  store,
  log,
}: Pick<Dependencies, 'store' | 'log'>): Promise<{ failed: readonly ReadinessCheck[] }> {
  try {
    const { isSchemaCurrent } = await store.checkWritable();
    if (isSchemaCurrent) return { failed: [] };
    log.error(
      {},
      'not ready: the database was changed by another version of hangup; start that one, or restart this one',
    );
    return { failed: ['migrations'] };
  } catch (error) {
    log.error({ err: error }, 'not ready: the database takes no write');
    return { failed: ['store'] };
  }
}
