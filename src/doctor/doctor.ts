import { resolve } from 'node:path';
import type { Timestamp } from '../domain/time.ts';
import { type DatabaseAddress, describeDatabase } from '../platform/database-address.ts';
import type { CallFacts, DatabaseFacts, LiveKitFacts, PostgresFacts } from '../ports/diagnostics.ts';
import type { LiveKitServer } from '../ports/livekit.ts';
import type { Clock } from '../ports/system.ts';
import { assessAccess } from './checks/access.ts';
import { assessClockSkew } from './checks/clock-skew.ts';
import { assessCredentials } from './checks/credentials.ts';
import { assessDatabaseFile, inspectDatabaseFile } from './checks/database-file.ts';
import { assessDeletions } from './checks/deletions.ts';
import { assessDiskSpace } from './checks/disk-space.ts';
import { assessDurability } from './checks/durability.ts';
import { assessIntegrity } from './checks/integrity.ts';
import { assessLiveKitAddress } from './checks/livekit-address.ts';
import { assessLiveKitVersion } from './checks/livekit-version.ts';
import { assessPostgres, assessPostgresDurability } from './checks/postgres.ts';
import { assessRooms } from './checks/rooms.ts';
import { assessIncompleteCopy, assessSchema } from './checks/schema.ts';
import { assessSettings, inspectSettings } from './checks/settings.ts';
import { assessWalSize } from './checks/wal-size.ts';
import { assessWebhooks } from './checks/webhooks.ts';
import type { Finding } from './finding.ts';

const LIVEKIT_TIMEOUT_MS = 5_000;

/** Access to the database and to LiveKit. No function throws or changes anything. */
export interface Inspectors {
  readonly inspectDatabase: (
    file: string,
    options: { roomNames: readonly string[]; now: Timestamp },
  ) => DatabaseFacts;
  readonly inspectPostgres: (
    url: string,
    subject: { roomNames: readonly string[] },
  ) => Promise<PostgresFacts>;
  readonly probeLiveKit: (server: LiveKitServer, options: { timeoutMs: number }) => Promise<LiveKitFacts>;
}

/** Returns the findings of all checks. Changes nothing, and can run beside a hangup on the same database. */
export async function runChecks(inspectors: Inspectors, clock: Clock): Promise<readonly Finding[]> {
  const settingsFacts = inspectSettings();
  const settingsFindings = assessSettings(settingsFacts);
  // The other checks need valid settings.
  if (settingsFacts.kind === 'invalid') return settingsFindings;

  const { livekit: server, database: address } = settingsFacts.settings;
  const livekit =
    server === null
      ? null
      : {
          url: server.url,
          facts: await inspectors.probeLiveKit(server, { timeoutMs: LIVEKIT_TIMEOUT_MS }),
        };
  const roomNames = listedRooms(livekit?.facts ?? null);
  const database = await checkDatabase(address, inspectors, {
    roomNames: roomNames ?? [],
    now: clock.now(),
  });
  return [
    ...settingsFindings,
    ...database.findings,
    assessLiveKitAddress(livekit, database.calls?.livekitServers ?? []),
    ...(livekit === null ? [] : assessLiveKit(livekit.facts)),
    ...(database.calls === null
      ? []
      : assessCalls(database.calls, { now: clock.now(), areRoomsListed: roomNames !== null })),
  ];
}

/** Returns the names of LiveKit's rooms; null without a list of rooms. */
function listedRooms(facts: LiveKitFacts | null): readonly string[] | null {
  return facts?.kind === 'answered' && facts.verdict.kind === 'accepted' ? facts.verdict.roomNames : null;
}

interface DatabaseReport {
  readonly findings: readonly Finding[];
  readonly calls: CallFacts | null;
}

async function checkDatabase(
  address: DatabaseAddress,
  { inspectDatabase, inspectPostgres }: Inspectors,
  subject: { roomNames: readonly string[]; now: Timestamp },
): Promise<DatabaseReport> {
  if (address.kind === 'sqlite')
    return checkFile(resolve(address.file), (file) => inspectDatabase(file, subject));
  const name = describeDatabase(address);
  const facts = await inspectPostgres(address.url, subject);
  if (facts.kind === 'unusable') return { findings: [assessPostgres(name, facts)], calls: null };
  const hasNoTables = facts.schema === 'uninitialized';
  const database = hasNoTables ? assessPostgres(name, facts) : assessContents(name, facts);
  return { findings: [database, assessPostgresDurability(facts)], calls: facts.calls };
}

const assessContents = (
  name: string,
  facts: Pick<PostgresFacts & { kind: 'open' }, 'schema' | 'isIncompleteCopy'>,
) => (facts.isIncompleteCopy ? assessIncompleteCopy(name) : assessSchema(name, facts.schema));

function checkFile(file: string, inspectContents: (file: string) => DatabaseFacts): DatabaseReport {
  // The attributes are read before the contents: a read by SQLite can create the -wal and the -shm.
  const facts = inspectDatabaseFile(file, process.getuid?.());
  if (facts.kind !== 'present') return { findings: [assessDatabaseFile(file, facts)], calls: null };
  const contents = inspectContents(file);
  if (contents.kind === 'unusable') return { findings: [assessDatabaseFile(file, contents)], calls: null };
  const findings = [
    assessContents(file, contents),
    assessIntegrity(contents.corruption),
    assessDurability(contents.journalMode),
    assessAccess(file, facts.access),
    assessDiskSpace(facts.freeBytes),
    ...assessWalSize(file, facts.walBytes),
  ];
  return { findings, calls: contents.calls };
}

function assessLiveKit(facts: LiveKitFacts): Finding[] {
  if (facts.kind === 'unreachable' || facts.verdict.kind === 'not_livekit') return [];
  const { verdict, clockSkewMs } = facts;
  return [assessCredentials(verdict, clockSkewMs), assessClockSkew(clockSkewMs), assessLiveKitVersion()];
}

function assessCalls(
  calls: CallFacts,
  { now, areRoomsListed }: { now: number; areRoomsListed: boolean },
): Finding[] {
  return [
    ...(areRoomsListed ? [assessRooms(calls.rooms)] : []),
    assessDeletions(calls.counts, now),
    assessWebhooks(calls, now),
  ];
}
