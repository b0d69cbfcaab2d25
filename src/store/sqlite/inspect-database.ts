import { drizzle } from 'drizzle-orm/better-sqlite3';
import { isLive } from '../../domain/call-status.ts';
import { errorCode, errorMessage } from '../../domain/errors.ts';
import type { Timestamp } from '../../domain/time.ts';
import { NO_PROC } from '../../platform/assets.ts';
import type { CallFacts, DatabaseFacts } from '../../ports/diagnostics.ts';
import { COPY_TABLE } from '../copy/copy-mark.ts';
import { countLive } from './counts.ts';
import {
  adviceForDatabaseError,
  BUSY_TIMEOUT_MS,
  type Database,
  hasTable,
  openSqlite,
  readSchemaVersion,
} from './database.ts';
import { listLiveKitServers } from './livekit-servers.ts';

interface Subject {
  readonly roomNames: readonly string[];
  readonly now: Timestamp;
}

/**
 * Reads the contents of a database, also while hangup uses it, and writes nothing into it. Never throws.
 * SQLite can leave an empty -wal and a -shm. The next process that opens and closes the database removes them.
 */
export function inspectDatabase(file: string, subject: Subject): DatabaseFacts {
  try {
    const client = openSqlite(file, { readonly: true, timeout: BUSY_TIMEOUT_MS });
    try {
      return inspectContents(drizzle(client), subject);
    } finally {
      client.close();
    }
  } catch (error) {
    const advice = errorCode(error) === NO_PROC ? adviceForDatabaseError(error) : null;
    return { kind: 'unusable', detail: errorMessage(error), advice };
  }
}

function inspectContents(db: Database, subject: Subject): DatabaseFacts {
  const { $client: client } = db;
  const journalMode = String(client.pragma('journal_mode', { simple: true }));
  const rows = client.pragma('quick_check(10)') as { quick_check: string }[];
  const corruption = rows.map((row) => row.quick_check).filter((line) => line !== 'ok');
  const schema = readSchemaVersion(client);
  const isIncompleteCopy = hasTable(client, COPY_TABLE);
  const isReadable = schema === 'current' && corruption.length === 0 && !isIncompleteCopy;
  const calls = isReadable ? readCallFacts(db, subject) : null;
  return { kind: 'open', schema, isIncompleteCopy, journalMode, corruption, calls };
}

function readCallFacts(db: Database, { roomNames, now }: Subject): CallFacts {
  const { $client: client } = db;
  const lastWebhook = client
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
    counts: countLive(db, now),
    lastWebhookAt: lastWebhook?.at ?? null,
    livekitServers: listLiveKitServers(db),
    rooms,
  };
}
