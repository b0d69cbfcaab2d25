import type { Timestamp } from '../domain/time.ts';
import type { Database } from './database.ts';
import { livekitServers } from './schema.ts';

/** URLs of the LiveKit servers that this database was ever served with, the first one first. */
export function listLiveKitServers(db: Database): string[] {
  const rows = db.select().from(livekitServers).orderBy(livekitServers.firstServedAt).all();
  return rows.map(({ url }) => url);
}

export function rememberLiveKitServer(db: Database, { url, now }: { url: string; now: Timestamp }): void {
  db.insert(livekitServers).values({ url, firstServedAt: now }).onConflictDoNothing().run();
}
