const MAX_METADATA_LENGTH = 64 * 1024;
const AGENT_ID = /^[^\p{Cc}]{1,256}$/u;

/**
 * Returns the agent id under a key of a room's JSON metadata, or null if there is no valid id. The metadata is
 * untrusted: the creator of the room wrote it.
 */
export function parseAgentId(metadata: string, key: string): string | null {
  if (metadata === '' || metadata.length > MAX_METADATA_LENGTH) return null;
  let value: unknown;
  try {
    value = JSON.parse(metadata);
  } catch {
    return null;
  }
  if (value === null || typeof value !== 'object' || !Object.hasOwn(value, key)) return null;
  const agentId: unknown = Reflect.get(value, key);
  return typeof agentId === 'string' && agentId.isWellFormed() && AGENT_ID.test(agentId) ? agentId : null;
}
