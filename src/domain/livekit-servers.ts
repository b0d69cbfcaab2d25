/*
 * With another LiveKit server, whose room list lacks the live calls' rooms, hangup would end these calls and then delete
 * their real rooms. The database therefore records the URLs of its LiveKit servers. The emulator is never recorded.
 */

/** Written by migration 0006 for a database with calls from before the servers were recorded. */
const UNKNOWN_SERVER = 'unrecorded';

/** Returns the URLs for a message, separated by commas. */
export function formatServers(servers: readonly string[]): string {
  return servers.map((url) => (url === UNKNOWN_SERVER ? 'a LiveKit server' : url)).join(', ');
}

/** Returns the most recently used server if it is not `url`. `servers` has the most recent first. */
export function previousServer(url: string, servers: readonly string[]): string | null {
  const [latest = url] = servers;
  return latest === url || latest === UNKNOWN_SERVER ? null : latest;
}
