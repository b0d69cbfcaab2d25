/**
 * `npm run test:proxies`: validates the examples of docs with Caddy and nginx. Runs Caddyfile and nginx.conf in front of a hangup
 * that closes idle connections under load, and of a hangup that limits requests by address. Runs the examples for several
 * processes in front of three of them, with Postgres. Requires caddy, nginx and openssl. With REQUIRE_ALL=1, a machine without
 * Postgres is a failure.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describeSettings } from '../src/platform/config.ts';
import { freePort } from '../test/harness/ports.ts';
import { findPostgres } from '../test/harness/postgres-server.ts';
import { measureClosingMs, race, type Server, send, startHangup, startProxy } from './proxies/race.ts';

const DOCS = resolve(import.meta.dirname, '../docs');
const folder = mkdtempSync(join(tmpdir(), 'hangup-proxies-'));
const env = { ...process.env, HOME: folder, PATH: `${process.env.PATH}:/usr/sbin` };
/** The idle timeout of connections to hangup in both configurations. */
const PROXY_IDLE_TIMEOUT = '30s';

function check(name: string, passed: boolean, output = ''): void {
  process.stdout.write(`${passed ? 'ok    ' : 'FAILED'} ${name}\n${passed ? '' : `${output}\n`}`);
  if (!passed) process.exitCode = 1;
}

function run(name: string, command: string, args: readonly string[]): void {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', env });
  check(name, status === 0, `${error ?? ''}${stdout}${stderr}`);
}

/** Starts a proxy with its configuration in docs and the ports of this test. `idleTimeout` replaces the configured timeout. */
const PROXIES: Readonly<Record<string, (hangupPort: number, idleTimeout: string) => Promise<Server>>> = {
  async Caddy(hangupPort, idleTimeout) {
    const port = await freePort();
    const config = join(folder, 'Caddyfile');
    const text = readFileSync(join(DOCS, 'Caddyfile'), 'utf8')
      .replace('hangup.example.com {', `http://127.0.0.1:${port} {`)
      .replace('127.0.0.1:8080', `127.0.0.1:${hangupPort}`)
      .replace(`keepalive ${PROXY_IDLE_TIMEOUT}`, `keepalive ${idleTimeout}`);
    writeFileSync(config, `{\n\tadmin off\n}\n${text}`);
    const args = ['run', '--adapter', 'caddyfile', '--config', config];
    return startProxy('caddy', args, { url: `http://127.0.0.1:${port}`, port, env });
  },
  async nginx(hangupPort, idleTimeout) {
    const port = await freePort();
    const config = join(folder, 'nginx-race.conf');
    const text = readFileSync(join(DOCS, 'nginx.conf'), 'utf8')
      .replaceAll('/etc/ssl/hangup', folder)
      .replace('listen 443 ssl', `listen 127.0.0.1:${port} ssl`)
      .replace('127.0.0.1:8080', `127.0.0.1:${hangupPort}`)
      .replace(`keepalive_timeout ${PROXY_IDLE_TIMEOUT}`, `keepalive_timeout ${idleTimeout}`)
      .replace('http {', 'http {\n    access_log off;');
    // With one worker, all requests share its idle connections.
    writeFileSync(config, `pid ${folder}/pid;\nerror_log stderr crit;\nworker_processes 1;\n${text}`);
    const args = ['-c', config, '-g', 'daemon off;'];
    return startProxy('nginx', args, { url: `https://127.0.0.1:${port}`, port, env });
  },
};

/** Returns `count` random pauses between two limits. */
function randomPauses(count: number, fromMs: number, toMs: number): number[] {
  return Array.from({ length: count }, () => Math.max(0, fromMs + Math.random() * (toMs - fromMs)));
}

const reachedHangup = (statuses: ReadonlyMap<number, number>) =>
  [...statuses.keys()].every((status) => status === 404 || status === 400) && statuses.size === 2;

const formatCounts = (statuses: ReadonlyMap<number, number>) =>
  [...statuses].map(([status, count]) => `${status}: ${count} times`).join(', ');

/** Starts a hangup and a proxy in front of it, and stops both afterwards. */
async function withProxy(
  name: string,
  { hangupEnv, idleTimeout }: { hangupEnv: Record<string, string>; idleTimeout: string },
  use: (proxy: Server, hangup: Awaited<ReturnType<typeof startHangup>>) => Promise<void>,
): Promise<void> {
  const directory = mkdtempSync(join(folder, 'hangup-'));
  const hangup = await startHangup(directory, hangupEnv);
  try {
    const proxy = await PROXIES[name]?.(hangup.port, idleTimeout);
    if (proxy === undefined) throw new Error(`unknown proxy: ${name}`);
    try {
      await use(proxy, hangup);
    } finally {
      await proxy.stop();
    }
  } finally {
    await hangup.stop();
  }
}

