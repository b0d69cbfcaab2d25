import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { inject, onTestFinished } from 'vitest';
import { openDatabase } from '../../src/store/postgres/database.ts';
import { query, START_TIMEOUT_MS, startPostgresServer } from './postgres-server.ts';

/*
 * Postgres for tests: the server of TEST_POSTGRES_URL, or one that the first test of the run starts in the folder of the run.
 * Each database of a test is a copy of a migrated one.
 */

const TEMPLATE = 'hangup_template';

/** Returns the URL of the run's server, which the first caller starts. The other test files wait for the URL. */
async function sharedServer(): Promise<string> {
  const folder = join(inject('temporaryFolder'), 'postgres');
  const ready = `${folder}.url`;
  try {
    mkdirSync(`${folder}.lock`);
  } catch {
    return waitForFile(ready);
  }
  const url = process.env.TEST_POSTGRES_URL ?? (await startPostgresServer(folder)).url;
  await query(url, `CREATE DATABASE ${template()}`);
  const migrated = await openDatabase({ url: withDatabase(url, template()) });
  await migrated.close();
  writeFileSync(`${ready}.new`, url);
  renameSync(`${ready}.new`, ready);
  return url;
}

/** Several runs can share the server of TEST_POSTGRES_URL. */
const template = () =>
  `${TEMPLATE}_${inject('temporaryFolder').replaceAll(/\W/g, '').toLowerCase().slice(-12)}`;

async function waitForFile(file: string): Promise<string> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (!existsSync(file)) {
    if (performance.now() > deadline) throw new Error('Postgres did not start');
    await delay(20);
  }
  return readFileSync(file, 'utf8');
}

export function withDatabase(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}

/** Starts a server for one test file, which may stop it. */
export const startOwnServer = (name: string) =>
  startPostgresServer(join(inject('temporaryFolder'), `postgres-${name}`));

let databases = 0;

/** Creates a database without rows, migrated or without tables. The caller removes it. */
export async function createPostgresDatabase({ isMigrated = true } = {}): Promise<{
  readonly url: string;
  remove(): Promise<void>;
}> {
  const server = await sharedServer();
  databases += 1;
  const name = `${template()}_${process.pid}_${databases}`;
  await query(server, `CREATE DATABASE ${name} TEMPLATE ${isMigrated ? template() : 'template0'}`);
  return {
    url: withDatabase(server, name),
    async remove() {
      await query(server, `DROP DATABASE ${name} WITH (FORCE)`);
    },
  };
}

/** Creates a database as {@link createPostgresDatabase}, and removes it after the test. Returns its URL. */
export async function postgresDatabase(options: { isMigrated?: boolean } = {}): Promise<string> {
  const { url, remove } = await createPostgresDatabase(options);
  onTestFinished(remove);
  return url;
}
