/*
 * How long cancels and reads take while LiveKit hangs, against one that answers: `node scripts/bench/hanging.ts`, from
 * source. 200 cancels at once, and reads one after the other meanwhile. Fails when a cancel takes more than 4 s, for its
 * client gives up after 5 s.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { startEmulator } from '../../src/emulator/emulator.ts';

const CANCELS = 200;
const ALLOWED_MS = 4_000;
const ROOT = resolve(import.meta.dirname, '../..');

const folder = mkdtempSync(join(tmpdir(), 'hangup-bench-'));
const credentials = { apiKey: 'k', apiSecret: 'secretsecretsecretsecretsecretsecret' };
const emulator = await startEmulator(credentials);
const env = {
  PATH: process.env.PATH,
  PORT: '0',
  DATABASE_URL: `file:${join(folder, 'hangup.db')}`,
  LIVEKIT_URL: emulator.url,
  LIVEKIT_API_KEY: credentials.apiKey,
  LIVEKIT_API_SECRET: credentials.apiSecret,
};
const hangup = (...args: string[]) =>
  spawn(process.execPath, ['--import', 'tsx', 'src/main.ts', ...args], { cwd: ROOT, env });
const server = hangup('serve');
try {
  const url = (await saidBy(server, /"url":"(http:[^"]+)"/)) ?? '';
  const made = hangup('keys', 'create', '--org', 'acme', '--name', 'bench');
  const key = (await saidBy(made, /(hangup_\S+)\n/)) ?? '';
  const answering = await storm(url, key, 'answering');
  emulator.setFault('*', { kind: 'hang' });
  const hanging = await storm(url, key, 'hanging');
  show('cancel, longest', answering.cancelMs, hanging.cancelMs);
  show('read meanwhile, median', answering.readMs, hanging.readMs);
  show('read meanwhile, longest', answering.longestReadMs, hanging.longestReadMs);
  if (hanging.cancelMs > ALLOWED_MS) process.exitCode = 1;
} finally {
  server.kill('SIGKILL');
  await emulator.stop();
  rmSync(folder, { recursive: true, force: true });
}

/** The first group of the pattern, as soon as it is said; null when the process ends without. */
function saidBy(child: ReturnType<typeof spawn>, pattern: RegExp): Promise<string | null> {
  return new Promise((resolve) => {
    let output = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      const found = pattern.exec(output)?.[1];
      if (found !== undefined) resolve(found);
    });
    child.once('close', () => resolve(null));
  });
}

async function storm(url: string, key: string, name: string) {
  const headers = { 'x-api-key': key, 'content-type': 'application/json' };
  const send = async (method: string, path: string, body?: string) => {
    const beganAt = performance.now();
    const response = await fetch(`${url}/api/v1/calls${path}`, { method, headers, body: body ?? null });
    await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status}`);
    return performance.now() - beganAt;
  };
  const ids = Array.from({ length: CANCELS }, (_, i) => `${name}-${i}`);
  for (const id of ids) {
    await send('POST', '', JSON.stringify({ id }));
    emulator.join(id, { identity: 'caller' });
  }
  const reads: number[] = [];
  let isOver = false;
  const cancels = Promise.all(ids.map((id) => send('DELETE', `/${id}`))).finally(() => {
    isOver = true;
  });
  while (!isOver) reads.push(await send('GET', '?limit=10'));
  const sorted = reads.toSorted((a, b) => a - b);
  return {
    cancelMs: Math.max(...(await cancels)),
    readMs: sorted[Math.floor(sorted.length / 2)] ?? 0,
    longestReadMs: sorted.at(-1) ?? 0,
  };
}

function show(what: string, baselineMs: number, ms: number): void {
  const ratio = (ms / baselineMs).toFixed(2);
  process.stdout.write(
    `${what.padEnd(24)} LiveKit answers ${baselineMs.toFixed(0)} ms, hangs ${ms.toFixed(0)} ms: ${ratio} times\n`,
  );
}
