import { readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { onTestFinished } from 'vitest';
import { startProxy } from '../../scripts/proxies/race.ts';
import { freePort } from './ports.ts';
import { temporaryFolder } from './temporary.ts';

/* Reverse proxies in front of several processes, with the examples of docs. */

const DOCS = resolve(import.meta.dirname, '../../docs');
/** The addresses of the processes in the examples. */
const EXAMPLE_ADDRESSES = ['10.0.0.11:8080', '10.0.0.12:8080', '10.0.0.13:8080'];

export type ProxyName = 'Caddy' | 'nginx';

/** Starts a proxy with its example, on this test's addresses and without TLS. Returns its URL. */
export async function startFleetProxy(name: ProxyName, ports: readonly number[]): Promise<string> {
  const folder = temporaryFolder();
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const config = join(folder, 'config');
  writeFileSync(config, name === 'Caddy' ? caddyfile(port, ports) : nginxConfig(folder, port, ports));
  const args =
    name === 'Caddy'
      ? ['run', '--adapter', 'caddyfile', '--config', config]
      : ['-c', config, '-g', 'daemon off;'];
  const env = { ...process.env, HOME: folder, PATH: `${process.env.PATH}${delimiter}/usr/sbin` };
  const proxy = await startProxy(name.toLowerCase(), args, { url, port, env });
  onTestFinished(() => proxy.stop());
  return url;
}

/** A stop of Caddy waits for event streams, by default without a limit. */
const caddyfile = (port: number, ports: readonly number[]) =>
  `{\n\tadmin off\n\tgrace_period 1s\n}\n${replaceAll(readFileSync(join(DOCS, 'fleet.Caddyfile'), 'utf8'), [
    ['hangup.example.com {', `http://127.0.0.1:${port} {`],
    ...addresses(ports),
  ])}`;

function nginxConfig(folder: string, port: number, ports: readonly number[]): string {
  const text = replaceAll(readFileSync(join(DOCS, 'fleet-nginx.conf'), 'utf8'), [
    ['listen 443 ssl;', `listen 127.0.0.1:${port};`],
    ['ssl_certificate /etc/ssl/hangup/cert.pem;', ''],
    ['ssl_certificate_key /etc/ssl/hangup/key.pem;', ''],
    ['http {', 'http {\n    access_log off;'],
    ...addresses(ports),
  ]);
  return `pid ${folder}/pid;\nerror_log stderr crit;\nworker_processes 2;\n${text}`;
}

const addresses = (ports: readonly number[]): [string, string][] =>
  EXAMPLE_ADDRESSES.map((address, i) => [address, `127.0.0.1:${ports[i]}`]);

/** Replaces texts, each of which occurs once. */
function replaceAll(text: string, replacements: readonly (readonly [from: string, to: string])[]): string {
  return replacements.reduce((replaced, [from, to]) => {
    if (replaced.split(from).length !== 2) throw new Error(`expected once: ${from}`);
    return replaced.replace(from, () => to);
  }, text);
}
