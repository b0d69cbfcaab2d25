/**
 * `npm run test:systemd`: docs/hangup.service against systemd's own checks, what dist/hangup tells systemd, whether the unit
 * lets it make all its system calls, and how it does as a service of a systemd that is started for it. Needs root, systemd,
 * python3, strace and `npm run build`.
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

function check(what: string, isSo: boolean, output = ''): void {
  process.stdout.write(`${isSo ? 'ok    ' : 'FAILED'} ${what}\n${isSo ? '' : output}`);
  if (!isSo) process.exitCode = 1;
}

function run(what: string, command: string, args: readonly string[]): void {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  check(what, status === 0, `${error ?? ''}${stdout}${stderr}`);
}

/** hangup as nobody, as systemd would start it; strace leaves it its process id, and writes down its system calls. */
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

/** The names in a group such as @system-service, and in the groups in it. */
function systemCallsOf(group: string): Set<string> {
  const { stdout } = spawnSync('systemd-analyze', ['--no-pager', 'syscall-filter', group], {
    encoding: 'utf8',
  });
  const names = (stdout ?? '').split('\n').flatMap((line) => /^ +(@?[a-z_0-9-]+)/.exec(line)?.[1] ?? []);
  return new Set(names.flatMap((name) => (name.startsWith('@') ? [...systemCallsOf(name)] : [name])));
}

/** What the unit's lines SystemCallFilter= let through, read in their order. */
function allowedBy(unit: string): Set<string> {
  let allowed = new Set<string>();
  for (const [, takes = '', groups = ''] of unit.matchAll(/^SystemCallFilter=(~?)(.+)$/gm)) {
    for (const group of groups.split(' ')) {
      const calls = systemCallsOf(group);
      allowed = takes === '~' ? allowed.difference(calls) : allowed.union(calls);
    }
  }
  return allowed;
}

/** As systemd listens: one message a line. */
const LISTEN = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('listens', flush=True)
while True:
    print(s.recv(4096).decode().replace('\\n', ' '), flush=True)`;

async function hearHangup(): Promise<readonly string[]> {
  const socket = join(folder, 'notify');
  const listener = spawn('python3', ['-c', LISTEN, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
  const heard: string[] = [];
  const waiting = new Set<() => void>();
  listener.stdout.on('data', (chunk: Buffer) => {
    heard.push(...chunk.toString().trim().split('\n'));
    for (const look of waiting) look();
  });
  const hear = (word: string, times = 1) =>
    new Promise<void>((done, failed) => {
      const timer = setTimeout(() => failed(new Error(`${word} was not heard in 20 s: ${heard}`)), 20_000);
      const look = () => {
        if (heard.filter((line) => line.includes(word)).length < times) return;
        clearTimeout(timer);
        done();
      };
      waiting.add(look);
      look();
    });
  await hear('listens');
  chmodSync(socket, 0o777);
  const hangup = startTraced({ PORT: '0', NOTIFY_SOCKET: socket, WATCHDOG_USEC: '900000' });
  const ended = once(hangup, 'exit');
  try {
    await hear('READY=1');
    await hear('WATCHDOG=1', 2);
    hangup.kill('SIGTERM');
    await hear('STOPPING=1');
    await ended;
  } finally {
    hangup.kill('SIGKILL');
    listener.kill();
  }
  return heard;
}

/** In namespaces of its own, on a copy-on-write view of this machine; scripts/systemd/probe.sh says what it checks. */
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
  const words = () =>
    existsSync(join(box, 'probe.out')) ? readFileSync(join(box, 'probe.out'), 'utf8') : '';
  for (
    let waitedS = 0;
    waitedS < 180 && systemd.exitCode === null && !/^done$/m.test(words());
    waitedS += 1
  ) {
    await sleep(1_000);
  }
  const isDone = /^done$/m.test(words());
  process.stdout.write(words().replace(/^done\n/m, ''));
  check('as a service of systemd', isDone && !/^FAILED/m.test(words()));
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
  await hearHangup().then(
    () => check('READY=1, WATCHDOG=1 twice, STOPPING=1', true),
    (error: Error) => check('READY=1, WATCHDOG=1 twice, STOPPING=1', false, `${error.message}\n`),
  );
  const made = readFileSync(trace, 'utf8').matchAll(/^\d+ +(?:<\.\.\. )?([a-z_0-9]+)(?:\(| resumed)/gm);
  const calls = new Set([...made].map(([, name = '']) => name));
  const refused = [...calls.difference(allowedBy(text))];
  const isSeen = calls.has('bind') && calls.has('pwrite64');
  const what = `SystemCallFilter lets all ${calls.size} kinds of system calls through`;
  check(what, isSeen && refused.length === 0, `refused: ${refused.join(', ')}\n`);
  await serveUnderSystemd();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
