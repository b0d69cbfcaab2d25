import type { AuditEntry } from '../../ports/store.ts';
import type { Dependencies } from '../dependencies.ts';

/** A page of what happened to a call, newest last. @returns also where the next page begins, null on the last one */
export async function listCallEvents(
  { store }: Pick<Dependencies, 'store'>,
  { callId, after, limit }: { callId: string; after: number; limit: number },
): Promise<{ entries: readonly AuditEntry[]; next: number | null }> {
  const found = await store.listCallEvents({ callId, after, limit: limit + 1 });
  const entries = found.slice(0, limit);
  return { entries, next: found.length > limit ? (entries.at(-1)?.id ?? null) : null };
}
