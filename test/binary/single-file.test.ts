import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { readMetrics } from '../harness/metrics.ts';
import { temporaryFolder } from '../harness/temporary.ts';

/* The single file in the environments of operators. Some tests require root or user namespaces for mounts and users. */

const BINARY = process.env.HANGUP_BINARY ?? '';
const EMPTY = { encoding: 'utf8', env: {} } as const;

/** Starts hangup, waits until it serves, and stops it after the test. @returns its URL */
async function serve(
  command: string,
  args: readonly string[],
  { cwd, env = {} }: { cwd: string; env?: Record<string, string> },
): Promise<string> {
  const child = spawn(command, args, { cwd, env: { PORT: '0', ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  const urlIn = () => /"url":"(http:[^"]+)"/.exec(output)?.[1];
  await expect
    .poll(() => {
      if (child.exitCode !== null) throw new Error(`hangup ended with ${child.exitCode}:\n${output}`);
      return urlIn() !== undefined;
    })
    .toBe(true);
  return urlIn() ?? '';
}

const readinessOf = async (url: string) => (await fetch(`${url}/readyz`)).status;

/** Returns a command that runs a script as root in its own mount namespace. */
function inMountNamespace(script: string): { command: string; args: string[] } {
  const asRoot = process.getuid?.() === 0 ? [] : ['--map-root-user'];
  return { command: 'unshare', args: [...asRoot, '--mount', 'sh', '-ec', script] };
}

test('the binary contains its version, its commit and the licenses of its packages', () => {
  expect(execFileSync(BINARY, ['version'], EMPTY)).toMatch(/^\d+\.\d+\.\d+ \([0-9a-f]{12}(-dirty)?\)\n$/);
  const licenses = execFileSync(BINARY, ['licenses'], { ...EMPTY, maxBuffer: 2 ** 24 });
  // The license of hangup is first.
  expect(licenses.toString()).toMatch(/^hangup \d+\.\d+\.\d+ \(Apache-2\.0\)\n\nApache License\n/);
  for (const name of ['better-sqlite3', 'livekit-server-sdk', 'zod', 'node-linux-'])
    expect(licenses).toContain(name);
  expect(licenses).toContain('Node.js is licensed for use as follows');
});

test('the SBOM lists exactly the bundled packages, and no file contains the build folder', () => {
  const beside = (name: string) => readFileSync(join(dirname(BINARY), name), 'utf8');
  const { components } = JSON.parse(beside('hangup.sbom.json')) as { components: { name: string }[] };
  const names = components.map(({ name }) => name);
  for (const inside of ['zod', '@trpc/server', 'pino-pretty', '@bufbuild/protobuf', 'pg', 'node', 'sqlite'])
    expect(names).toContain(inside);
  // The driver of Postgres is pure JavaScript.
  for (const outside of ['tsx', 'esbuild', 'vitest', 'pg-native']) expect(names).not.toContain(outside);
  // The packages of these licenses have no license file.
  expect(beside('hangup.licenses.txt')).toMatch(
    /^@bufbuild\/protobuf .*\n\n.*Apache-2\.0.*\n\nCopyright 2008 Google/m,
  );
  expect(beside('hangup.licenses.txt')).toMatch(/^drizzle-orm .*\n\n.*The text of Apache-2\.0/m);
  // The text of this license is in a README.
  expect(beside('hangup.licenses.txt')).toMatch(
    /^pg-types .*\n\nThe MIT License[\s\S]*?Copyright \(c\) 2014 Brian/m,
  );
  const folder = resolve(dirname(BINARY), '..');
  // Node.js and the packages contain parts of paths such as /app, ../src/node_modules and blob/main/src.
  const entries = readdirSync(folder).map((name) => RegExp.escape(name));
  const path = new RegExp(`(?<![\\w.-])${RegExp.escape(folder)}/(?:${entries.join('|')})`);
  for (const name of ['hangup', 'hangup.sbom.json', 'hangup.licenses.txt']) {
    expect(path.exec(readFileSync(join(dirname(BINARY), name), 'latin1'))?.[0], name).toBeUndefined();
  }
});

test('the binary writes readable log lines on a terminal', async () => {
  const cwd = temporaryFolder();
  const env = { PATH: process.env.PATH, PORT: '0' };
  // `script` creates a terminal and forwards the signal.
  const child = spawn('script', ['-qefc', `exec ${BINARY} serve`, '/dev/null'], { cwd, env });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  let shown = '';
  child.stdout.on('data', (chunk: Buffer) => {
    shown += chunk.toString();
  });
  await expect.poll(() => shown).toContain('server started');
  const ended = once(child, 'close');
  child.stdin.write('\x03'); // Ctrl-C
  expect(await ended).toEqual([0, null]);
  expect(shown).toMatch(/INFO.*server started/);
  expect(shown).toMatch(/INFO.*server stopping/);
});

test('the binary creates its database and serves in an empty folder with an empty environment', async () => {
  const cwd = temporaryFolder();
  const url = await serve('env', ['-i', 'PORT=0', BINARY], { cwd });
  expect(await readinessOf(url)).toBe(200);
  expect(readdirSync(cwd)).toEqual(['data']);
});

/** Creates a world-writable folder with a copy of the single file, which the user `nobody` runs. */
function prepareForNobody(): { cwd: string; args: string[] } {
  const cwd = temporaryFolder();
  chmodSync(cwd, 0o777);
  const copy = join(cwd, 'hangup');
  copyFileSync(BINARY, copy);
  chmodSync(copy, 0o755);
  return { cwd, args: ['--reuid=65534', '--regid=65534', '--clear-groups', copy] };
}

test('the binary runs as user nobody', async () => {
  const { cwd, args } = prepareForNobody();
  expect(await readinessOf(await serve('setpriv', args, { cwd, env: { PATH: '/usr/bin:/bin' } }))).toBe(200);
});

const LIVEKIT = {
  LIVEKIT_URL: 'http://127.0.0.1:1',
  LIVEKIT_API_KEY: 'k',
  LIVEKIT_API_SECRET: 'secretsecretsecretsecretsecretsecret',
};

test.each([
  ['the emulator', {}],
  ['a LiveKit', LIVEKIT],
])('the binary exits with 3 when user nobody may only read the database, with %s', async (_, settings) => {
  const { cwd, args } = prepareForNobody();
  const env = { PATH: '/usr/bin:/bin', PORT: '0', DATABASE_URL: 'file:hangup.db', ...settings };
  execFileSync(BINARY, ['migrate'], { cwd, env });
  chmodSync(join(cwd, 'hangup.db'), 0o444);
  const { status, stderr } = spawnSync('setpriv', args, { cwd, env, encoding: 'utf8' });
  expect({ status, stderr }).toEqual({
    status: 3,
    stderr: expect.stringMatching(
      /^hangup: .*readonly database\. Run as the user of the service, or as root, .*\n$/,
    ),
  });
});

test.each([['serve'], ['keys', 'list'], ['doctor']])(
  '`%s` names /proc and not DATABASE_URL when /proc is not mounted',
  (...words) => {
    const cwd = temporaryFolder();
    execFileSync(BINARY, ['migrate'], { cwd, env: {} });
    const { command, args } = inMountNamespace(
      `mount -t tmpfs tmpfs /proc; exec ${BINARY} ${words.join(' ')}`,
    );
    const { status, stdout, stderr } = spawnSync(command, args, {
      cwd,
      env: { PATH: process.env.PATH, PORT: '0' },
      encoding: 'utf8',
    });
    expect(status).toBe(words[0] === 'doctor' ? 1 : 3);
    expect(stdout + stderr).toMatch(
      /\/proc is not mounted, and loading SQLite requires it[\s\S]*mount -t proc proc \/proc/,
    );
    expect(stdout + stderr).not.toContain('Check that DATABASE_URL');
  },
);

test('the binary runs from a read-only mount with a noexec /tmp', async () => {
  const cwd = temporaryFolder();
  mkdirSync(join(cwd, 'ro'));
  mkdirSync(join(cwd, 'data'));
  copyFileSync(BINARY, join(cwd, 'ro/hangup'));
  const { command, args } = inMountNamespace(`
    mount --bind ${cwd}/ro ${cwd}/ro
    mount -o remount,bind,ro ${cwd}/ro
    mkdir ${cwd}/tmp && mount -t tmpfs -o noexec tmpfs ${cwd}/tmp
    ! touch ${cwd}/ro/x 2>/dev/null
    cp /bin/true ${cwd}/tmp/true && ! ${cwd}/tmp/true 2>/dev/null
    cd ${cwd} && TMPDIR=${cwd}/tmp exec ${cwd}/ro/hangup`);
  expect(await readinessOf(await serve(command, args, { cwd, env: { PATH: '/usr/bin:/bin' } }))).toBe(200);
});

test('eight binaries serve at once on eight databases', async () => {
  const urls = await Promise.all(
    Array.from({ length: 8 }, () => serve(BINARY, [], { cwd: temporaryFolder() })),
  );
  expect(await Promise.all(urls.map(readinessOf))).toEqual(Array.from({ length: 8 }, () => 200));
});

test('two binaries serve at once on one database', async () => {
  const cwd = temporaryFolder();
  const [first, second] = await Promise.all([serve(BINARY, [], { cwd }), serve(BINARY, [], { cwd })]);
  const { key } = JSON.parse(
    execFileSync(BINARY, ['keys', 'create', '--org', 'acme', '--name', 'test', '--json'], { ...EMPTY, cwd }),
  );
  const headers = { 'x-api-key': key, 'content-type': 'application/json' };
  const made = await fetch(`${first}/api/v1/calls`, { method: 'POST', headers, body: '{"id":"c1"}' });
  expect(made.status).toBe(201);
  const cancelled = await fetch(`${second}/api/v1/calls/c1`, { method: 'DELETE', headers });
  expect(cancelled.status).toBe(200);
  const read = await fetch(`${first}/api/v1/calls/c1`, { headers });
  expect(await read.json()).toMatchObject({ data: { status: 'cancelled' } });
});

test('the binary ignores the environment variables of Node.js and the files beside it', () => {
  const cwd = temporaryFolder();
  const env = { NODE_OPTIONS: `--import=${join(cwd, 'evil.mjs')}`, NODE_PATH: cwd };
  const { status, stdout } = spawnSync(BINARY, ['version'], { cwd, env, encoding: 'utf8' });
  expect({ status, stdout }).toEqual({ status: 0, stdout: execFileSync(BINARY, ['version'], EMPTY) });
  expect(existsSync(join(cwd, 'data'))).toBe(false);
});

describe('a server with a certificate of a private CA', () => {
  async function start() {
    const cwd = temporaryFolder();
    const made = ['-keyout', 'key.pem', '-out', 'cert.pem', '-subj', '/CN=livekit'];
    const name = ['-addext', 'subjectAltName=IP:127.0.0.1'];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...made, ...name], {
      cwd,
      stdio: 'ignore',
    });
    const [key, cert] = [readFileSync(join(cwd, 'key.pem')), readFileSync(join(cwd, 'cert.pem'))];
    const server = createServer({ key, cert }, ({ url, headers }, response) => {
      const type = headers['content-type'] ?? 'application/json';
      const json = url?.startsWith('/api/v1/calls') ? '{"data":{"calls":[]}}' : '{"rooms":[]}';
      // An empty list in protobuf has no bytes.
      response.writeHead(200, { 'content-type': type }).end(type.endsWith('json') ? json : '');
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const { port } = server.address() as AddressInfo;
    const url = `https://127.0.0.1:${port}`;
    const run = async (args: readonly string[], env: Record<string, string> = {}) => {
      const urls = { LIVEKIT_URL: url, HANGUP_URL: url, HANGUP_API_KEY: 'k' };
      const child = spawn(BINARY, args, { cwd, env: { ...LIVEKIT, ...urls, ...env } });
      let output = '';
      for (const stream of [child.stdout, child.stderr]) {
        stream.on('data', (chunk: Buffer) => {
          output += chunk.toString();
        });
      }
      await once(child, 'close');
      return output;
    };
    return { url, cwd, run };
  }

  test('is refused with an error that names the setting', async () => {
    const { url, run } = await start();
    expect(await run(['calls', 'list'])).toMatch(/^hangup: incomplete response from https:.*certificate/);
    expect(await run(['doctor'])).toContain(
      `${url} does not respond: its certificate is not signed by a trusted CA (DEPTH_ZERO_SELF_SIGNED_CERT): set NODE_EXTRA_CA_CERTS`,
    );
  });

  test.each(['NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE'])('is trusted when %s names the CA', async (name) => {
    const { url, cwd, run } = await start();
    const env = { [name]: 'cert.pem' };
    expect(await run(['calls', 'list'], env)).toBe('no calls\n');
    expect(await run(['doctor'], env)).toContain(`${url} responds`);
    const serving = { ...LIVEKIT, LIVEKIT_URL: url, ...env };
    const at = await serve(BINARY, [], { cwd, env: serving });
    const listed = { method: 'ListRooms', code: 'answered' };
    await expect
      .poll(async () => {
        const { samples } = await readMetrics(at);
        const requests = samples.filter(({ name }) => name === 'hangup_livekit_requests_total');
        return requests.some(({ labels, value }) => value > 0 && isDeepStrictEqual(labels, listed));
      })
      .toBe(true);
  });
});
