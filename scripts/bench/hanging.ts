/*
 * `node scripts/bench/hanging.ts`: compares the duration of cancels and reads while LiveKit hangs and while it responds.
 * Sends 200 concurrent cancels, and reads in sequence. Fails if a cancel takes longer than 4 s, because clients give up
 * after 5 s.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { startEmulator } from '../../src/emulator/emulator.ts';

const CANCELS = 200;
const MAX_CANCEL_MS = 4_000;
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
  const url = (await firstMatch(server, /"url":"(http:[^"]+)"/)) ?? '';
  const create = hangup('keys', 'create', '--org', 'acme', '--name', 'bench');
  const key = (await firstMatch(create, /(hangup_\S+)\n/)) ?? '';
  const responding = await measure(url, key, 'responding');
  emulator.setFault('*', { kind: 'hang' });
  const hanging = await measure(url, key, 'hanging');
  printComparison('slowest cancel', responding.cancelMs, hanging.cancelMs);
  printComparison('median concurrent read', responding.readMs, hanging.readMs);
  printComparison('slowest concurrent read', responding.longestReadMs, hanging.longestReadMs);
  if (hanging.cancelMs > MAX_CANCEL_MS) process.exitCode = 1;
} finally {
  server.kill('SIGKILL');
  await emulator.stop();
  rmSync(folder, { recursive: true, force: true });
}

/** Returns the pattern's first group when the process prints it; null if the process exits first. */
function firstMatch(child: ReturnType<typeof spawn>, pattern: RegExp): Promise<string | null> {
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

async function measure(url: string, key: string, name: string) {
  const headers = { 'x-api-key': key, 'content-type': 'application/json' };
  const send = async (method: string, path: string, body?: string) => {
    const startedAt = performance.now();
    const response = await fetch(`${url}/api/v1/calls${path}`, { method, headers, body: body ?? null });
    await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status}`);
    return performance.now() - startedAt;
  };
  const ids = Array.from({ length: CANCELS }, (_, i) => `${name}-${i}`);
  for (const id of ids) {
    await send('POST', '', JSON.stringify({ id }));
    emulator.join(id, { identity: 'caller' });
  }
  const reads: number[] = [];
  let isComplete = false;
  const cancels = Promise.all(ids.map((id) => send('DELETE', `/${id}`))).finally(() => {
    isComplete = true;
  });
  while (!isComplete) reads.push(await send('GET', '?limit=10'));
  const sorted = reads.toSorted((a, b) => a - b);
  return {
    cancelMs: Math.max(...(await cancels)),
    readMs: sorted[Math.floor(sorted.length / 2)] ?? 0,
    longestReadMs: sorted.at(-1) ?? 0,
  };
}

function printComparison(name: string, baselineMs: number, ms: number): void {
  const ratio = (ms / baselineMs).toFixed(2);
  process.stdout.write(
    `${name.padEnd(24)} LiveKit responds: ${baselineMs.toFixed(0)} ms, LiveKit hangs: ${ms.toFixed(0)} ms, ratio ${ratio}\n`,
  );
}
