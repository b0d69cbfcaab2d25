import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { drizzle } from 'drizzle-orm/better-sqlite3';
import type { DatabaseFacts, RecordFacts } from '../../doctor/diagnosis.ts';
import { isLive } from '../../domain/call.ts';
import { NO_PROC } from '../../platform/assets.ts';
import { countLive } from './counts.ts';
import { adviceFor, type Database, openSqlite, schemaAge } from './database.ts';
import { listLiveKitServers } from './livekit-servers.ts';

const READABLE_BY_OTHERS = 0o004;
/** Long enough for another process's checkpoint. */
const BUSY_TIMEOUT_MS = 2_000;

const UNUSABLE_ADVICE =
  'check that DATABASE_URL names a database of hangup that this user may read; else restore a backup';

/**
 * Looks at a database, also while hangup works on it, and writes nothing into it. Beside one that nobody has open
 * SQLite leaves an empty -wal and a -shm, which the next one to close it takes away. Never throws.
 */
export function inspectDatabase(
  file: string,
  { roomNames, userId }: { roomNames: readonly string[]; userId: number | undefined },
): DatabaseFacts {
  try {
    const there = statSync(file, { throwIfNoEntry: false });
    if (there === undefined) return { kind: 'missing' };
    if (!there.isFile()) return { kind: 'unusable', detail: 'it is no file', advice: UNUSABLE_ADVICE };
    const client = openSqlite(file, { readonly: true, timeout: BUSY_TIMEOUT_MS });
    try {
      return { ...filesOf(file, userId), ...inside(drizzle(client), roomNames) };
    } finally {
      client.close();
    }
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    const isNoProc = error instanceof Error && 'code' in error && error.code === NO_PROC;
    return { kind: 'unusable', detail, advice: isNoProc ? adviceFor(error) : UNUSABLE_ADVICE };
  }
}

type OpenFacts = Extract<DatabaseFacts, { kind: 'open' }>;

function filesOf(
  file: string,
  userId: number | undefined,
): Pick<OpenFacts, 'publicFiles' | 'isOwn' | 'isWritable' | 'freeBytes' | 'walBytes'> {
  const files = [file, `${file}-wal`, `${file}-shm`].filter((one) => existsSync(one));
  const { bavail, bsize } = statfsSync(dirname(file));
  return {
    publicFiles: files.filter((one) => (statSync(one).mode & READABLE_BY_OTHERS) !== 0),
    isOwn: userId === undefined || statSync(file).uid === userId,
    // SQLite makes -wal and -shm beside it.
    isWritable: [...files, dirname(file)].every((one) => mayWrite(one)),
    freeBytes: bavail * bsize,
    walBytes: statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0,
  };
}

function mayWrite(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function inside(
  db: Database,
  roomNames: readonly string[],
): Omit<OpenFacts, 'publicFiles' | 'isOwn' | 'isWritable' | 'freeBytes' | 'walBytes'> {
  const { $client: client } = db;
  const journalMode = String(client.pragma('journal_mode', { simple: true }));
  const said = client.pragma('quick_check(10)') as { quick_check: string }[];
  const corruption = said.map((row) => row.quick_check).filter((line) => line !== 'ok');
  const schema = schemaAge(client);
  const record = schema === 'current' && corruption.length === 0 ? recordOf(db, roomNames) : null;
  return { kind: 'open', schema, journalMode, corruption, record };
}

function recordOf(db: Database, roomNames: readonly string[]): RecordFacts {
  const { $client: client } = db;
  const last = client
    .prepare<[], { at: number | null }>('SELECT max(received_at) AS at FROM livekit_events')
    .get();
  const statusOf = client.prepare<[string], { status: Parameters<typeof isLive>[0] }>(
    'SELECT status FROM calls WHERE room_name = ? ORDER BY created_at DESC, id DESC LIMIT 1',
  );
  const rooms = { live: 0, ended: 0, unknown: 0 };
  for (const roomName of roomNames) {
    const call = statusOf.get(roomName);
    rooms[call === undefined ? 'unknown' : isLive(call.status) ? 'live' : 'ended'] += 1;
  }
  return {
    census: countLive(db),
    lastWebhookAt: last?.at ?? null,
    livekitServers: listLiveKitServers(db),
    rooms,
  };
}
