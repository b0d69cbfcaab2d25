import { desc, sql } from 'drizzle-orm';
import type { Timestamp } from '../domain/time.ts';
import type { Database } from './database.ts';
import { livekitServers } from './schema.ts';

/** URLs of the LiveKit servers that this database was ever served with, the last one first. */
export function listLiveKitServers(db: Database): string[] {
  const rows = db.select().from(livekitServers).orderBy(desc(livekitServers.lastServedAt)).all();
  return rows.map(({ url }) => url);
}

/** From now on it is the last one, whatever the clock says. */
export function rememberLiveKitServer(db: Database, { url, now }: { url: string; now: Timestamp }): void {
  const lastServedAt = sql`(SELECT max(${now}, coalesce(max(last_served_at), 0) + 1) FROM livekit_servers)`;
  db.insert(livekitServers)
    .values({ url, firstServedAt: now, lastServedAt })
    .onConflictDoUpdate({ target: livekitServers.url, set: { lastServedAt } })
    .run();
}
