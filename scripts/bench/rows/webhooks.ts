import { join } from 'node:path';
import { z } from 'zod';
import type { Bench } from '../context.ts';
import type { Group, Side } from '../group.ts';
import {
  copyDatabase,
  createDatabase,
  type Database,
  expectCount,
  type HangupServer,
  startHangup,
  withDatabase,
} from '../hangup.ts';
import { countFinished, EVENTS_PER_CALL, eventOf, makeEvent } from '../journey.ts';
import { signWebhook, startLiveKitStub } from '../livekit.ts';
import { type Report, RequestFile } from '../load.ts';
import { callId } from '../names.ts';
import { startProgram } from '../processes.ts';
import { seedEndedCalls, seedInitiatedCalls } from '../seed.ts';
import { getRequests, READ_CALLS, READ_PREFIX } from './reads.ts';

const PREFIX = 'hook';
const CONNECTIONS = 64;
const PER_SECOND = { hangup: 20_000, raw: 80_000, slow: 2_000 };
const PER_COMMIT = 32;

/** Makes each fsync of a process 2 ms longer. With a seccomp filter, strace stops the process at no other call. */
const SLOW_FSYNC = [
  'strace',
  ...['--seccomp-bpf', '-f', '-qq', '-o', '/dev/null'],
  ...['-e', 'trace=fsync,fdatasync', '-e', 'inject=fsync,fdatasync:delay_exit=2000'],
];

export const webhooks: readonly Group[] = [
  {
    rows: [
      {
        name: 'webhooks-64',
        title: 'webhooks, 64 at once, signatures checked',
        unit: '/s',
        measured: 'hangup',
        against: 'raw',
        baseline: `better-sqlite3 alone, synchronous=FULL, the same rows, ${PER_COMMIT} events a commit`,
        goal: { ratioAtLeast: 0.25 },
      },
    ],
    open: (bench) => open(bench, { prefix: [], perCommit: PER_COMMIT, rawPerSecond: PER_SECOND.raw }),
  },
  {
    rows: [
      {
        name: 'webhooks-slow-fsync',
        title: 'webhooks, 64 at once, each fsync 2 ms slower',
        unit: '/s',
        measured: 'hangup',
        against: 'raw',
        baseline: 'better-sqlite3 alone, synchronous=FULL, the same rows, one transaction for each event',
        goal: { ratioAtLeast: 12 },
      },
    ],
    open: (bench) => open(bench, { prefix: SLOW_FSYNC, perCommit: 1, rawPerSecond: PER_SECOND.slow }),
  },
  {
    rows: [
      {
        name: 'get-p99-webhooks',
        title: 'GET one, 64 at once: p99 while 64 connections send webhooks',
        unit: 'ms',
        measured: 'beside',
        against: 'idle',
        baseline: 'the same without webhooks',
        goal: { ratioAtMost: 3 },
      },
      {
        name: 'get-p99-webhooks-paced',
        title: 'GET one, 100 a second: p99 while 64 connections send webhooks',
        unit: 'ms',
        measured: 'besidePaced',
        against: 'idlePaced',
        baseline: 'the same without webhooks',
        goal: null,
      },
    ],
    open: openReads,
  },
];

async function open(
  bench: Bench,
  { prefix, perCommit, rawPerSecond }: { prefix: readonly string[]; perCommit: number; rawPerSecond: number },
): Promise<Record<string, Side>> {
  const livekit = await startLiveKitStub(bench);
  const database = createDatabase(bench, 'webhooks');
  const copy = copyDatabase(database, 'raw');
  const events = Math.ceil(PER_SECOND.hangup * bench.seconds * bench.runs);
  const rawEvents = Math.ceil(rawPerSecond * bench.seconds * bench.runs);
  seedInitiatedCalls(database, PREFIX, callsFor(events));
  seedInitiatedCalls(copy, PREFIX, callsFor(rawEvents));
  const server = await startHangup(bench, { database, livekitPort: livekit.port, prefix });
  const steps = await recordSteps(server, database);
  const raw = bench.resources.use(
    await startProgram('raw-events', {
      core: bench.cores?.server ?? null,
      options: { file: copy.file, prefix: PREFIX, perCommit, steps },
      answer: z.object({ count: z.number(), seconds: z.number() }),
      prefix,
    }),
  );
  let written = 0;
  // The sample call has rows of its own.
  const send = webhookLoad(bench, { server, database, events, otherCalls: 1 });
  return {
    async hangup() {
      const { count, seconds } = await send({ connections: CONNECTIONS });
      return count / seconds;
    },
    async raw() {
      const { count, seconds } = await raw.request({ seconds: bench.seconds });
      written += count;
      expectWritten(copy, written);
      return count / seconds;
    },
  };
}

const callsFor = (events: number) => Math.ceil(events / EVENTS_PER_CALL) + 256;

/** Starts hangup, which receives webhooks over the given number of connections in each measurement. */
export async function openWebhooks(bench: Bench): Promise<WebhookLoad> {
  const livekit = await startLiveKitStub(bench);
  const database = createDatabase(bench, 'webhooks');
  const events = Math.ceil(PER_SECOND.hangup * bench.seconds * bench.runs);
  seedInitiatedCalls(database, PREFIX, callsFor(events));
  const server = await startHangup(bench, { database, livekitPort: livekit.port });
  return webhookLoad(bench, { server, database, events, otherCalls: 0 });
}

