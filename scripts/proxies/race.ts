import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent as HttpAgent, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { connect } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../test/harness/ports.ts';

/*
 * The race between a proxy that sends a request on an idle connection and hangup, which closes the connection at that
 * moment. Caddy does not retry a DELETE and nginx does not retry a POST, so their clients get 502.
 */

const ROOT = resolve(import.meta.dirname, '../..');
/** Concurrent requests. Each has its own connection between the proxy and hangup. */
const CONCURRENCY = 24;
/**
 * How long hangup is suspended while the proxy sends requests on connections that are due to close. Then hangup closes
 * them, and drops the requests.
 */
const SUSPENSION_MS = 200;
/** Keeps hangup busy: a suspended server that waits for requests would read them before it closes connections. */
const LARGE_BODY = JSON.stringify({ metadata: { list: Array.from({ length: 15_000 }, (_, i) => `${i}`) } });

export interface Server {
  readonly url: string;
  stop(): Promise<void>;
}

export interface Hangup extends Server {
  readonly port: number;
  readonly key: string;
  suspend(): void;
  resume(): void;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}

/** Starts hangup from source on its built-in emulator, with an API key. */
export async function startHangup(folder: string, env: Readonly<Record<string, string>>): Promise<Hangup> {
  const environment = {
    PATH: process.env.PATH,
    DATABASE_URL: `file:${join(folder, 'hangup.db')}`,
    // The load is higher than the default limit of a key.
    RATE_LIMIT_CALLS: '0',
    RATE_LIMIT_CANCELS: '0',
    ...env,
  };
  const main = join(ROOT, 'src/main.ts');
  const create = [main, 'keys', 'create', '--org', 'acme', '--name', 'test'];
  const key = execFileSync(process.execPath, create, {
    cwd: folder,
    env: environment,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim();
  const port = await freePort();
  const child = spawn(process.execPath, [main, 'serve'], {
    cwd: folder,
    env: { ...environment, PORT: String(port) },
    stdio: 'ignore',
  });
  await waitUntilListening(child, port);
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    key,
    suspend: () => child.kill('SIGSTOP'),
    resume: () => child.kill('SIGCONT'),
    stop: () => stop(child),
  };
}

export async function startProxy(
  command: string,
  args: readonly string[],
  { url, port, env }: { url: string; port: number; env: NodeJS.ProcessEnv },
): Promise<Server> {
  const child = spawn(command, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-4_000);
  });
  child.once('exit', (code) => {
    if (code !== 0) process.stdout.write(`${command} exited with ${code}:\n${stderr}`);
  });
  await waitUntilListening(child, port);
  return { url, stop: () => stop(child) };
}

async function waitUntilListening(child: ChildProcess, port: number): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`the process exited with ${child.exitCode}`);
    const socket = connect(port, '127.0.0.1');
    const isUp = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'error').then(() => false),
    ]).catch(() => false);
    socket.destroy();
    if (isUp) return;
    await sleep(50);
  }
}

/** Returns the time from a response until hangup closes the idle connection. */
export async function measureClosingMs({ port }: { port: number }): Promise<number> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write('GET /healthz HTTP/1.1\r\nhost: hangup\r\n\r\n');
  await once(socket, 'data');
  const respondedAt = performance.now();
  await once(socket.resume(), 'close');
  return performance.now() - respondedAt;
}

/**
 * Sends DELETEs and POSTs through a proxy, in pairs. After the pause between two requests, hangup is suspended until the
 * second one is on its way. Returns the count of each response status.
 */
export async function race(
  proxy: Server,
  hangup: Hangup,
  { pausesMs, untilStatus }: { pausesMs: readonly number[]; untilStatus?: number },
): Promise<ReadonlyMap<number, number>> {
  const statuses = new Map<number, number>();
  const count = (status: number) => statuses.set(status, (statuses.get(status) ?? 0) + 1);
  const sendAll = async () => {
    const responses = await Promise.all(
      Array.from({ length: CONCURRENCY }, (_, i) =>
        send(proxy.url, hangup.key, i % 2 === 0 ? 'DELETE' : 'POST'),
      ),
    );
    for (const status of responses) count(status);
  };
  const load = startLoad(hangup);
  try {
    for (const pauseMs of pausesMs) {
      await sendAll();
      await sleep(pauseMs);
      hangup.suspend();
      const sent = sendAll();
      await sleep(SUSPENSION_MS);
      hangup.resume();
      await sent;
      if (untilStatus !== undefined && statuses.has(untilStatus)) break;
    }
  } finally {
    await load.stop();
  }
  return statuses;
}

/**
 * Returns 404 for the DELETE of an unknown call and 400 for the POST with an unknown key, unless the proxy loses it.
 * @param options more headers, and the address that the client connects from
 */
export function send(
  url: string,
  key: string,
  method: 'DELETE' | 'POST',
  {
    headers: extraHeaders = {},
    localAddress,
  }: { headers?: Record<string, string>; localAddress?: string } = {},
): Promise<number> {
  const request = url.startsWith('https:') ? requestHttps : requestHttp;
  const path = method === 'POST' ? '/api/v1/calls' : '/api/v1/calls/none';
  const headers = {
    'x-api-key': key,
    ...(method === 'POST' && { 'content-type': 'application/json' }),
    ...extraHeaders,
  };
  return new Promise((done, failed) => {
    request(
      `${url}${path}`,
      // The client uses a new connection. Only the proxy reuses connections.
      { method, agent: false, headers, rejectUnauthorized: false, ...(localAddress && { localAddress }) },
      (response) => {
        response.resume();
        done(response.statusCode ?? 0);
      },
    )
      .on('error', failed)
      .end(method === 'POST' ? '{"unknown":1}' : '');
  });
}

/** Sends large bodies directly. Each one blocks hangup for some milliseconds. */
function startLoad({ url, key }: { url: string; key: string }) {
  let isStopped = false;
  const agent = new HttpAgent({ keepAlive: true });
  const sendOne = () =>
    new Promise<void>((done) => {
      requestHttp(
        `${url}/api/v1/calls`,
        { method: 'POST', agent, headers: { 'x-api-key': key, 'content-type': 'application/json' } },
        (response) => response.resume().on('end', done),
      )
        .on('error', () => done())
        .end(LARGE_BODY);
    });
  const running = Promise.all(
    Array.from({ length: 2 }, async () => {
      while (!isStopped) await sendOne();
    }),
  );
  return {
    async stop() {
      isStopped = true;
      await running;
      agent.destroy();
    },
  };
}
