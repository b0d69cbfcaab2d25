/*
 * The baseline of webhooks: better-sqlite3 alone writes the rows that hangup writes for the same events, into hangup's own
 * schema. The rows are those that hangup wrote for one call before the measurement.
 */
import SqliteDatabase from 'better-sqlite3';
import { z } from 'zod';
import { placeOf } from '../journey.ts';
import { callId, eventId } from '../names.ts';
import { answerParent, readOptions } from './parent.ts';

const Columns = z.record(z.string(), z.union([z.string(), z.number(), z.null()]));
const { file, prefix, perCommit, steps } = readOptions(
  z.object({
    file: z.string(),
    prefix: z.string(),
    perCommit: z.number(),
    /** For each event of a call: the changed columns of the call, and the audit entry. */
    steps: z.array(z.object({ call: Columns, audit: Columns.nullable() })),
  }),
);

const db = new SqliteDatabase(file);
db.pragma('journal_mode = WAL');
db.pragma('synchronous = FULL');
db.pragma('foreign_keys = ON');

const insertEvent = db.prepare('INSERT INTO livekit_events (id, received_at) VALUES (?, ?)');
const writes = steps.map(({ call, audit }) => {
  const update = db.prepare(
    `UPDATE calls SET ${Object.keys(call)
      .map((name) => `${name} = ?`)
      .join(', ')} WHERE id = ?`,
  );
  const names = Object.keys(audit ?? {});
  const insert =
    audit === null
      ? null
      : db.prepare(
          `INSERT INTO audit_log (${names.join(', ')}, actor_id, subject_id) VALUES (${names.map(() => '?').join(', ')}, ?, ?)`,
        );
  return { update, insert, callValues: Object.values(call), auditValues: Object.values(audit ?? {}) };
});

let next = 0;
const writeBatch = db.transaction(() => {
  const now = Date.now();
  for (let i = 0; i < perCommit; i += 1) {
    const { call, step } = placeOf(next);
    const event = eventId(next);
    const id = callId(prefix, call);
    const write = writes[step];
    if (write === undefined) throw new Error(`no step ${step}`);
    insertEvent.run(event, now);
    if (write.update.run(...write.callValues, id).changes !== 1) throw new Error(`no call ${id}: seed more`);
    write.insert?.run(...write.auditValues, event, id);
    next += 1;
  }
});

answerParent(0, (message) => {
  const { seconds } = z.object({ seconds: z.number() }).parse(message);
  const first = next;
  const beganAt = performance.now();
  let nowAt = beganAt;
  for (; nowAt < beganAt + seconds * 1_000; nowAt = performance.now()) writeBatch.immediate();
  return { count: next - first, seconds: (nowAt - beganAt) / 1_000 };
});
