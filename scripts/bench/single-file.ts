/**
 * `npm run bench`: measures dist/hangup's time to its first response, compared with a bare HTTP server of the same Node, and
 * its memory: idle, and with 100,000 live calls, with and without a LiveKit that lists all their rooms. Has no limits.
 * Requires `npm run build`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ListRoomsResponse } from '@livekit/protocol';
import { newCall } from '../../src/domain/call.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';

const BUILT = resolve(import.meta.dirname, '../../dist/hangup');
const ROUNDS = 9;
const LIVE_CALLS = 100_000;
const SETTLED_AFTER_MS = 20_000;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  await once(server.close(), 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Measures the time from spawn to the first response. */
async function start(command: string, args: readonly string[], env: Record<string, string>, port: number) {
  const startedAt = performance.now();
  const child = spawn(command, args, { env, stdio: 'ignore' });
  for (;;) {
    const isUp = await fetch(`http://127.0.0.1:${port}/healthz`).then(
      () => true,
      () => false,
    );
    if (isUp) break;
    if (child.exitCode !== null) throw new Error(`${command} exited with ${child.exitCode}`);
    await sleep(1);
  }
  return { child, tookMs: performance.now() - startedAt };
}

/** Starts a LiveKit that lists the rooms of all calls. Each room takes as many bytes as on a real server. */
async function startLiveKit() {
  const enabledCodecs = ['audio/opus', 'video/vp8', 'video/h264'].map((mime) => ({ mime }));
  const rooms = Array.from({ length: LIVE_CALLS }, (_, i) => ({
    ...{ name: nameOf(i), sid: sidOf(i), emptyTimeout: 300, departureTimeout: 20, enabledCodecs },
    ...{ creationTime: 1_795_000_000n, creationTimeMs: 1_795_000_000_123n, numParticipants: 2 },
  }));
  const list = new ListRoomsResponse({ rooms }).toBinary();
  const responses = { count: 0 };
  const server = createHttpServer((request, response) => {
    request.resume();
    responses.count += 1;
    response.writeHead(200, { 'content-type': 'application/protobuf' }).end(list);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return { url: `http://127.0.0.1:${port}`, bytes: list.length, responses, close: () => server.close() };
}

const nameOf = (i: number) => `call_${String(i).padStart(6, '0')}`;
const sidOf = (i: number) => `RM_${String(i).padStart(12, '0')}`;

/** Without `livekitUrl`, LiveKit is unreachable: the emulator would count as memory of hangup. */
async function startHangup(folder: string, livekitUrl?: string) {
  const port = await freePort();
  const livekit = {
    LIVEKIT_URL: livekitUrl ?? `http://127.0.0.1:${await freePort()}`,
    LIVEKIT_API_KEY: 'devkey',
    LIVEKIT_API_SECRET: 'secretsecretsecretsecretsecretsecret',
  };
  const env = {
    ...livekit,
    PORT: String(port),
    DATABASE_URL: `file:${join(folder, 'hangup.db')}`,
    LOG_LEVEL: 'error',
  };
  return { ...(await start(BINARY, ['serve'], env, port)), port };
}

async function startBare() {
  const port = await freePort();
  const code = `require('node:http').createServer((_, r) => r.end('x')).listen(${port}, '127.0.0.1')`;
  return start(process.execPath, ['-e', code], {}, port);
}

/** In megabytes. `own` excludes pages that processes share, such as those of the executable. */
function memoryOf(pid: number | undefined) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const of = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024;
  return { all: of('VmRSS'), own: of('RssAnon') };
}

const median = (numbers: readonly number[]) =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
const printLine = (line: string) => process.stdout.write(`${line}\n`);

const folder = mkdtempSync(join(tmpdir(), 'hangup-bench-'));
// Operators run a copy. Linux maps up to 50 MB more of the file that the build wrote.
const BINARY = join(folder, 'hangup');
copyFileSync(BUILT, BINARY);
try {
  (await startHangup(folder)).child.kill('SIGKILL'); // Creates the database.
  const times = { hangup: [] as number[], bare: [] as number[] };
  for (let round = 0; round < ROUNDS; round += 1) {
    // Alternate, so that other load on the machine affects both.
    for (const [name, begin] of [
      ['bare', startBare],
      ['hangup', () => startHangup(folder)],
    ] as const) {
      const { child, tookMs } = await begin();
      times[name].push(tookMs);
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  }
  const [bare, hangup] = [median(times.bare), median(times.hangup)];
  printLine(
    `first response, median of ${ROUNDS}: node -e ${bare.toFixed(0)} ms, hangup ${hangup.toFixed(0)} ms, ratio ${(hangup / bare).toFixed(2)}`,
  );

  const memory = async (livekitUrl?: string) => {
    const { child, port } = await startHangup(folder, livekitUrl);
    const endAt = performance.now() + SETTLED_AFTER_MS;
    let [slowestMs, mostMb] = [0, 0];
    while (performance.now() < endAt) {
      const requestedAt = performance.now();
      await fetch(`http://127.0.0.1:${port}/healthz`);
      slowestMs = Math.max(slowestMs, performance.now() - requestedAt);
      mostMb = Math.max(mostMb, memoryOf(child.pid).all);
      await sleep(50);
    }
    const found = { ...memoryOf(child.pid), most: mostMb, slowestMs };
    child.kill('SIGKILL');
    await once(child, 'exit');
    return found;
  };
  const idle = await memory();
  printLine(
    `idle after ${SETTLED_AFTER_MS / 1000} s: ${idle.all.toFixed(0)} MB, ${idle.own.toFixed(0)} MB of them not shared`,
  );

  printLine(`creating ${LIVE_CALLS} live calls`);
  const store = openSqliteStore(join(folder, 'hangup.db'));
  const { organizationId } = await store.createApiKey({
    id: 'key_bench',
    organizationName: 'bench',
    organizationIdIfNew: 'org_bench',
    name: 'bench',
    hash: '0'.repeat(64),
    scopes: ['calls:read'],
    expiresAt: null,
    now: 1,
  });
  for (let i = 0; i < LIVE_CALLS; i += 1) {
    const id = nameOf(i);
    const call = newCall({
      id,
      organizationId,
      roomName: id,
      roomId: sidOf(i),
      status: 'active',
      createdAt: 1,
    });
    await store.changeCall({ kind: 'register', call, apiKeyId: null });
    if (i % 20_000 === 0) printLine(`  ${i}`);
  }
  store.close();
  const livekit = await startLiveKit();
  for (const [condition, url] of [
    ['LiveKit unreachable', undefined],
    [`LiveKit lists their rooms in ${(livekit.bytes / 1e6).toFixed(1)} MB`, livekit.url],
  ] as const) {
    const full = await memory(url);
    const more = (of: 'all' | 'most') => `${(full[of] - idle[of]).toFixed(0)} more`;
    printLine(
      `${LIVE_CALLS} live calls, ${condition}: ${full.all.toFixed(0)} MB, ${more('all')}; peak ${full.most.toFixed(0)} MB, ${more('most')}; ` +
        `slowest response of /healthz ${full.slowestMs.toFixed(0)} ms, idle ${idle.slowestMs.toFixed(0)} ms`,
    );
  }
  livekit.close();
  printLine(`LiveKit listed the rooms ${livekit.responses.count} times`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
