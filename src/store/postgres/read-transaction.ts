import type { Connections } from './database.ts';
import type { Session } from './session.ts';

/** For a transaction that reads one snapshot of the database. */
export const SNAPSHOT = 'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY';

/**
 * Runs work on one snapshot of the database, and returns its result.
 * @param settings settings of this transaction, as `name = value`
 */
export function readTransaction<T>(
  db: Connections,
  work: (session: Session) => Promise<T>,
  { timeoutMs, settings = [] }: { timeoutMs?: number; settings?: readonly string[] } = {},
): Promise<T> {
  return db.connection(async (connection) => {
    const begun = connection.begin(timeoutMs, [
      SNAPSHOT,
      ...settings.map((setting) => `SET LOCAL ${setting}`),
    ]);
    begun.catch(() => {});
    try {
      const result = await work(connection);
      await begun;
      await connection.commit();
      return result;
    } catch (error) {
      await connection.rollback();
      // Without a transaction, the work fails for this reason.
      await begun;
      throw error;
    }
  });
}
