/*
 * The baseline of a cancel: Express, drizzle-orm, better-sqlite3 and livekit-server-sdk, as a team writes it that does not
 * plan for failures. One transaction for each cancel; a room that LiveKit does not delete stays.
 */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import SqliteDatabase from 'better-sqlite3';
import { eq, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/better-sqlite3';
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import express, { type NextFunction, type Request, type Response } from 'express';
import { RoomServiceClient } from 'livekit-server-sdk';
import { z } from 'zod';
import { callId } from '../names.ts';
import { answerParent, listen, readOptions } from './parent.ts';

const {
  file,
  calls: count,
  prefix,
  apiKey,
  livekit,
} = readOptions(
  z.object({
    file: z.string(),
    calls: z.number(),
    prefix: z.string(),
    apiKey: z.string(),
    livekit: z.object({ url: z.string(), apiKey: z.string(), apiSecret: z.string() }),
  }),
);

const apiKeys = sqliteTable('api_keys', {
  hash: text().primaryKey(),
  organizationId: text('organization_id').notNull(),
});
const calls = sqliteTable('calls', {
  id: text().primaryKey(),
  organizationId: text('organization_id').notNull(),
  status: text().notNull(),
  roomName: text('room_name').notNull(),
  endedAt: integer('ended_at'),
});
const auditLog = sqliteTable('audit_log', {
  id: integer().primaryKey({ autoIncrement: true }),
  at: integer().notNull(),
  callId: text('call_id').notNull(),
  action: text().notNull(),
});

const client = new SqliteDatabase(file);
client.pragma('journal_mode = WAL');
client.pragma('synchronous = FULL');
client.exec(`
  CREATE TABLE api_keys (hash TEXT PRIMARY KEY, organization_id TEXT NOT NULL);
  CREATE TABLE calls (id TEXT PRIMARY KEY, organization_id TEXT NOT NULL, status TEXT NOT NULL, room_name TEXT NOT NULL, ended_at INTEGER);
  CREATE TABLE audit_log (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, call_id TEXT NOT NULL, action TEXT NOT NULL);
  CREATE INDEX audit_log_by_call ON audit_log (call_id);
`);
const db = drizzle(client);
const hashOf = (key: string) => createHash('sha256').update(key).digest('hex');
db.insert(apiKeys)
  .values({ hash: hashOf(apiKey), organizationId: 'org' })
  .run();
const insert = client.prepare("INSERT INTO calls VALUES (?, 'org', 'active', ?, NULL)");
client.transaction(() => {
  for (let i = 0; i < count; i += 1) insert.run(callId(prefix, i), callId(prefix, i));
})();

const rooms = new RoomServiceClient(livekit.url, livekit.apiKey, livekit.apiSecret);
const fail = (response: Response, code: number, message: string) => {
  response.status(code).json({ error: { message, code } });
};

const app = express();
app.use((request: Request, response: Response, next: NextFunction) => {
  const key = request.get('x-api-key') ?? '';
  const found = db
    .select()
    .from(apiKeys)
    .where(eq(apiKeys.hash, hashOf(key)))
    .get();
  if (found === undefined) {
    fail(response, 401, 'Unauthorized');
    return;
  }
  response.locals['organizationId'] = found.organizationId;
  next();
});

app.delete('/api/v1/calls/:callId', async (request, response) => {
  const { callId: id } = request.params;
  const result = db.transaction(
    (tx) => {
      const call = tx.select().from(calls).where(eq(calls.id, id)).get();
      if (call === undefined) return { code: 404, message: 'Call not found' } as const;
      if (call.organizationId !== response.locals['organizationId']) {
        return { code: 403, message: 'Access denied - call belongs to different organization' } as const;
      }
      if (call.status !== 'active') {
        return { code: 400, message: `Cannot cancel call with status: ${call.status}` } as const;
      }
      const now = Date.now();
      tx.update(calls).set({ status: 'cancelled', endedAt: now }).where(eq(calls.id, id)).run();
      tx.insert(auditLog).values({ at: now, callId: id, action: 'call.cancelled' }).run();
      return { code: 200, roomName: call.roomName } as const;
    },
    { behavior: 'immediate' },
  );
  if (result.code !== 200) {
    fail(response, result.code, result.message);
    return;
  }
  await rooms.deleteRoom(result.roomName);
  response.json({ data: { id, status: 'cancelled' }, message: 'Call cancelled successfully' });
});

// Answers the count of cancelled calls.
answerParent(await listen(createServer(app)), () => {
  const row = db.select({ n: sql<number>`count(*)` }).from(calls).where(eq(calls.status, 'cancelled')).get();
  return { cancelled: row?.n ?? 0 };
});
