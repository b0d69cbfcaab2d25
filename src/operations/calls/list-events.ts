import type { AuditEntry } from '../../ports/store.ts';
import type { Dependencies } from '../dependencies.ts';

/** Returns a page of a call's audit log, oldest first. The next page starts after the id `next`; null on the last page. */
export async function listCallEvents(
  { store }: Pick<Dependencies, 'store'>,
  { callId, after, limit }: { callId: string; after: number; limit: number },
): Promise<{ entries: readonly AuditEntry[]; next: number | null }> {
  // One more entry than the page shows whether a next page exists.
  const loaded = await store.listCallEvents({ callId, after, limit: limit + 1 });
  const entries = loaded.slice(0, limit);
  return { entries, next: loaded.length > limit ? (entries.at(-1)?.id ?? null) : null };
}
