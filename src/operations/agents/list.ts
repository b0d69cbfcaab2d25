import type { ApiKey } from '../../domain/api-key.ts';
import type { AgentCalls } from '../../ports/overview-store.ts';
import type { Dependencies } from '../dependencies.ts';

/** Larger organizations get the agents with the most live calls. */
export const MAX_AGENTS = 1_000;

/** Returns the agents of the live calls of the key's organization, those with the most calls first. */
export function listAgents(
  { store }: Pick<Dependencies, 'store'>,
  { organizationId }: ApiKey,
): Promise<readonly AgentCalls[]> {
  return store.listAgents({ organizationId, limit: MAX_AGENTS });
}
