/**
 * `npm run test:proxies`: docs/Caddyfile and docs/nginx.conf by Caddy's and nginx's own tests, and in front of a hangup that
 * closes idle connections while requests come. Needs both, and openssl.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describeSettings } from '../src/platform/config.ts';
import { freePort, measureClosingMs, race, type Server, startHangup, startProxy } from './proxies/race.ts';

const DOCS = resolve(import.meta.dirname, '../docs');
const folder = mkdtempSync(join(tmpdir(), 'hangup-proxies-'));
const env = { ...process.env, HOME: folder, PATH: `${process.env.PATH}:/usr/sbin` };
/** How long the configurations let the proxies keep a connection on which nothing comes. */
const PROXIES_KEEP = '30s';

function check(what: string, isSo: boolean, output = ''): void {
  process.stdout.write(`${isSo ? 'ok    ' : 'FAILED'} ${what}\n${isSo ? '' : `${output}\n`}`);
  if (!isSo) process.exitCode = 1;
}

function run(what: string, command: string, args: readonly string[]): void {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', env });
  check(what, status === 0, `${error ?? ''}${stdout}${stderr}`);
}

/** The configurations of docs, with the addresses of this test. @param keep replaces how long connections are kept */
const PROXIES: Readonly<Record<string, (hangupPort: number, keep: string) => Promise<Server>>> = {
  async Caddy(hangupPort, keep) {
    const port = await freePort();
    const config = join(folder, 'Caddyfile');
    const text = readFileSync(join(DOCS, 'Caddyfile'), 'utf8')
      .replace('hangup.example.com {', `http://127.0.0.1:${port} {`)
      .replace('127.0.0.1:8080', `127.0.0.1:${hangupPort}`)
      .replace(`keepalive ${PROXIES_KEEP}`, `keepalive ${keep}`);
    writeFileSync(config, `{\n\tadmin off\n}\n${text}`);
    const args = ['run', '--adapter', 'caddyfile', '--config', config];
    return startProxy('caddy', args, { url: `http://127.0.0.1:${port}`, port, env });
  },
  async nginx(hangupPort, keep) {
    const port = await freePort();
    const config = join(folder, 'nginx-race.conf');
    const text = readFileSync(join(DOCS, 'nginx.conf'), 'utf8')
      .replaceAll('/etc/ssl/hangup', folder)
      .replace('listen 443 ssl', `listen 127.0.0.1:${port} ssl`)
      .replace('127.0.0.1:8080', `127.0.0.1:${hangupPort}`)
      .replace(`keepalive_timeout ${PROXIES_KEEP}`, `keepalive_timeout ${keep}`)
      .replace('http {', 'http {\n    access_log off;');
    // One worker, so that all requests share its kept connections.
    writeFileSync(config, `pid ${folder}/pid;\nerror_log stderr crit;\nworker_processes 1;\n${text}`);
    const args = ['-c', config, '-g', 'daemon off;'];
    return startProxy('nginx', args, { url: `https://127.0.0.1:${port}`, port, env });
  },
};

/** So many pauses from one to the other, in no order. */
function pauses(count: number, fromMs: number, toMs: number): number[] {
  return Array.from({ length: count }, () => Math.max(0, fromMs + Math.random() * (toMs - fromMs)));
}

const areUnlost = (statuses: ReadonlyMap<number, number>) =>
  [...statuses.keys()].every((status) => status === 404 || status === 400) && statuses.size === 2;

const inWords = (statuses: ReadonlyMap<number, number>) =>
  [...statuses].map(([status, times]) => `${status}: ${times} times`).join(', ');

/** One hangup, and one proxy before it. */
async function withBoth(
  name: string,
  { hangupEnv, keep }: { hangupEnv: Record<string, string>; keep: string },
  use: (proxy: Server, hangup: Awaited<ReturnType<typeof startHangup>>) => Promise<void>,
): Promise<void> {
  const place = mkdtempSync(join(folder, 'hangup-'));
  const hangup = await startHangup(place, hangupEnv);
  try {
    const proxy = await PROXIES[name]?.(hangup.port, keep);
    if (proxy === undefined) throw new Error(`there is no proxy ${name}`);
    try {
      await use(proxy, hangup);
    } finally {
      await proxy.stop();
    }
  } finally {
    await hangup.stop();
  }
}

async function raceOf(name: string): Promise<void> {
  // A hangup that closes first, as one did whose connections ended after Node's 5 s.
  await withBoth(
    name,
    { hangupEnv: { KEEP_ALIVE_TIMEOUT_MS: '1000' }, keep: PROXIES_KEEP },
    async (proxy, hangup) => {
      const closingMs = await measureClosingMs(hangup);
      const pausesMs = pauses(60, closingMs - 60, closingMs + 40);
      const statuses = await race(proxy, hangup, { pausesMs, untilStatus: 502 });
      check(
        `row 7, ${name}: 502 where hangup closes before the proxy, after ${Math.round(closingMs)} ms: this test sees the race`,
        statuses.has(502),
        inWords(statuses),
      );
    },
  );
  // The defaults, 30 times as fast: 75 s and 30 s.
  await withBoth(
    name,
    { hangupEnv: { KEEP_ALIVE_TIMEOUT_MS: '2500' }, keep: '1s' },
    async (proxy, hangup) => {
      const closingMs = await measureClosingMs(hangup);
      const pausesMs = [...pauses(8, 900, 1_100), ...pauses(8, closingMs - 60, closingMs + 40)];
      const statuses = await race(proxy, hangup, { pausesMs });
      check(
        `row 7, ${name}: no 502 where the proxy closes first, as with the defaults`,
        areUnlost(statuses),
        inWords(statuses),
      );
    },
  );
  await withBoth(name, { hangupEnv: {}, keep: PROXIES_KEEP }, async (proxy, hangup) => {
    const statuses = await race(proxy, hangup, { pausesMs: pauses(5, 4_900, 6_200) });
    check(`row 7, ${name}: no 502 with the defaults themselves`, areUnlost(statuses), inWords(statuses));
  });
}

try {
  run('caddy validate', 'caddy', ['validate', '--adapter', 'caddyfile', '--config', join(DOCS, 'Caddyfile')]);
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const made = [
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
  run('a certificate for nginx', 'openssl', made);
  const config = join(folder, 'nginx.conf');
  const text = readFileSync(join(DOCS, 'nginx.conf'), 'utf8');
  writeFileSync(config, `pid ${folder}/pid;\n${text.replaceAll('/etc/ssl/hangup', folder)}`);
  run('nginx -t', 'nginx', ['-t', '-c', config]);
  const setting = describeSettings().find(({ name }) => name === 'KEEP_ALIVE_TIMEOUT_MS');
  check(
    'by default hangup keeps connections longer than both proxies',
    Number(setting?.default) > Number.parseInt(PROXIES_KEEP, 10) * 1_000 &&
      readFileSync(join(DOCS, 'Caddyfile'), 'utf8').includes(`keepalive ${PROXIES_KEEP}`) &&
      text.includes(`keepalive_timeout ${PROXIES_KEEP};`),
  );
  for (const name of Object.keys(PROXIES)) await raceOf(name);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
