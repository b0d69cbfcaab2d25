import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openStream } from '../harness/event-stream.ts';
import { COMMAND, runHangup, serveHangup } from '../harness/process.ts';
import { temporaryFolder } from '../harness/temporary.ts';

const isAlive = async (url: string) => (await fetch(`${url}/healthz`)).status === 200;

/** Returns the local addresses of a process's listening TCP sockets, in the kernel's notation. */
function listeningAddresses(pid: number): string[] {
  const inodes = new Set(
    readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
      } catch {
        // The descriptor was closed meanwhile.
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

test('SIGUSR1 does not open a debugger, and hangup continues', async () => {
  const { url, child, output } = await serveHangup({ env: {}, cwd: temporaryFolder() });
  const pid = child.pid ?? 0;
  const before = listeningAddresses(pid);
  // The server and the built-in emulator.
  expect(before).toHaveLength(2);
  for (let i = 0; i < 20; i += 1) {
    child.kill('SIGUSR1');
    expect(await isAlive(url)).toBe(true);
  }
  // An opened debugger prints its address, or that its port is taken.
  expect(output()).not.toMatch(/debugger|inspector/i);
  expect(listeningAddresses(pid)).toEqual(before);
});

test('a debugger from NODE_OPTIONS does not open in the single file and is a warning from source', async () => {
  const env = { NODE_OPTIONS: '--inspect=127.0.0.1:0' };
  const { url, child, output } = await serveHangup({ env, cwd: temporaryFolder() });
  expect(await isAlive(url)).toBe(true);
  if (process.env.HANGUP_BINARY) {
    expect(listeningAddresses(child.pid ?? 0)).toHaveLength(2);
    expect(output()).not.toMatch(/debugger|inspector/i);
  } else {
    expect(output()).toMatch(/"level":"warn".*the Node\.js debugger is open.*NODE_OPTIONS/);
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

/** For a shell: the path of the project can contain blanks. */
const QUOTED = COMMAND.map((word) => `'${word}'`).join(' ');

test('hangup under nohup continues when its terminal is closed', async () => {
  const cwd = temporaryFolder();
  const command = `nohup ${QUOTED} serve`;
  // `script` creates a terminal. Killing it closes the terminal and ends the shell at once.
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
  await expect.poll(log).toContain('"msg":"server started"');
  terminal.kill('SIGKILL');
  await once(terminal, 'exit');
  await expect.poll(log).toContain('"signal":"SIGHUP"');
  const url = /"url":"(http:[^"]+)"/.exec(log())?.[1] ?? '';
  expect(await isAlive(url)).toBe(true);
});

test('SIGHUP on a terminal stops hangup like SIGTERM', async () => {
  const cwd = temporaryFolder();
  const terminal = spawn('script', ['-qefc', `exec ${QUOTED} serve`, '/dev/null'], {
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
  await expect.poll(() => shown).toContain('server started');
  const [pid = ''] = readFileSync(`/proc/${terminal.pid}/task/${terminal.pid}/children`, 'utf8').split(' ');
  process.kill(Number(pid), 'SIGHUP');
  expect(await once(terminal, 'close')).toEqual([0, null]);
  expect(shown).toMatch(/SIGHUP[\s\S]*server stopping|server stopping[\s\S]*SIGHUP/);
});

test('SIGTERM ends event streams with a hint to connect again, and the process exits', async () => {
  const cwd = temporaryFolder();
  const env = { DATABASE_URL: 'file:hangup.db' };
  const { url, kill } = await serveHangup({ env, cwd });
  const { stdout } = await runHangup(['keys', 'create', '--org', 'acme', '--name', 'test', '--json'], {
    env,
    cwd,
  });
  const { key } = JSON.parse(stdout);
  const streams = await Promise.all([openStream({ url, key }), openStream({ url, key })]);
  expect(await kill('SIGTERM')).toBe(0);
  // After 10 s, hangup would cut the connections without the hint.
  for (const stream of streams) {
    await stream.ended;
    expect(stream.text()).toMatch(/\n\nretry: 1000\n\n$/);
  }
});
