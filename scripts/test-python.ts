/**
 * `npm run test:python`: checks the Python client's style and types, builds its packages, and tests the built wheel against
 * hangup on its emulator. Requires Python 3.10 or newer with venv, and curl; PYTHON names another Python. Installs everything else in a
 * temporary folder, from the index that pip is configured for. Arguments are passed to pytest.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { startEmulator } from '../src/emulator/emulator.ts';
import { type RunningHangup, startEmulatedHangup } from './emulated-hangup.ts';

const CLIENT = resolve(import.meta.dirname, '../clients/python');
/** The call that a test cancels; the call's room is on the emulator. */
const CALL_WITH_ROOM = 'python-with-room';
/** Cancelled calls whose first attempt to delete the room fails. hangup then gives up, until a test retries. */
const CALLS_NOT_DELETED = ['curl', 'Python', 'listed'].map((name) => `python-not-deleted-${name}`);

const folder = mkdtempSync(join(tmpdir(), 'hangup-python-'));
const copy = join(folder, 'client');
const program = (name: string) => join(folder, 'venv/bin', name);

/** Runs a program beside the emulator, which is in this process. */
async function run(name: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<void> {
  process.stdout.write(`${[name.split('/').at(-1), ...args].join(' ')}\n`);
  const child = spawn(name, args, {
    cwd: copy,
    stdio: 'inherit',
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1', ...env },
  });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${name} failed`);
}

async function send(method: string, path: string, body: object = {}): Promise<void> {
  const response = await fetch(`${hangup?.url}/api/v1${path}`, {
    method,
    headers: { 'x-api-key': hangup?.key ?? '', 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
}

const credentials = { apiKey: 'clients', apiSecret: 'a-secret-of-at-least-32-characters' };
const livekit = await startEmulator(credentials);
let hangup: RunningHangup | undefined;
try {
  // A copy: build backends and type checkers write next to the sources.
  cpSync(CLIENT, copy, { recursive: true });
  await run(process.env.PYTHON ?? 'python3', ['-m', 'venv', join(folder, 'venv')]);
  await run(program('pip'), ['install', '-q', '-r', 'requirements-dev.txt']);
  await run(program('ruff'), ['format', '--check', '--quiet']);
  await run(program('ruff'), ['check', '--quiet']);
  await run(program('python'), ['-m', 'build', '--no-isolation', '--outdir', 'dist']);
  const [wheel = ''] = globSync('dist/*.whl', { cwd: copy });
  await run(program('pip'), ['install', '-q', '--no-deps', wheel]);
  await run(program('twine'), ['check', '--strict', ...globSync('dist/*', { cwd: copy })]);
  await run(program('mypy'), []);
  hangup = await startEmulatedHangup(livekit, credentials, folder, {
    RETRY_INITIAL_DELAY_MS: '60000',
    RETRY_MAX_AGE_MS: '1000',
  });
  const { disconnected } = livekit.join(CALL_WITH_ROOM, {
    identity: 'phone',
    kind: 'SIP',
    attributes: { 'sip.callStatus': 'active' },
  });
  livekit.setFault('DeleteRoom', { kind: 'status500' });
  for (const id of CALLS_NOT_DELETED) {
    await send('POST', '/calls', { id });
    await send('DELETE', `/calls/${id}`);
  }
  livekit.setFault('DeleteRoom', null);
  const args = process.argv.slice(2);
  await run(program('pytest'), args, {
    HANGUP_URL: hangup.url,
    HANGUP_API_KEY: hangup.key,
    CALL_WITH_ROOM,
  });
  if (args.length === 0) {
    const reason = await disconnected;
    if (reason !== 'ROOM_DELETED')
      throw new Error(`expected the phone's disconnect reason ROOM_DELETED: ${reason}`);
  }
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
} finally {
  hangup?.process.kill('SIGKILL');
  await livekit.stop();
  rmSync(folder, { recursive: true, force: true });
}
