import type pg from 'pg';
import { StoreBusyError } from '../../domain/errors.ts';
import { DatabaseError } from '../database-error.ts';

const OLDEST_VERSION = 140_000;

/**
 * Checks that a new connection can write durably. Returns whether a transaction must set a durable commit itself.
 * @throws DatabaseError when the server can never be used
 */
export async function checkServer(client: pg.ClientBase): Promise<boolean> {
  const { rows } = await client.query<{ name: string; setting: string }>(`
    SELECT name, setting FROM pg_settings
    WHERE name IN ('transaction_read_only', 'synchronous_commit', 'fsync', 'server_version_num', 'server_encoding')`);
  const settings = new Map(rows.map(({ name, setting }) => [name, setting]));
  if (settings.get('transaction_read_only') === 'on') {
    throw new StoreBusyError('the server is read-only: it is a standby');
  }
  if (Number(settings.get('server_version_num')) < OLDEST_VERSION) {
    throw new DatabaseError('The database is older than Postgres 14. Upgrade it.');
  }
  if (settings.get('server_encoding') !== 'UTF8') {
    throw new DatabaseError(
      'The encoding of the database is not UTF8. Create a database with the encoding UTF8.',
    );
  }
  for (const name of ['synchronous_commit', 'fsync']) {
    if (settings.get(name) === 'off') {
      throw new DatabaseError(
        `Durable writes are not available: ${name} is off. Set ${name} = on in Postgres.`,
      );
    }
  }
  return !['on', 'remote_apply'].includes(settings.get('synchronous_commit') ?? '');
}
