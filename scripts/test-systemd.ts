/**
 * `npm run test:systemd`: checks docs/hangup.service with systemd-analyze, dist/hangup's notifications and system calls, and
 * the service under a systemd in separate namespaces. Requires root, systemd, python3, strace and `npm run build`.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const ROOT = resolve(import.meta.dirname, '..');
const BINARY = join(ROOT, 'dist/hangup');
const folder = mkdtempSync(join(tmpdir(), 'hangup-systemd-'));
const trace = join(folder, 'trace');

function check(name: string, passed: boolean, output = ''): void {
  process.stdout.write(`${passed ? 'ok    ' : 'FAILED'} ${name}\n${passed ? '' : output}`);
  if (!passed) process.exitCode = 1;
}

function run(name: string, command: string, args: readonly string[]): void {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  check(name, status === 0, `${error ?? ''}${stdout}${stderr}`);
}

/** Starts hangup as nobody. strace records its system calls and, with -D, keeps hangup the direct child. */
function startTraced(env: Record<string, string>) {
  const program = join(folder, 'hangup');
  copyFileSync(BINARY, program);
  chmodSync(program, 0o755);
  chmodSync(folder, 0o777);
  const traced = ['strace', '-D', '-f', '-qq', '-o', trace, program, 'serve'];
  const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
  const [command = '', ...args] = process.getuid?.() === 0 ? [...asNobody, ...traced] : traced;
  return spawn(command, args, { cwd: folder, env: { PATH: process.env.PATH, ...env }, stdio: 'ignore' });
}

/** Returns the system calls of a group such as @system-service, including nested groups. */
function systemCallsOf(group: string): Set<string> {
  const { stdout } = spawnSync('systemd-analyze', ['--no-pager', 'syscall-filter', group], {
    encoding: 'utf8',
  });
  const names = (stdout ?? '').split('\n').flatMap((line) => /^ +(@?[a-z_0-9-]+)/.exec(line)?.[1] ?? []);
  return new Set(names.flatMap((name) => (name.startsWith('@') ? [...systemCallsOf(name)] : [name])));
}

/** Returns the system calls that the unit's SystemCallFilter= lines allow, applied in order. */
function allowedBy(unit: string): Set<string> {
  let allowed = new Set<string>();
  for (const [, sign = '', groups = ''] of unit.matchAll(/^SystemCallFilter=(~?)(.+)$/gm)) {
    for (const group of groups.split(' ')) {
      const calls = systemCallsOf(group);
      allowed = sign === '~' ? allowed.difference(calls) : allowed.union(calls);
    }
  }
  return allowed;
}

/** Receives datagrams as systemd does, and prints one message per line. */
const LISTEN = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('listening', flush=True)
while True:
    print(s.recv(4096).decode().replace('\\n', ' '), flush=True)`;

async function receiveNotifications(): Promise<readonly string[]> {
  const socket = join(folder, 'notify');
  const listener = spawn('python3', ['-c', LISTEN, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
  const messages: string[] = [];
  const listeners = new Set<() => void>();
  listener.stdout.on('data', (chunk: Buffer) => {
    messages.push(...chunk.toString().trim().split('\n'));
    for (const onMessage of listeners) onMessage();
  });
  const receive = (word: string, times = 1) =>
    new Promise<void>((done, failed) => {
      const timer = setTimeout(() => failed(new Error(`no ${word} within 60 s: ${messages}`)), 60_000);
      const onMessage = () => {
        if (messages.filter((line) => line.includes(word)).length < times) return;
        clearTimeout(timer);
        done();
      };
      listeners.add(onMessage);
      onMessage();
    });
  await receive('listening');
  chmodSync(socket, 0o777);
  const hangup = startTraced({ PORT: '0', NOTIFY_SOCKET: socket, WATCHDOG_USEC: '900000' });
  const ended = once(hangup, 'exit');
  try {
    await receive('READY=1');
    await receive('WATCHDOG=1', 2);
    hangup.kill('SIGTERM');
    await receive('STOPPING=1');
    await ended;
  } finally {
    hangup.kill('SIGKILL');
    listener.kill();
  }
  return messages;
}

/** Runs scripts/systemd/probe.sh under a systemd in separate namespaces, on a copy-on-write view of this machine. */
async function serveUnderSystemd(): Promise<void> {
  const box = join(folder, 'box');
  mkdirSync(join(box, 'layers'), { recursive: true });
  copyFileSync(BINARY, join(box, 'hangup'));
  copyFileSync(join(ROOT, 'docs/hangup.service'), join(box, 'hangup.service'));
  const namespaces = ['--fork', '--pid', '--kill-child', '--mount', '--uts', '--ipc', '--net', '--cgroup'];
  const scripts = join(ROOT, 'scripts/systemd');
  const args = [...namespaces, 'bash', join(scripts, 'boot.sh'), box, join(scripts, 'probe.sh')];
  const systemd = spawn('unshare', args, { stdio: ['ignore', 'inherit', 'inherit'] });
  const ended = once(systemd, 'exit');
  const readOutput = () =>
    existsSync(join(box, 'probe.out')) ? readFileSync(join(box, 'probe.out'), 'utf8') : '';
  for (
    let waitedS = 0;
    waitedS < 600 && systemd.exitCode === null && !/^done$/m.test(readOutput());
    waitedS += 1
  ) {
    await sleep(1_000);
  }
  const isDone = /^done$/m.test(readOutput());
  process.stdout.write(readOutput().replace(/^done\n/m, ''));
  check('as a service of systemd', isDone && !/^FAILED/m.test(readOutput()));
  systemd.kill('SIGKILL');
  await ended;
}

try {
  const unit = join(folder, 'hangup.service');
  const text = readFileSync(join(ROOT, 'docs/hangup.service'), 'utf8');
  writeFileSync(unit, text.replace('/usr/local/bin/hangup', BINARY));
  run('systemd-analyze verify', 'systemd-analyze', ['verify', unit]);
  run('exposure at most 2.0', 'systemd-analyze', [
    'security',
    '--offline=true',
    '--threshold=20',
    '--no-pager',
    unit,
  ]);
  await receiveNotifications().then(
    () => check('READY=1, WATCHDOG=1 twice, STOPPING=1', true),
    (error: Error) => check('READY=1, WATCHDOG=1 twice, STOPPING=1', false, `${error.message}\n`),
  );
  const traced = readFileSync(trace, 'utf8').matchAll(/^\d+ +(?:<\.\.\. )?([a-z_0-9]+)(?:\(| resumed)/gm);
  const calls = new Set([...traced].map(([, name = '']) => name));
  const refused = [...calls.difference(allowedBy(text))];
  const isTraceComplete = calls.has('bind') && calls.has('pwrite64');
  const name = `SystemCallFilter allows all ${calls.size} system calls of hangup`;
  check(name, isTraceComplete && refused.length === 0, `refused: ${refused.join(', ')}\n`);
  await serveUnderSystemd();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
