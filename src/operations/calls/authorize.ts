import type { ApiKey, Scope } from '../../domain/api-key.ts';
import { callNotFound, callOfOtherOrganization, missingScope } from '../../domain/errors.ts';
import type { CallRecord } from '../../ports/store.ts';
import type { Dependencies } from '../dependencies.ts';

const CALL_ID = /^[A-Za-z0-9_.-]{1,128}$/;

/** True if a value has the format of a call id. Other values are never looked up. */
export function isCallId(value: unknown): value is string {
  return typeof value === 'string' && CALL_ID.test(value);
}

/**
 * Returns the call of a request if the API key belongs to the call's organization and has the scope.
 * @throws RequestError not_found, then forbidden: the contract's order of checks
 */
export async function authorizeCall(
  { store }: Pick<Dependencies, 'store'>,
  { callId, apiKey, scope }: { callId: unknown; apiKey: ApiKey; scope: Scope },
): Promise<CallRecord> {
  const record = isCallId(callId) ? await store.findCall(callId) : null;
  return assertAuthorized(record, { apiKey, scope });
}

/**
 * Returns the call if the API key belongs to the call's organization and has the scope.
 * @throws RequestError not_found, then forbidden: the contract's order of checks
 */
export function assertAuthorized(
  record: CallRecord | null,
  { apiKey, scope }: { apiKey: ApiKey; scope: Scope },
): CallRecord {
  if (record === null) throw callNotFound();
  if (record.call.organizationId !== apiKey.organizationId) throw callOfOtherOrganization();
  requireScope(apiKey, scope);
  return record;
}

/** Asserts that the API key has the scope. @throws RequestError forbidden */
export function requireScope(apiKey: ApiKey, scope: Scope): void {
  if (!apiKey.scopes.includes(scope)) throw missingScope(scope);
}
