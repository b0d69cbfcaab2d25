/*
 * The baseline of webhooks on Postgres: pg alone writes one event at a time into hangup's own schema: an INSERT of the event's
 * id and an UPDATE of the call, in one transaction.
 */
import pg from 'pg';
import { z } from 'zod';
import { placeOf } from '../journey.ts';
import { callId, eventId, roomSid } from '../names.ts';
import { answerParent, readOptions } from './parent.ts';

const { url, prefix, connections } = readOptions(
  z.object({ url: z.string(), prefix: z.string(), connections: z.number() }),
);

/** After each event of a call. */
const STATUSES = ['connecting', 'active', 'active', 'completed'] as const;

const INSERT = { name: 'insert', text: 'INSERT INTO livekit_events (id, received_at) VALUES ($1, $2)' };
const UPDATE = {
  name: 'update',
  text: `UPDATE calls SET status = $2, room_id = $3, started_at = coalesce(started_at, $4),
    ended_at = CASE WHEN $2 = 'completed' THEN $4::bigint END, updated_at = $4 WHERE id = $1`,
};

const pool = new pg.Pool({ connectionString: url, max: connections, min: connections });
let next = 0;

async function writeEvent(): Promise<void> {
  const index = next;
  next += 1;
  const { call, step } = placeOf(index);
  const now = Date.now();
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    await client.query({ ...INSERT, values: [eventId(index), now] });
    const { rowCount } = await client.query({
      ...UPDATE,
      values: [callId(prefix, call), STATUSES[step], roomSid(call), now],
    });
    if (rowCount !== 1) throw new Error(`no call ${callId(prefix, call)}: seed more`);
    await client.query('COMMIT');
  } finally {
    client.release();
  }
}

answerParent(0, async (message) => {
  const { seconds } = z.object({ seconds: z.number() }).parse(message);
  const first = next;
  const beganAt = performance.now();
  const endAt = beganAt + seconds * 1_000;
  const write = async () => {
    while (performance.now() < endAt) await writeEvent();
  };
  await Promise.all(Array.from({ length: connections }, write));
  return { count: next - first, seconds: (performance.now() - beganAt) / 1_000 };
});
