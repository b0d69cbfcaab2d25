/** `npm run test:proxies`: docs/Caddyfile and docs/nginx.conf by Caddy's and nginx's own tests. Needs both, and openssl. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const DOCS = resolve(import.meta.dirname, '../docs');
const folder = mkdtempSync(join(tmpdir(), 'hangup-proxies-'));

function run(what: string, command: string, args: readonly string[]): void {
  const env = { ...process.env, HOME: folder, PATH: `${process.env.PATH}:/usr/sbin` };
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', env });
  process.stdout.write(`${status === 0 ? 'ok    ' : 'FAILED'} ${what}\n`);
  if (status === 0) return;
  process.stdout.write(`${error ?? ''}${stdout}${stderr}`);
  process.exitCode = 1;
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
} finally {
  rmSync(folder, { recursive: true, force: true });
}
