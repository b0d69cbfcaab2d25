import type { Database } from './database.ts';
import { readSchemaVersion } from './migrations.ts';
import { prepareSql, type Session } from './session.ts';
import { transaction } from './transaction.ts';

/** A real row, which reaches the disk and the standbys. Nothing else locks this row. */
const touch = prepareSql('UPDATE __drizzle_migrations SET created_at = created_at WHERE id = 1');
const activity = prepareSql<{ hasEvents: boolean; hasLiveCalls: boolean }>(`
  SELECT EXISTS (SELECT 1 FROM livekit_events) AS "hasEvents",
    EXISTS (SELECT 1 FROM calls WHERE ended_at IS NULL AND room_name > '') AS "hasLiveCalls"`);

/** Commits a write without effect. */
export function checkWritable(db: Database): Promise<{ isSchemaCurrent: boolean }> {
  return transaction(db, async (tx) => {
    const [version] = await Promise.all([readSchemaVersion(tx), touch.run(tx, [])]);
    return { isSchemaCurrent: version === 'current' };
  });
}

export async function getWebhookActivity(
  session: Session,
): Promise<{ hasEvents: boolean; hasLiveCalls: boolean }> {
  const row = await activity.get(session, []);
  if (row === undefined) throw new Error('the query of the activity returned no row');
  return row;
}
