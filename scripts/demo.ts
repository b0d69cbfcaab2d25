/**
 * `npm run demo`: the promise, watched. LiveKit is played by the emulator in this process; hangup is the real one,
 * in processes of its own, so that it can be killed. Ends with 1 when anything did not happen.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { startEmulator } from '../src/livekit/emulator/emulator.ts';

const MAIN = resolve(import.meta.dirname, '../src/main.ts');
const CANCEL_DEADLINE_MS = 4_000;
const ROOM_GONE_WITHIN_MS = 10_000;

const startedAt = performance.now();
const failures: string[] = [];

function tell(text: string): void {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1).padStart(5);
  process.stdout.write(`${seconds} s  ${text}\n`);
}

function check(holds: boolean, what: string): void {
  tell(`${holds ? '  ✓' : '  ✗'} ${what}`);
  if (!holds) failures.push(what);
}

const folder = mkdtempSync(join(tmpdir(), 'hangup-demo-'));
const livekit = await startEmulator({ apiKey: 'demo', apiSecret: 'a-secret-of-at-least-32-characters' });
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
  url = await new Promise<string>((found, reject) => {
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      const at = /"url":"([^"]+)"/.exec(output)?.[1];
      if (at !== undefined) found(at);
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

async function liveCall(id: string) {
  await request('POST', '/api/v1/calls', { id, phoneNumber: '+15550100001', agentName: 'Receptionist' });
  return [
    livekit.join(id, { identity: 'agent', kind: 'AGENT' }),
    livekit.join(id, { identity: 'phone', kind: 'SIP' }),
  ];
}

async function waitUntil(isSo: () => boolean | Promise<boolean>, timeoutMs: number): Promise<boolean> {
  const giveUpAt = performance.now() + timeoutMs;
  while (!(await isSo())) {
    if (performance.now() > giveUpAt) return false;
    await sleep(20);
  }
  return true;
}

async function everythingWorks(): Promise<void> {
  tell('1. A live call is cancelled.');
  const people = await liveCall('call-1');
  tell(`   call-1 is live: ${people.map(({ identity }) => identity).join(' and ')} are in its room`);
  const before = performance.now();
  const answer = await request('DELETE', '/api/v1/calls/call-1?reason=demo');
  check(
    answer.status === 200,
    `DELETE answers ${answer.status} after ${Math.round(performance.now() - before)} ms`,
  );
  const reasons = await Promise.race([
    Promise.all(people.map(({ disconnected }) => disconnected)),
    sleep(2_000, ['nothing']),
  ]);
  check(
    reasons.every((reason) => reason === 'ROOM_DELETED'),
    `both were disconnected by LiveKit: ${reasons.join(', ')}`,
  );
}

async function nothingWorks(): Promise<void> {
  tell('2. LiveKit stops answering, and a call is cancelled.');
  await liveCall('call-2');
  livekit.setFault('*', { kind: 'hang' });
  const before = performance.now();
  const answer = await request('DELETE', '/api/v1/calls/call-2');
  const tookMs = Math.round(performance.now() - before);
  check(
    answer.status === 200 && tookMs < CANCEL_DEADLINE_MS,
    `DELETE still answers ${answer.status}, after ${tookMs} ms: the deletion is on record`,
  );
  check(livekit.roomNames().includes('call-2'), 'the room of call-2 is alive still');

  tell('3. LiveKit goes away altogether, and hangup is killed with SIGKILL.');
  await livekit.pause();
  livekit.setFault('*', null);
  const died = hangup && once(hangup, 'exit');
  hangup?.kill('SIGKILL');
  await died;
  tell('   hangup is started again');
  await startHangup();
  check(livekit.roomNames().includes('call-2'), 'LiveKit is still away, and the room of call-2 alive');

  tell('4. LiveKit comes back.');
  const back = performance.now();
  await livekit.resume();
  const isGone = await waitUntil(() => !livekit.roomNames().includes('call-2'), ROOM_GONE_WITHIN_MS);
  check(isGone, `the room of call-2 is gone, ${Math.round(performance.now() - back)} ms later`);
}

const Calls = z.object({
  data: z.object({ calls: z.array(z.object({ id: z.string(), status: z.string() })) }),
});
const Deletion = z.object({
  data: z.object({ roomDeletion: z.object({ state: z.string(), attempt: z.number() }).nullable() }),
});

async function everyCall(): Promise<void> {
  tell('5. What is true of every call in the database:');
  const { calls } = Calls.parse((await request('GET', '/api/v1/calls?sortOrder=asc')).body).data;
  check(calls.length === 2, `there are ${calls.length} calls`);
  for (const { id, status } of calls) {
    const deletionOf = async () =>
      Deletion.parse((await request('GET', `/api/v1/calls/${id}`)).body).data.roomDeletion;
    await waitUntil(async () => (await deletionOf())?.state === 'completed', 2_000);
    const deletion = await deletionOf();
    const hasRoom = livekit.roomNames().includes(id);
    check(
      status === 'cancelled' && deletion?.state === 'completed' && !hasRoom,
      `${id}: ${status}; its deletion ${deletion?.state} at attempt ${deletion?.attempt}; its room ${hasRoom ? 'ALIVE' : 'gone'}`,
    );
  }
}

try {
  await startHangup();
  tell(`hangup serves on ${url}, LiveKit is played on ${livekit.url}`);
  await everythingWorks();
  await nothingWorks();
  await everyCall();
} finally {
  hangup?.kill('SIGKILL');
  await livekit.stop();
  rmSync(folder, { recursive: true, force: true });
}
if (failures.length > 0) {
  tell(`It did not hold: ${failures.join('; ')}`);
  process.exitCode = 1;
} else {
  tell('Each call that was cancelled is over.');
}
