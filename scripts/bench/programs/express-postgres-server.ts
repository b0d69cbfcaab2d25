/*
 * The baseline of a cancel on Postgres: Express, drizzle-orm, pg and livekit-server-sdk, with pg-boss for the deletions, as a
 * team writes it that plans for failures of LiveKit. The job that deletes the room is sent in the transaction of the cancel.
 */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { eq, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { bigint, bigserial, pgTable, text } from 'drizzle-orm/pg-core';
import express, { type NextFunction, type Request, type Response } from 'express';
import { RoomServiceClient } from 'livekit-server-sdk';
import pg from 'pg';
import { fromDrizzle, PgBoss } from 'pg-boss';
import { z } from 'zod';
import { answerParent, listen, readOptions } from './parent.ts';

const QUEUE = 'delete-room';
/** Enough workers and jobs a fetch that the deletions keep up with the cancels as far as pg-boss can. */
const WORKERS = 4;
const JOBS_PER_FETCH = 32;

const {
  url,
  calls: count,
  prefix,
  apiKey,
  livekit,
} = readOptions(
  z.object({
    url: z.string(),
    calls: z.number(),
    prefix: z.string(),
    apiKey: z.string(),
    livekit: z.object({ url: z.string(), apiKey: z.string(), apiSecret: z.string() }),
  }),
);

const apiKeys = pgTable('api_keys', {
  hash: text().primaryKey(),
  organizationId: text('organization_id').notNull(),
});
const calls = pgTable('calls', {
  id: text().primaryKey(),
  organizationId: text('organization_id').notNull(),
  status: text().notNull(),
  roomName: text('room_name').notNull(),
  endedAt: bigint('ended_at', { mode: 'number' }),
});
const auditLog = pgTable('audit_log', {
  id: bigserial({ mode: 'number' }).primaryKey(),
  at: bigint({ mode: 'number' }).notNull(),
  callId: text('call_id').notNull(),
  action: text().notNull(),
});

const pool = new pg.Pool({ connectionString: url });
await pool.query(`
  CREATE TABLE api_keys (hash text PRIMARY KEY, organization_id text NOT NULL);
  CREATE TABLE calls (id text PRIMARY KEY, organization_id text NOT NULL, status text NOT NULL, room_name text NOT NULL, ended_at bigint);
  CREATE TABLE audit_log (id bigserial PRIMARY KEY, at bigint NOT NULL, call_id text NOT NULL, action text NOT NULL);
  CREATE INDEX audit_log_by_call ON audit_log (call_id);
  INSERT INTO calls SELECT id, 'org', 'active', id, NULL
    FROM (SELECT '${prefix}_' || lpad(i::text, 8, '0') AS id FROM generate_series(0, ${count - 1}) AS i) AS ids;
  ANALYZE;
`);
const db = drizzle(pool);
const hashOf = (key: string) => createHash('sha256').update(key).digest('hex');
await db.insert(apiKeys).values({ hash: hashOf(apiKey), organizationId: 'org' });

const rooms = new RoomServiceClient(livekit.url, livekit.apiKey, livekit.apiSecret);
const boss = new PgBoss({ connectionString: url, useListenNotify: true });
boss.on('error', (error) => console.error(error));
await boss.start();
await boss.createQueue(QUEUE, { retryLimit: 100, retryBackoff: true, notify: true });
await boss.work<{ roomName: string }>(
  QUEUE,
  {
    batchSize: JOBS_PER_FETCH,
    localConcurrency: WORKERS,
    pollingIntervalSeconds: 0.5,
    notifyPollingIntervalSeconds: 0.5,
  },
  async (jobs) => {
    await Promise.all(jobs.map(({ data }) => rooms.deleteRoom(data.roomName)));
  },
);

const fail = (response: Response, code: number, message: string) => {
  response.status(code).json({ error: { message, code } });
};

const app = express();
app.use(async (request: Request, response: Response, next: NextFunction) => {
  const key = request.get('x-api-key') ?? '';
  const [found] = await db
    .select()
    .from(apiKeys)
    .where(eq(apiKeys.hash, hashOf(key)));
  if (found === undefined) {
    fail(response, 401, 'Unauthorized');
    return;
  }
  response.locals['organizationId'] = found.organizationId;
  next();
});

app.delete('/api/v1/calls/:callId', async (request, response) => {
  const { callId: id } = request.params;
  const result = await db.transaction(async (tx) => {
    const [call] = await tx.select().from(calls).where(eq(calls.id, id)).for('update');
    if (call === undefined) return { code: 404, message: 'Call not found' } as const;
    if (call.organizationId !== response.locals['organizationId']) {
      return { code: 403, message: 'Access denied - call belongs to different organization' } as const;
    }
    if (call.status !== 'active') {
      return { code: 400, message: `Cannot cancel call with status: ${call.status}` } as const;
    }
    const now = Date.now();
    await tx.update(calls).set({ status: 'cancelled', endedAt: now }).where(eq(calls.id, id));
    await tx.insert(auditLog).values({ at: now, callId: id, action: 'call.cancelled' });
    await boss.send(QUEUE, { roomName: call.roomName }, { db: fromDrizzle(tx, sql) });
    return { code: 200 } as const;
  });
  if (result.code !== 200) {
    fail(response, result.code, result.message);
    return;
  }
  response.json({ data: { id, status: 'cancelled' }, message: 'Call cancelled successfully' });
});

// Answers the count of cancelled calls.
answerParent(await listen(createServer(app)), async () => {
  const [row] = await db
    .select({ n: sql<number>`count(*)::int` })
    .from(calls)
    .where(eq(calls.status, 'cancelled'));
  return { cancelled: row?.n ?? 0 };
});
