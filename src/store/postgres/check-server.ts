import type pg from 'pg';
import { StoreBusyError } from '../../domain/errors.ts';
import { DatabaseError } from '../database-error.ts';
import { STATEMENT_TIMEOUT_MS } from './session-settings.ts';

const OLDEST_VERSION = 140_000;

const NAMES = [
  'transaction_read_only',
  'synchronous_commit',
  'fsync',
  'server_version_num',
  'server_encoding',
] as const;

/** Not by pg_settings, which computes all settings. The server chooses the unit of the timeout: 3 s, but 2500 ms. */
const READ_SETTINGS = `SELECT ${NAMES.map((name) => `current_setting('${name}') AS ${name}`).join(', ')},
  extract(epoch FROM current_setting('statement_timeout')::interval)::float8 * 1000 AS statement_timeout_ms`;

type Settings = Record<(typeof NAMES)[number], string> & { readonly statement_timeout_ms: number };

export interface ServerFacts {
  /** A transaction must set a durable commit itself. */
  readonly isWeaklyDurable: boolean;
  /** The session has the settings of the first message, which a pooler can ignore. */
  readonly hasSessionSettings: boolean;
}

/**
 * Checks that a new connection can write durably.
 * @throws DatabaseError when the server can never be used
 */
export async function checkServer(client: pg.ClientBase): Promise<ServerFacts> {
  const { rows } = await client.query<Settings>(READ_SETTINGS);
  const [settings] = rows;
  if (settings === undefined) throw new StoreBusyError('the server returned no settings');
  if (settings.transaction_read_only === 'on') {
    throw new StoreBusyError('the server is read-only: it is a standby');
  }
  if (Number(settings.server_version_num) < OLDEST_VERSION) {
    throw new DatabaseError('The database is older than Postgres 14. Upgrade it.');
  }
  if (settings.server_encoding !== 'UTF8') {
    throw new DatabaseError(
      'The encoding of the database is not UTF8. Create a database with the encoding UTF8.',
    );
  }
  for (const name of ['synchronous_commit', 'fsync'] as const) {
    if (settings[name] === 'off') {
      throw new DatabaseError(
        `Durable writes are not available: ${name} is off. Set ${name} = on in Postgres.`,
      );
    }
  }
  return {
    isWeaklyDurable: !['on', 'remote_apply'].includes(settings.synchronous_commit),
    hasSessionSettings: settings.statement_timeout_ms === STATEMENT_TIMEOUT_MS,
  };
}
