/**
 * `npm run test:schemathesis`: Schemathesis generates requests from /openapi.json, sends them to hangup on its emulator, and checks
 * each response. `-- --seconds 60` changes the duration of 300 s. Requires Python 3.10 or newer with venv; PYTHON names another
 * Python. Installs Schemathesis in a temporary folder, from the index that pip is configured for.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request as sendRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createSchema } from 'zod-openapi';
import { EventData } from '../src/api/events/event-data.ts';
import { startEmulator } from '../src/emulator/emulator.ts';
import { simplifySchema } from '../src/http/openapi-schema.ts';
import { type RunningHangup, startEmulatedHangup } from './emulated-hangup.ts';

/** Long enough for the events that are stored already. */
const STREAM_DURATION_MS = 100;

/**
 * For a key with one scope. A refusal depends on the key only, so fuzzing would add nothing. hooks.py replaces the excluded
 * check: without the scope, a valid request gets 403.
 */
const WITHOUT_SCOPES = ['--phases', 'examples,coverage', '--exclude-checks', 'positive_data_acceptance'];

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '300' } } });
const seconds = Number(values.seconds);
if (!Number.isInteger(seconds) || seconds < 1) throw new Error('--seconds: expected a whole number from 1');

const folder = mkdtempSync(join(tmpdir(), 'hangup-schemathesis-'));
const program = (name: string) => join(folder, 'venv/bin', name);

/** Runs a program beside the emulator, which is in this process. */
async function run(name: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<void> {
  const child = spawn(name, args, {
    cwd: folder,
    stdio: 'inherit',
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1', ...env },
  });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${name.split('/').at(-1)} failed`);
}

/**
 * Starts an HTTP proxy that ends each event stream, as a proxy with a limit on the duration does. Schemathesis reads
 * complete responses only, and event streams have no end.
 */
async function startStreamProxy() {
  const server = createServer((incoming, response) => {
    const { method, headers, url = '' } = incoming;
    const outgoing = sendRequest(url, { method, headers }, (received) => {
      response.writeHead(received.statusCode ?? 502, received.rawHeaders);
      received.pipe(response);
      if (received.headers['content-type'] !== 'text/event-stream') return;
      setTimeout(() => {
        received.unpipe(response);
        received.destroy();
        response.end();
      }, STREAM_DURATION_MS);
    });
    outgoing.on('error', () => response.destroy());
    incoming.pipe(outgoing);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, close: () => server.close().closeAllConnections() };
}

/** Registers calls in rooms with a phone, and calls without a room. */
async function makeCalls({ url, key }: RunningHangup): Promise<void> {
  for (let i = 0; i < 10; i += 1) {
    const id = `demo-${i}`;
    if (i % 2 === 0)
      livekit.join(id, { identity: 'phone', kind: 'SIP', attributes: { 'sip.callStatus': 'active' } });
    const response = await fetch(`${url}/api/v1/calls`, {
      method: 'POST',
      headers: { 'x-api-key': key, 'content-type': 'application/json' },
      body: JSON.stringify({ id, phoneNumber: `+1555000000${i}`, agentId: 'receptionist' }),
    });
    if (response.status !== 201) throw new Error(`POST /calls: ${response.status} ${await response.text()}`);
  }
}

const credentials = { apiKey: 'schemathesis', apiSecret: 'a-secret-of-at-least-32-characters' };
const livekit = await startEmulator(credentials);
const proxy = await startStreamProxy();
let hangup: RunningHangup | undefined;
try {
  cpSync(join(import.meta.dirname, 'schemathesis'), folder, { recursive: true });
  const events = createSchema(EventData, { io: 'output', opts: { override: simplifySchema } });
  writeFileSync(join(folder, 'event.json'), JSON.stringify(events));
  await run(process.env.PYTHON ?? 'python3', ['-m', 'venv', join(folder, 'venv')]);
  await run(program('pip'), ['install', '-q', '-r', 'requirements.txt']);
  hangup = await startEmulatedHangup(livekit, credentials, folder);
  const { url } = hangup;
  const OTHER_KEY = hangup.createKey({ org: 'other' });
  await makeCalls(hangup);
  const test = (env: NodeJS.ProcessEnv, args: readonly string[]) =>
    run(program('st'), ['run', `${url}/openapi.json`, ...args], {
      API: `${url}/api/v1`,
      OTHER_KEY,
      STREAM_PROXY: proxy.url,
      ...env,
    });
  for (const scope of ['calls:read', 'calls:write']) {
    const API_KEY = hangup.createKey({ scope });
    await test({ API_KEY, SCOPE: scope }, WITHOUT_SCOPES);
  }
  await test({ API_KEY: hangup.key, SCOPE: '' }, ['--max-time', String(seconds)]);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
} finally {
  hangup?.process.kill('SIGKILL');
  await livekit.stop();
  proxy.close();
  rmSync(folder, { recursive: true, force: true });
}
