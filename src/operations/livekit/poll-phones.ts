import type { CallInRoom } from '../../ports/store.ts';
import type { Dependencies } from '../dependencies.ts';
import { observeParticipants } from './observe-call.ts';

const POLL_BATCH_SIZE = 50;
/** A later response is too old to show when a phone was answered. */
const TIMEOUT_MS = 2_000;

/**
 * Requests the participants of at most 50 calls with an unanswered phone, in turn: no webhook reports that a phone rings
 * or is answered.
 * @param after the last call of the previous run
 * @returns the last call of this run
 */
export async function pollPhones(
  dependencies: Dependencies,
  { after, isTrusted }: { after: string; isTrusted: boolean },
): Promise<string> {
  const calls = await nextCalls(dependencies.store, after);
  const options = { timeoutMs: TIMEOUT_MS, priority: 'phones', isTrusted } as const;
  await Promise.all(calls.map((call) => observeParticipants(dependencies, call, options)));
  return calls.length < POLL_BATCH_SIZE ? '' : (calls.at(-1)?.callId ?? '');
}

async function nextCalls(store: Dependencies['store'], after: string): Promise<readonly CallInRoom[]> {
  const calls = await store.listUnansweredPhones({ after, limit: POLL_BATCH_SIZE });
  if (calls.length === POLL_BATCH_SIZE || after === '') return calls;
  const first = await store.listUnansweredPhones({ after: '', limit: POLL_BATCH_SIZE - calls.length });
  return [...calls, ...first.filter(({ callId }) => callId <= after)];
}
