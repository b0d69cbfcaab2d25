import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { checkServer } from '../../src/store/postgres/check-server.ts';
import { SESSION_OPTIONS } from '../../src/store/postgres/session-settings.ts';
import { postgresDatabase } from '../harness/postgres.ts';

/** Connects with the settings of a first message. */
async function connect(options: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: await postgresDatabase(), options });
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

test.each([
  ['the options of hangup', SESSION_OPTIONS, true],
  ['another timeout', '-c statement_timeout=2s', false],
  ['no timeout', '-c statement_timeout=0', false],
  ['no options', '', false],
])('a session with %s is recognized', async (_, options, hasSessionSettings) => {
  expect(await checkServer(await connect(options))).toEqual({ isWeaklyDurable: false, hasSessionSettings });
});
