/**
 * `npm run test:systemd`: docs/hangup.service against systemd's own checks, and what dist/hangup tells systemd. Needs
 * systemd-analyze, systemd-notify, python3 and `npm run build`.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '..');
const BINARY = join(ROOT, 'dist/hangup');
const folder = mkdtempSync(join(tmpdir(), 'hangup-systemd-'));

function check(what: string, isSo: boolean, output = ''): void {
  process.stdout.write(`${isSo ? 'ok    ' : 'FAILED'} ${what}\n${isSo ? '' : output}`);
  if (!isSo) process.exitCode = 1;
}

function run(what: string, command: string, args: readonly string[]): void {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  check(what, status === 0, `${error ?? ''}${stdout}${stderr}`);
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
  const env = { PORT: '0', NOTIFY_SOCKET: socket, WATCHDOG_USEC: '900000' };
  const hangup = spawn(BINARY, ['serve'], { cwd: folder, env, stdio: 'ignore' });
  try {
    await hear('READY=1');
    await hear('WATCHDOG=1', 2);
    hangup.kill('SIGTERM');
    await hear('STOPPING=1');
  } finally {
    hangup.kill('SIGKILL');
    listener.kill();
  }
  return heard;
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
} finally {
  rmSync(folder, { recursive: true, force: true });
}
