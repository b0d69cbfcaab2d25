import { desc } from 'drizzle-orm';
import type { Timestamp } from '../../domain/time.ts';
import { livekitServers } from './schema.ts';
import { build, columnsOf, prepareRows, prepareSql, type Session } from './session.ts';

const list = prepareRows(
  build.select(columnsOf(livekitServers)).from(livekitServers).orderBy(desc(livekitServers.lastServedAt)),
);

/** Each record is the latest, also after the clock was set back. */
const record = prepareSql(`
  INSERT INTO livekit_servers (url, first_served_at, last_served_at)
  SELECT $1, $2::bigint, greatest($2::bigint, coalesce(max(last_served_at), 0) + 1) FROM livekit_servers
  ON CONFLICT (url) DO UPDATE SET last_served_at = excluded.last_served_at`);

/** Returns the URLs of the LiveKit servers that this database was used with, the latest first. */
export async function listLiveKitServers(session: Session): Promise<string[]> {
  return (await list.all(session)).map(({ url }) => url);
}

/** Records a server as the latest. */
export async function recordLiveKitServer(
  session: Session,
  { url, now }: { url: string; now: Timestamp },
): Promise<void> {
  await record.run(session, [url, now]);
}
