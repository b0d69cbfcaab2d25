/*
 * The baseline of cancels that share commits: better-sqlite3 alone writes the rows that hangup writes for a cancel, into
 * hangup's own schema, 32 cancels a commit. Each commit also settles the deletions of the previous 32 cancels.
 */
import SqliteDatabase from 'better-sqlite3';
import { z } from 'zod';
import { callId } from '../names.ts';
import { answerParent, readOptions } from './parent.ts';

const { file, prefix } = readOptions(z.object({ file: z.string(), prefix: z.string() }));
const PER_COMMIT = 32;

const db = new SqliteDatabase(file);
db.pragma('journal_mode = WAL');
db.pragma('synchronous = FULL');
db.pragma('foreign_keys = ON');

const apiKey = db.prepare<[], { id: string; organization: string }>(
  'SELECT id, organization_id AS organization FROM api_keys',
);
const { id: keyId, organization } = z
  .object({ id: z.string(), organization: z.string() })
  .parse(apiKey.get());
const cancel = db.prepare(
  `UPDATE calls SET status = 'cancelled', ended_at = @now, cancelled_by = @keyId, updated_at = @now WHERE id = @id`,
);
const openDeletion = db.prepare(
  `INSERT INTO room_deletions (call_id, room_name, state, attempt, scheduled_at, attempted_at, created_at)
   VALUES (@id, @id, 'running', 1, @now + 5000, @now, @now)`,
);
const audit = db.prepare(
  `INSERT INTO audit_log (at, organization_id, action, actor, actor_id, subject_id, from_status, to_status)
   VALUES (@now, @organization, 'call.status_changed', 'api_key', @keyId, @id, 'initiated', 'cancelled')`,
);
const auditDeletion = db.prepare(
  `INSERT INTO audit_log (at, organization_id, action, actor, subject_id, details)
   VALUES (@now, @organization, 'call.room_deletion', 'reconciler', @id, @details)`,
);
const detailsOf = (state: string) => JSON.stringify({ state, attempt: 1, error: null });
const settle = db.prepare(
  `UPDATE room_deletions SET state = 'completed', finalized_at = @now WHERE call_id = @id AND state = 'running'`,
);

let next = 0;
let unsettled: string[] = [];
const writeBatch = db.transaction((ids: readonly string[]) => {
  const now = Date.now();
  for (const id of ids) {
    if (cancel.run({ id, now, keyId }).changes !== 1) throw new Error(`no call ${id}: seed more`);
    openDeletion.run({ id, now });
    audit.run({ id, now, keyId, organization });
    auditDeletion.run({ id, now, organization, details: detailsOf('running') });
  }
  for (const id of unsettled) {
    settle.run({ id, now });
    auditDeletion.run({ id, now, organization, details: detailsOf('completed') });
  }
});

answerParent(0, (message) => {
  const { seconds } = z.object({ seconds: z.number() }).parse(message);
  const beganAt = performance.now();
  let count = 0;
  let nowAt = beganAt;
  for (; nowAt < beganAt + seconds * 1_000; nowAt = performance.now()) {
    const ids = Array.from({ length: PER_COMMIT }, (_, i) => callId(prefix, next + i));
    writeBatch.immediate(ids);
    unsettled = ids;
    next += PER_COMMIT;
    count += PER_COMMIT;
  }
  return { count, seconds: (nowAt - beganAt) / 1_000 };
});
