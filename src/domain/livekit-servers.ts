/*
 * A LiveKit that does not have the rooms of the live calls ends them on record, and then the real one's rooms are deleted
 * as those of ended calls. So a database keeps which ones it was served with: by URL, the last one first. The built-in
 * emulator is none of them.
 */

/** What migration 0006 wrote for a database with people's calls of before this was kept. */
const UNRECORDED = 'unrecorded';

export function formatServers(servers: readonly string[]): string {
  return servers.map((url) => (url === UNRECORDED ? 'a LiveKit server' : url)).join(', ');
}

/** The one that was served last, if it is another than this. */
export function previousServer(url: string, servers: readonly string[]): string | null {
  const [last = url] = servers;
  return last === url || last === UNRECORDED ? null : last;
}