async function testRace(name: string): Promise<void> {
  // hangup closes connections first, as with Node's default of 5 s.
  await withProxy(
    name,
    { hangupEnv: { KEEP_ALIVE_TIMEOUT_MS: '1000' }, idleTimeout: PROXY_IDLE_TIMEOUT },
    async (proxy, hangup) => {
      const closingMs = await measureClosingMs(hangup);
      const pausesMs = randomPauses(100, closingMs - 100, closingMs - 50);
      const statuses = await race(proxy, hangup, { pausesMs, untilStatus: 502 });
      check(
        `${name}: the test detects 502 when hangup closes connections first, after ${Math.round(closingMs)} ms`,
        statuses.has(502),
        formatCounts(statuses),
      );
    },
  );
  // The defaults, 30 times as fast: 75 s and 30 s.
  await withProxy(
    name,
    { hangupEnv: { KEEP_ALIVE_TIMEOUT_MS: '2500' }, idleTimeout: '1s' },
    async (proxy, hangup) => {
      const closingMs = await measureClosingMs(hangup);
      const pausesMs = [...randomPauses(4, 900, 1_100), ...randomPauses(4, closingMs - 100, closingMs - 50)];
      const statuses = await race(proxy, hangup, { pausesMs });
      check(
        `${name}: no 502 when the proxy closes connections first`,
        reachedHangup(statuses),
        formatCounts(statuses),
      );
    },
  );
  await withProxy(name, { hangupEnv: {}, idleTimeout: PROXY_IDLE_TIMEOUT }, async (proxy, hangup) => {
    const statuses = await race(proxy, hangup, { pausesMs: randomPauses(3, 4_900, 6_200) });
    check(`${name}: no 502 with the defaults`, reachedHangup(statuses), formatCounts(statuses));
  });
}

/** Sends wrong keys with a spoofed address each, which the proxy drops or puts before the real address. */
async function testAddresses(name: string): Promise<void> {
  const hangupEnv = { TRUSTED_PROXIES: '127.0.0.1', RATE_LIMIT_ANONYMOUS: '2' };
  await withProxy(name, { hangupEnv, idleTimeout: PROXY_IDLE_TIMEOUT }, async (proxy, hangup) => {
    const statuses: number[] = [];
    for (let i = 1; i <= 4; i += 1) {
      const headers = { 'x-forwarded-for': `203.0.113.${i}` };
      // Not 127.0.0.1, because hangup trusts the proxy at this address.
      statuses.push(await send(proxy.url, 'wrong', 'DELETE', { headers, localAddress: '127.0.0.2' }));
    }
    statuses.push(await send(proxy.url, hangup.key, 'DELETE', { localAddress: '127.0.0.2' }));
    check(
      `${name}: a spoofed X-Forwarded-For does not change the limit of the address`,
      statuses.join() === '401,401,429,429,404',
      statuses.join(),
    );
  });
}

/** Runs three processes on Postgres behind each proxy. */
function testFleet(): void {
  if (findPostgres() === null) {
    const message = 'several processes behind a proxy: not run without Postgres (Debian: postgresql)';
    process.stdout.write(`${message}\n`);
    if (process.env.REQUIRE_ALL) process.exitCode = 1;
    return;
  }
  const vitest = resolve(import.meta.dirname, '../node_modules/vitest/vitest.mjs');
  const { status } = spawnSync(process.execPath, [vitest, 'run', 'test/app/fleet-proxies.test.ts'], {
    cwd: resolve(import.meta.dirname, '..'),
    stdio: 'inherit',
    env: { ...process.env, PROXIES: '1' },
  });
  check('several processes behind each proxy lose nothing', status === 0);
}

try {
  for (const name of ['Caddyfile', 'fleet.Caddyfile']) {
    const args = ['validate', '--adapter', 'caddyfile', '--config', join(DOCS, name)];
    run(`caddy validate: ${name}`, 'caddy', args);
  }
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const opensslArgs = [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-subj',
    '/CN=hangup',
    '-keyout',
    key,
    '-out',
    cert,
  ];
  run('create a certificate for nginx', 'openssl', opensslArgs);
  const config = join(folder, 'nginx.conf');
  for (const name of ['fleet-nginx.conf', 'nginx.conf']) {
    const text = readFileSync(join(DOCS, name), 'utf8');
    writeFileSync(config, `pid ${folder}/pid;\n${text.replaceAll('/etc/ssl/hangup', folder)}`);
    run(`nginx -t: ${name}`, 'nginx', ['-t', '-c', config]);
  }
  const setting = describeSettings().find(({ name }) => name === 'KEEP_ALIVE_TIMEOUT_MS');
  check(
    'the default KEEP_ALIVE_TIMEOUT_MS is longer than the idle timeout of both proxies',
    Number(setting?.default) > Number.parseInt(PROXY_IDLE_TIMEOUT, 10) * 1_000 &&
      ['Caddyfile', 'fleet.Caddyfile', 'nginx.conf', 'fleet-nginx.conf'].every((name) =>
        readFileSync(join(DOCS, name), 'utf8').match(
          new RegExp(`keepalive(_timeout)? ${PROXY_IDLE_TIMEOUT}`),
        ),
      ),
  );
  for (const name of Object.keys(PROXIES)) {
    await testAddresses(name);
    await testRace(name);
  }
  testFleet();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
