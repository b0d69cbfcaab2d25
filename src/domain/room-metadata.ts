import { parseJson } from './json.ts';

const MAX_METADATA_LENGTH = 64 * 1024;
const AGENT_ID = /^[^\p{Cc}]{1,256}$/u;

/**
 * Returns the agent id under a key of a room's JSON metadata, or null without a valid id. The metadata is untrusted: the
 * creator of the room wrote it.
 */
export function parseAgentId(metadata: string, key: string): string | null {
  if (metadata === '' || metadata.length > MAX_METADATA_LENGTH) return null;
  const value = parseJson(metadata);
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return null;
  const agentId: unknown = Reflect.get(value, key);
  return typeof agentId === 'string' && agentId.isWellFormed() && AGENT_ID.test(agentId) ? agentId : null;
}
