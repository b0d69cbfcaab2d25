/**
 * `npm run demo`: cancels calls while LiveKit fails and hangup is killed. The emulator in this process replaces LiveKit; hangup
 * runs in its own process. Exits with 1 if a check fails.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { startEmulator } from '../src/emulator/emulator.ts';
import { freePort } from '../test/harness/ports.ts';

const MAIN = resolve(import.meta.dirname, '../src/main.ts');
/** The timeout of clients. */
const CANCEL_TIMEOUT_MS = 5_000;
const RECOVERY_TIMEOUT_MS = 30_000;

const startedAt = performance.now();
const failures: string[] = [];

function printLine(text: string): void {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1).padStart(5);
  process.stdout.write(`${seconds} s  ${text}\n`);
}

function check(passed: boolean, result: string): void {
  printLine(`${passed ? '  ✓' : '  ✗'} ${result}`);
  if (!passed) failures.push(result);
}

const folder = mkdtempSync(join(tmpdir(), 'hangup-demo-'));
const livekit = await startEmulator({
  apiKey: 'demo',
  apiSecret: 'a-secret-of-at-least-32-characters',
  // No outgoing connection takes this port while LiveKit is down.
  port: await freePort(),
});
const env = {
  ...process.env,
  NODE_ENV: 'production',
  DATABASE_URL: `file:${join(folder, 'hangup.db')}`,
  LIVEKIT_URL: livekit.url,
  LIVEKIT_API_KEY: 'demo',
  LIVEKIT_API_SECRET: 'a-secret-of-at-least-32-characters',
  HOST: '127.0.0.1',
  PORT: '0',
  LOG_LEVEL: 'info',
};
const { key } = z.object({ key: z.string() }).parse(
  JSON.parse(
    execFileSync(process.execPath, [MAIN, 'keys', 'create', '--org', 'demo', '--name', 'demo', '--json'], {
      env,
      encoding: 'utf8',
    }),
  ),
);

let hangup: ChildProcess | undefined;
let url = '';

async function startHangup(): Promise<void> {
  const child = spawn(process.execPath, [MAIN, 'serve'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  hangup = child;
  url = await new Promise<string>((resolveUrl, reject) => {
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      const listeningUrl = /"url":"([^"]+)"/.exec(output)?.[1];
      if (listeningUrl !== undefined) resolveUrl(listeningUrl);
    });
    child.once('exit', () => reject(new Error(`hangup did not start:\n${output}`)));
  });
}

async function request(
  method: string,
  path: string,
  body?: object,
): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { 'x-api-key': key, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: await response.json() };
}

async function startCall(id: string) {
  await request('POST', '/api/v1/calls', { id, phoneNumber: '+15550100001', agentName: 'Receptionist' });
  return [
    livekit.join(id, { identity: 'agent', kind: 'AGENT' }),
    livekit.join(id, { identity: 'phone', kind: 'SIP' }),
  ];
}

async function waitUntil(condition: () => boolean | Promise<boolean>, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) return false;
    await sleep(20);
  }
  return true;
}

async function cancelWhileLiveKitWorks(): Promise<void> {
  printLine('1. A client cancels a live call.');
  const participants = await startCall('call-1');
  printLine(`   participants of call-1: ${participants.map(({ identity }) => identity).join(' and ')}`);
  const before = performance.now();
  const response = await request('DELETE', '/api/v1/calls/call-1?reason=demo');
  check(
    response.status === 200,
    `DELETE returns ${response.status} after ${Math.round(performance.now() - before)} ms`,
  );
  const reasons = await Promise.race([
    Promise.all(participants.map(({ disconnected }) => disconnected)),
    sleep(RECOVERY_TIMEOUT_MS, ['no disconnect'], { ref: false }),
  ]);
  check(
    reasons.every((reason) => reason === 'ROOM_DELETED'),
    `LiveKit disconnected both participants: ${reasons.join(', ')}`,
  );
}

async function cancelWhileLiveKitFails(): Promise<void> {
  printLine('2. LiveKit stops responding. A client cancels another call.');
  await startCall('call-2');
  livekit.setFault('*', { kind: 'hang' });
  const before = performance.now();
  const response = await request('DELETE', '/api/v1/calls/call-2');
  const tookMs = Math.round(performance.now() - before);
  check(
    response.status === 200 && tookMs < CANCEL_TIMEOUT_MS,
    `DELETE returns ${response.status} after ${tookMs} ms: the cancel is stored`,
  );
  check(livekit.roomNames().includes('call-2'), 'the room of call-2 still exists');

  printLine('3. LiveKit goes down. SIGKILL ends hangup.');
  await livekit.pause();
  livekit.setFault('*', null);
  const died = hangup && once(hangup, 'exit');
  hangup?.kill('SIGKILL');
  await died;
  printLine('   hangup restarts');
  await startHangup();
  check(livekit.roomNames().includes('call-2'), 'LiveKit is still down, and the room of call-2 still exists');

  printLine('4. LiveKit recovers.');
  const recoveredAt = performance.now();
  await livekit.resume();
  const isGone = await waitUntil(() => !livekit.roomNames().includes('call-2'), RECOVERY_TIMEOUT_MS);
  check(isGone, `the room of call-2 is gone after ${Math.round(performance.now() - recoveredAt)} ms`);
}

const Calls = z.object({
  data: z.object({ calls: z.array(z.object({ id: z.string(), status: z.string() })) }),
});
const Deletion = z.object({
  data: z.object({ roomDeletion: z.object({ state: z.string(), attempt: z.number() }).nullable() }),
});

async function checkEveryCall(): Promise<void> {
  printLine('5. The state of every call:');
  const { calls } = Calls.parse((await request('GET', '/api/v1/calls?sortOrder=asc')).body).data;
  check(calls.length === 2, `the database contains ${calls.length} calls`);
  for (const { id, status } of calls) {
    const deletionOf = async () =>
      Deletion.parse((await request('GET', `/api/v1/calls/${id}`)).body).data.roomDeletion;
    await waitUntil(async () => (await deletionOf())?.state === 'completed', RECOVERY_TIMEOUT_MS);
    const deletion = await deletionOf();
    const hasRoom = livekit.roomNames().includes(id);
    check(
      status === 'cancelled' && deletion?.state === 'completed' && !hasRoom,
      `${id}: ${status}; deletion ${deletion?.state} at attempt ${deletion?.attempt}; room ${hasRoom ? 'exists' : 'gone'}`,
    );
  }
}

try {
  await startHangup();
  printLine(`hangup: ${url}, LiveKit emulator: ${livekit.url}`);
  await cancelWhileLiveKitWorks();
  await cancelWhileLiveKitFails();
  await checkEveryCall();
} finally {
  hangup?.kill('SIGKILL');
  await livekit.stop();
  rmSync(folder, { recursive: true, force: true });
}
if (failures.length > 0) {
  printLine(`Failed checks: ${failures.join('; ')}`);
  process.exitCode = 1;
} else {
  printLine('Every cancelled call is over.');
}