type WebhookLoad = (load: { connections: number }) => Promise<Report>;

/** Returns a function that sends the next events, and counts the rows of all events afterwards. */
function webhookLoad(
  bench: Bench,
  {
    server: { port },
    database,
    events,
    otherCalls,
  }: { server: HangupServer; database: Database; events: number; otherCalls: number },
): WebhookLoad {
  const requests = webhookRequests(bench, events);
  return async (load) => {
    const report = await bench.generator.run({ ...load, port, requests, seconds: bench.seconds });
    expectWritten(database, requests.next, otherCalls);
    return report;
  };
}

function webhookRequests({ folder }: Bench, events: number): RequestFile {
  const startedAtMs = Date.now();
  const all = Array.from({ length: events }, (_, i) => signWebhook(eventOf(PREFIX, i, startedAtMs)));
  return new RequestFile(join(folder, 'webhooks.requests'), all, { isRepeatable: false });
}

function expectWritten({ file }: Database, events: number, otherCalls = 0): void {
  const completed = countFinished(events) + otherCalls;
  expectCount(file, 'SELECT count(*) FROM livekit_events', events + otherCalls * EVENTS_PER_CALL);
  expectCount(file, "SELECT count(*) FROM audit_log WHERE to_status = 'completed'", completed);
  expectCount(
    file,
    `SELECT count(*) FROM calls WHERE status = 'completed' AND id NOT LIKE '${READ_PREFIX}%'`,
    completed,
  );
}

const Row = z.record(z.string(), z.union([z.string(), z.number(), z.null()]));
const AuditRow = Row.nullable();
type Row = z.infer<typeof Row>;

/** Sends the events of one call, and returns what each one wrote. */
async function recordSteps(
  server: HangupServer,
  database: Database,
): Promise<{ call: Row; audit: Row | null }[]> {
  const prefix = 'sample';
  seedInitiatedCalls(database, prefix, 1);
  const id = callId(prefix, 0);
  const read = () =>
    withDatabase(database.file, (db) => {
      const generated = new Set(['is_scheduled']);
      const call = Row.parse(db.prepare('SELECT * FROM calls WHERE id = ?').get(id));
      const audit = db.prepare('SELECT * FROM audit_log WHERE subject_id = ? ORDER BY id').all(id);
      const columns = Object.entries(call).filter(([name]) => !generated.has(name));
      return { call: Object.fromEntries(columns), audit: z.array(Row).parse(audit) };
    });
  const steps: { call: Row; audit: Row | null }[] = [];
  let before = read();
  const startedAtMs = Date.now();
  for (let step = 0; step < EVENTS_PER_CALL; step += 1) {
    const event = makeEvent(prefix, { call: 0, step, id: `EV_sample_${step}`, startedAtMs });
    const { path, headers, body = '' } = signWebhook(event);
    const response = await fetch(server.url + path, { method: 'POST', headers, body });
    if (response.status !== 200) throw new Error(`webhook: ${response.status} ${await response.text()}`);
    const after = read();
    const changed = Object.entries(after.call).filter(([name, value]) => value !== before.call[name]);
    if (after.audit.length > before.audit.length + 1) throw new Error('an event wrote two audit entries');
    const {
      id: _id,
      actor_id: _actor,
      subject_id: _subject,
      ...audit
    } = after.audit[before.audit.length] ?? {};
    const hasAudit = after.audit.length > before.audit.length;
    steps.push({ call: Object.fromEntries(changed), audit: AuditRow.parse(hasAudit ? audit : null) });
    before = after;
  }
  return steps;
}

async function openReads(bench: Bench, wanted: ReadonlySet<string>): Promise<Record<string, Side>> {
  const livekit = await startLiveKitStub(bench);
  const database = createDatabase(bench, 'reads');
  const runs = bench.runs * (wanted.has('beside') && wanted.has('besidePaced') ? 2 : 1);
  const events = Math.ceil(PER_SECOND.hangup * bench.seconds * runs);
  seedInitiatedCalls(database, PREFIX, callsFor(events));
  seedEndedCalls(database, READ_PREFIX, READ_CALLS);
  const server = await startHangup(bench, { database, livekitPort: livekit.port });
  const reads = new RequestFile(join(bench.folder, 'reads.requests'), getRequests(server), {
    isRepeatable: true,
  });
  const sendWebhooks = webhookRequests(bench, events);
  const { port } = server;
  const { seconds } = bench;
  const p99 = async (pace: { perSecond?: number }) => {
    const load = { port, requests: reads, connections: CONNECTIONS, seconds, ...pace };
    return (await bench.generator.run(load)).p99Ms;
  };
  const beside = async (pace: { perSecond?: number }) => {
    const load = { port, requests: sendWebhooks, connections: CONNECTIONS, seconds };
    const [value] = await Promise.all([p99(pace), bench.generator.run(load)]);
    expectWritten(database, sendWebhooks.next);
    return value;
  };
  const paced = { perSecond: 100 };
  return {
    beside: () => beside({}),
    idle: () => p99({}),
    besidePaced: () => beside(paced),
    idlePaced: () => p99(paced),
  };
}
