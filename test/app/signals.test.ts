import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { COMMAND, serveHangup } from '../harness/process.ts';
import { temporaryFolder } from '../harness/temporary.ts';

const isAlive = async (url: string) => (await fetch(`${url}/healthz`)).status === 200;

/** Local addresses, as the kernel writes them, of the TCP sockets that a process listens on. */
function listening(pid: number): string[] {
  const inodes = new Set(
    readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
      } catch {
        // Closed meanwhile.
        return [];
      }
    }),
  );
  return ['tcp', 'tcp6'].flatMap((protocol) =>
    readFileSync(`/proc/${pid}/net/${protocol}`, 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => fields[3] === '0A' && inodes.has(fields[9] ?? ''))
      .map((fields) => fields[1] ?? ''),
  );
}

test('SIGUSR1 opens no debugger, and the server keeps running', async () => {
  const { url, child, output } = await serveHangup({ env: {}, cwd: temporaryFolder() });
  const pid = child.pid ?? 0;
  const before = listening(pid);
  // hangup itself, and the built-in emulator.
  expect(before).toHaveLength(2);
  for (let i = 0; i < 20; i += 1) {
    child.kill('SIGUSR1');
    expect(await isAlive(url)).toBe(true);
  }
  // One that was opened says so, or that its port is taken.
  expect(output()).not.toMatch(/debugger|inspector/i);
  expect(listening(pid)).toEqual(before);
});

test('the single file ignores the debugger of NODE_OPTIONS, and hangup from source logs a warning', async () => {
  const env = { NODE_OPTIONS: '--inspect=127.0.0.1:0' };
  const { url, child, output } = await serveHangup({ env, cwd: temporaryFolder() });
  expect(await isAlive(url)).toBe(true);
  if (process.env.HANGUP_BINARY) {
    expect(listening(child.pid ?? 0)).toHaveLength(2);
    expect(output()).not.toMatch(/debugger|inspector/i);
  } else {
    expect(output()).toMatch(/"level":"warn".*the debugger of Node\.js is open.*NODE_OPTIONS/);
  }
});

test.each(['SIGHUP', 'SIGUSR2'] as const)('%s is logged and ignored without a terminal', async (signal) => {
  const { url, child, output, kill } = await serveHangup({ env: {}, cwd: temporaryFolder() });
  child.kill(signal);
  await expect.poll(() => output()).toContain(`"signal":"${signal}","msg":"signal ignored`);
  expect(await isAlive(url)).toBe(true);
  expect(await kill('SIGTERM')).toBe(0);
});

test('SIGPIPE is ignored', async () => {
  const { url, child, kill } = await serveHangup({ env: {}, cwd: temporaryFolder() });
  for (let i = 0; i < 20; i += 1) {
    child.kill('SIGPIPE');
    expect(await isAlive(url)).toBe(true);
  }
  expect(await kill('SIGTERM')).toBe(0);
});

test('the server keeps running under nohup when its terminal closes', async () => {
  const cwd = temporaryFolder();
  const command = ['nohup', ...COMMAND, 'serve'].join(' ');
  // It makes a terminal; the shell is its leader, and ends at once as one that is closed does.
  const terminal = spawn('script', ['-qefc', `${command} & echo pid:$!:; sleep 60`, '/dev/null'], {
    cwd,
    env: { PATH: process.env.PATH, HOME: cwd, PORT: '0' },
  });
  let shown = '';
  terminal.stdout.on('data', (chunk: Buffer) => {
    shown += chunk.toString();
  });
  await expect.poll(() => shown).toMatch(/pid:\d+:/);
  const pid = Number(/pid:(\d+):/.exec(shown)?.[1]);
  onTestFinished(() => {
    process.kill(pid, 'SIGKILL');
  });
  const log = () => readFileSync(join(cwd, 'nohup.out'), { encoding: 'utf8', flag: 'a+' });
  await expect.poll(log).toContain('"msg":"hangup serves"');
  terminal.kill('SIGKILL');
  await once(terminal, 'exit');
  await expect.poll(log).toContain('"signal":"SIGHUP"');
  const url = /"url":"(http:[^"]+)"/.exec(log())?.[1] ?? '';
  expect(await isAlive(url)).toBe(true);
});

test('SIGHUP stops a server on a terminal as SIGTERM does', async () => {
  const cwd = temporaryFolder();
  const terminal = spawn('script', ['-qefc', `exec ${COMMAND.join(' ')} serve`, '/dev/null'], {
    cwd,
    env: { PATH: process.env.PATH, HOME: cwd, PORT: '0' },
  });
  onTestFinished(() => {
    terminal.kill('SIGKILL');
  });
  let shown = '';
  terminal.stdout.on('data', (chunk: Buffer) => {
    shown += chunk.toString();
  });
  await expect.poll(() => shown).toContain('hangup serves');
  const [pid = ''] = readFileSync(`/proc/${terminal.pid}/task/${terminal.pid}/children`, 'utf8').split(' ');
  process.kill(Number(pid), 'SIGHUP');
  expect(await once(terminal, 'exit')).toEqual([0, null]);
  expect(shown).toMatch(/SIGHUP[\s\S]*hangup stops|hangup stops[\s\S]*SIGHUP/);
});
