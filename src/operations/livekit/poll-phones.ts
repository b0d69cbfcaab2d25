import type { CallInRoom } from '../../ports/store.ts';
import type { Dependencies } from '../dependencies.ts';
import { observeParticipants } from './observe-call.ts';

const ASKED_AT_ONCE = 50;
/** A later answer is too old to show when a phone was answered. */
const TIMEOUT_MS = 2_000;

/**
 * Requests the participants of calls with an unanswered phone, at most 50 in one pass, in turn: no webhook reports that
 * a phone rings, or when it is answered.
 * @param after the last call of the pass before
 * @returns the last call of this one
 */
export async function pollPhones(
  dependencies: Dependencies,
  { after, isTrusted }: { after: string; isTrusted: boolean },
): Promise<string> {
  const calls = await nextCalls(dependencies.store, after);
  const asking = { timeoutMs: TIMEOUT_MS, priority: 'phones', isTrusted } as const;
  await Promise.all(calls.map((call) => observeParticipants(dependencies, call, asking)));
  return calls.length < ASKED_AT_ONCE ? '' : (calls.at(-1)?.callId ?? '');
}

async function nextCalls(store: Dependencies['store'], after: string): Promise<readonly CallInRoom[]> {
  const calls = await store.listUnansweredPhones({ after, limit: ASKED_AT_ONCE });
  if (calls.length === ASKED_AT_ONCE || after === '') return calls;
  const first = await store.listUnansweredPhones({ after: '', limit: ASKED_AT_ONCE - calls.length });
  return [...calls, ...first.filter(({ callId }) => callId <= after)];
}
