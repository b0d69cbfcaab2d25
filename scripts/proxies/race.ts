import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent as HttpAgent, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { connect, createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/*
 * The race between a proxy that sends a request on a kept connection, and hangup that closes that connection because nothing
 * has come for long. Caddy does not send a DELETE a second time, nor nginx a POST, so their clients get 502.
 */

const ROOT = resolve(import.meta.dirname, '../..');
/** Requests at once: each has a connection of its own between the proxy and hangup. */
const AT_ONCE = 24;
/** So that hangup is busy when a connection is due to close, as a server under load is. */
const LARGE_BODY = JSON.stringify({ metadata: { list: Array.from({ length: 15_000 }, (_, i) => `${i}`) } });

export interface Server {
  readonly url: string;
  stop(): Promise<void>;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  await once(server.close(), 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** hangup from source on its built-in emulator, and an API key. */
export async function startHangup(
  folder: string,
  env: Readonly<Record<string, string>>,
): Promise<Server & { readonly port: number; readonly key: string }> {
  const environment = { PATH: process.env.PATH, DATABASE_URL: `file:${join(folder, 'hangup.db')}`, ...env };
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
  await untilListening(child, port);
  return { url: `http://127.0.0.1:${port}`, port, key, stop: () => stop(child) };
}

export async function startProxy(
  command: string,
  args: readonly string[],
  { url, port, env }: { url: string; port: number; env: NodeJS.ProcessEnv },
): Promise<Server> {
  const child = spawn(command, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-4_000);
  });
  child.once('exit', (code) => {
    if (code !== 0) process.stdout.write(`${command} ended with ${code}:\n${said}`);
  });
  await untilListening(child, port);
  return { url, stop: () => stop(child) };
}

async function untilListening(child: ChildProcess, port: number): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
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

/** How long after an answer hangup closes a connection on which nothing comes. */
export async function measureClosingMs({ port }: { port: number }): Promise<number> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write('GET /healthz HTTP/1.1\r\nhost: hangup\r\n\r\n');
  await once(socket, 'data');
  const answeredAt = performance.now();
  await once(socket.resume(), 'close');
  return performance.now() - answeredAt;
}

/**
 * Sends DELETEs and POSTs through a proxy, in pairs: the second one after a pause that ends about when hangup would close the
 * connection of the first. @returns how often each status was answered
 */
export async function race(
  proxy: Server,
  hangup: { readonly url: string; readonly key: string },
  { pausesMs, untilStatus }: { pausesMs: readonly number[]; untilStatus?: number },
): Promise<ReadonlyMap<number, number>> {
  const statuses = new Map<number, number>();
  const count = (status: number) => statuses.set(status, (statuses.get(status) ?? 0) + 1);
  const sendAll = async () => {
    const answers = await Promise.all(
      Array.from({ length: AT_ONCE }, (_, i) => send(proxy.url, hangup.key, i % 2 === 0 ? 'DELETE' : 'POST')),
    );
    for (const status of answers) count(status);
  };
  const load = startLoad(hangup);
  try {
    for (const pauseMs of pausesMs) {
      await sendAll();
      await sleep(pauseMs);
      await sendAll();
      if (untilStatus !== undefined && statuses.has(untilStatus)) break;
    }
  } finally {
    await load.stop();
  }
  return statuses;
}

/** A DELETE of a call that does not exist is 404, a POST of an unknown key 400, unless the proxy has lost it. */
function send(url: string, key: string, method: 'DELETE' | 'POST'): Promise<number> {
  const request = url.startsWith('https:') ? requestHttps : requestHttp;
  const path = method === 'POST' ? '/api/v1/calls' : '/api/v1/calls/none';
  const headers = { 'x-api-key': key, ...(method === 'POST' && { 'content-type': 'application/json' }) };
  return new Promise((done, failed) => {
    request(
      `${url}${path}`,
      // The client's own connection is new: only that of the proxy is kept.
      { method, agent: false, headers, rejectUnauthorized: false },
      (response) => {
        response.resume();
        done(response.statusCode ?? 0);
      },
    )
      .on('error', failed)
      .end(method === 'POST' ? '{"unknown":1}' : '');
  });
}

/** Large bodies, directly: each holds up hangup for some milliseconds. */
function startLoad({ url, key }: { url: string; key: string }) {
  let isOver = false;
  const agent = new HttpAgent({ keepAlive: true });
  const one = () =>
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
      while (!isOver) await one();
    }),
  );
  return {
    async stop() {
      isOver = true;
      await running;
      agent.destroy();
    },
  };
}
