/*
 * How long pruning holds the store at a time: `node scripts/bench/prune.ts [CALLS]`, 200,000 calls unless told, each with
 * its room deletion, four entries of the audit log and three of LiveKit's event ids. Fails above 50 ms.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { pruneBatch } from '../../src/operations/retention/prune.ts';
import type { Store } from '../../src/ports/store.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';

const ALLOWED_MS = 50;
const DAY_MS = 86_400_000;
const count = Number(process.argv[2] ?? 200_000);

const folder = mkdtempSync(join(tmpdir(), 'hangup-bench-'));
const file = join(folder, 'hangup.db');
try {
  openSqliteStore(file).close();
  fill();
  process.exitCode = (await pruneAll()) > ALLOWED_MS ? 1 : 0;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function fill(): void {
  const client = new SqliteDatabase(file);
  client.pragma('foreign_keys = OFF');
  // Ids are in no order, as those that clients choose: the worst case for the indexes.
  client.exec(`
    CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
      SELECT i, lower(hex(randomblob(16))) AS id FROM n;
    INSERT INTO organizations VALUES ('o', 'acme', 1);
    INSERT INTO calls (id, organization_id, status, direction, phone_number, agent_id, room_name, metadata, created_at, updated_at, ended_at)
      SELECT id, 'o', 'completed', 'outbound', '+1555' || i, 'a' || i % 50, id, '{"customer":"' || id || '"}', i, i, i FROM n;
    INSERT INTO room_deletions (call_id, room_name, state, attempt, scheduled_at, attempted_at, finalized_at, created_at)
      SELECT id, id, 'completed', 1, i, i, i, i FROM n;
    INSERT INTO audit_log (at, organization_id, action, actor, subject_id, from_status, to_status)
      SELECT i, 'o', 'call.status_changed', 'livekit', id, 'ringing', 'active' FROM n, (VALUES (1), (2), (3), (4));
    INSERT INTO livekit_events SELECT 'EV_' || lower(hex(randomblob(8))), i FROM n, (VALUES (1), (2), (3));
  `);
  client.pragma('foreign_keys = ON');
  client.close();
}

/** @returns the longest time for which the store was held, in milliseconds */
async function pruneAll(): Promise<number> {
  const store = openSqliteStore(file);
  const holds = new Map<string, number[]>();
  // Of the longest; what a busy machine adds is not in it.
  let cpuMs = 0;
  const measured = new Proxy(store, {
    get(target, name: keyof Store) {
      const method = target[name] as (input: unknown) => Promise<unknown>;
      return (input: unknown) => {
        const begunAt = performance.now();
        const before = process.cpuUsage();
        // The store does its work before it returns the promise.
        const result = method(input);
        const { user, system } = process.cpuUsage(before);
        cpuMs = Math.max(cpuMs, (user + system) / 1_000);
        const ofName = holds.get(name) ?? [];
        holds.set(name, ofName);
        ofName.push(performance.now() - begunAt);
        return result;
      };
    },
  });
  const begunAt = performance.now();
  const retention = { endedCallsMs: DAY_MS, auditMs: DAY_MS, eventIdsMs: DAY_MS };
  const policy = { agentLeftGraceMs: 0, reconnectGraceMs: 0, recreatedRoomWindowMs: DAY_MS };
  const clock = { now: () => DAY_MS + count + 1 };
  while (
    (await pruneBatch({ store: measured, clock, retention, events: { policy, agentIdKey: 'agentId' } })).more
  );
  const seconds = (performance.now() - begunAt) / 1_000;
  const left = await store.countPrunable({
    callsBefore: count + 1,
    auditBefore: count + 1,
    eventsBefore: count + 1,
  });
  store.close();

  const at = (sorted: readonly number[], share: number) =>
    (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(1);
  process.stdout.write(`${count} calls in ${seconds.toFixed(1)} s; left: ${JSON.stringify(left)}\n`);
  for (const [name, times] of holds) {
    const sorted = times.toSorted((a, b) => a - b);
    const shown = `median ${at(sorted, 0.5)} ms, 99% ${at(sorted, 0.99)} ms, longest ${at(sorted, 1)} ms`;
    process.stdout.write(`${name.padEnd(22)} ${sorted.length} batches: ${shown}\n`);
  }
  const longestMs = [...holds.values()].flat().reduce((a, b) => Math.max(a, b), 0);
  process.stdout.write(
    `longest hold: ${longestMs.toFixed(1)} ms, at most ${cpuMs.toFixed(1)} ms of it on the CPU (allowed: ${ALLOWED_MS} ms)\n`,
  );
  return longestMs;
}
