/*
 * `node scripts/bench/prune.ts [CALLS]`: measures how long pruning blocks the store. Prunes 200,000 calls by default, each
 * with a room deletion, four audit entries and three event ids. Fails above 50 ms.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { pruneBatch } from '../../src/operations/retention/prune.ts';
import type { Store } from '../../src/ports/store.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';

const MAX_HOLD_MS = 50;
const DAY_MS = 86_400_000;
const count = Number(process.argv[2] ?? 200_000);

const folder = mkdtempSync(join(tmpdir(), 'hangup-bench-'));
const file = join(folder, 'hangup.db');
try {
  openSqliteStore(file).close();
  fill();
  process.exitCode = (await pruneAll()) > MAX_HOLD_MS ? 1 : 0;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function fill(): void {
  const client = new SqliteDatabase(file);
  client.pragma('foreign_keys = OFF');
  // Random ids, as clients choose them, are the worst case for the indexes.
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

/** Returns the longest time that one batch blocked the store, in milliseconds. */
async function pruneAll(): Promise<number> {
  const store = openSqliteStore(file);
  const holds = new Map<string, number[]>();
  // CPU time of the longest batch, without the load of other processes.
  let cpuMs = 0;
  const measured = new Proxy(store, {
    get(target, name: keyof Store) {
      const method = target[name] as (input: unknown) => Promise<unknown>;
      return (input: unknown) => {
        const startedAt = performance.now();
        const before = process.cpuUsage();
        // The store completes its work before it returns the promise.
        const result = method(input);
        const { user, system } = process.cpuUsage(before);
        cpuMs = Math.max(cpuMs, (user + system) / 1_000);
        const times = holds.get(name) ?? [];
        holds.set(name, times);
        times.push(performance.now() - startedAt);
        return result;
      };
    },
  });
  const startedAt = performance.now();
  const retention = { endedCallsMs: DAY_MS, auditMs: DAY_MS, eventIdsMs: DAY_MS };
  const policy = { agentLeftGraceMs: 0, reconnectGraceMs: 0, recreatedRoomWindowMs: DAY_MS };
  const clock = { now: () => DAY_MS + count + 1 };
  while (
    (await pruneBatch({ store: measured, clock, retention, callSettings: { policy, agentIdKey: 'agentId' } }))
      .hasMore
  );
  const seconds = (performance.now() - startedAt) / 1_000;
  const remaining = await store.countPrunable({
    callsBefore: count + 1,
    auditBefore: count + 1,
    eventsBefore: count + 1,
  });
  store.close();

  const at = (sorted: readonly number[], share: number) =>
    (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(1);
  process.stdout.write(
    `${count} calls in ${seconds.toFixed(1)} s; remaining: ${JSON.stringify(remaining)}\n`,
  );
  for (const [name, times] of holds) {
    const sorted = times.toSorted((a, b) => a - b);
    const summary = `median ${at(sorted, 0.5)} ms, 99% ${at(sorted, 0.99)} ms, longest ${at(sorted, 1)} ms`;
    process.stdout.write(`${name.padEnd(22)} ${sorted.length} batches: ${summary}\n`);
  }
  const longestMs = [...holds.values()].flat().reduce((a, b) => Math.max(a, b), 0);
  process.stdout.write(
    `longest batch: ${longestMs.toFixed(1)} ms, CPU at most ${cpuMs.toFixed(1)} ms (limit: ${MAX_HOLD_MS} ms)\n`,
  );
  return longestMs;
}
