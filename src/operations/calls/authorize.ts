import type { ApiKey, Scope } from '../../domain/api-key.ts';
import { callNotFound, callOfOtherOrganization, missingScope } from '../../domain/errors.ts';
import type { CallRecord } from '../../ports/store.ts';
import type { Dependencies } from '../dependencies.ts';

const CALL_ID = /^[A-Za-z0-9_.-]{1,128}$/;

/**
 * Returns the call of a request if the API key belongs to the call's organization and has the scope.
 * @throws RequestError not_found, then forbidden: the contract's order of checks
 */
export async function authorizeCall(
  { store }: Pick<Dependencies, 'store'>,
  { callId, apiKey, scope }: { callId: unknown; apiKey: ApiKey; scope: Scope },
): Promise<CallRecord> {
  const record = typeof callId === 'string' && CALL_ID.test(callId) ? await store.findCall(callId) : null;
  if (record === null) throw callNotFound();
  if (record.call.organizationId !== apiKey.organizationId) throw callOfOtherOrganization();
  requireScope(apiKey, scope);
  return record;
}

/** Asserts that the API key has the scope. @throws RequestError forbidden */
export function requireScope(apiKey: ApiKey, scope: Scope): void {
  if (!apiKey.scopes.includes(scope)) throw missingScope(scope);
}
