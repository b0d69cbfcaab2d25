import { execFile } from 'node:child_process';
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { runInNewContext } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { startHangup } from '../harness/hangup.ts';
import { temporaryFolder } from '../harness/temporary.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const CLIENT = join(ROOT, 'clients/typescript');
const readJson = (file: string) => JSON.parse(readFileSync(file, 'utf8'));

const run = promisify(execFile);

const OLDEST_NODE = 20;

/** Returns the machine's own Node.js; null if it is older than the client supports. */
async function machineNode(): Promise<string | null> {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((path) => !path.includes('node_modules'));
  const [node] = globSync(folders.map((path) => join(path, 'node')));
  if (node === undefined) return null;
  const { stdout } = await run(node, ['--print', 'process.versions.node']);
  return Number.parseInt(stdout, 10) >= OLDEST_NODE ? node : null;
}

async function bundle(format: 'esm' | 'iife') {
  const { outputFiles, metafile } = await build({
    stdin: { contents: "export { createHangup, HangupError } from '@hangup/client';", resolveDir: ROOT },
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    platform: 'browser',
    target: 'es2022',
    format,
    globalName: 'client',
  });
  return { code: outputFiles[0]?.text ?? '', inputs: Object.keys(metafile.inputs) };
}

test('a bundle for browsers is small, and has neither zod nor Node.js nor the server', async () => {
  const { code, inputs } = await bundle('esm');
  expect(inputs.length).toBeGreaterThan(5);
  expect(inputs.filter((file) => !/^clients\/typescript\/dist\/[\w-]+\.js$|^<stdin>$/.test(file))).toEqual(
    [],
  );
  expect(code).not.toMatch(/zod|node:|require\(|process\.|Buffer|sqlite|livekit/i);
  expect(code).toContain('idempotency-key');
  expect(gzipSync(code).byteLength).toBeLessThan(6_000);
});

test('the client runs with the globals of browsers and edge workers only', async () => {
  const hangup = await startHangup();
  onTestFinished(() => hangup.stop());
  const { code } = await bundle('iife');
  const {
    fetch,
    Headers,
    URL,
    AbortController,
    AbortSignal,
    TextDecoder,
    ReadableStream,
    crypto,
    performance,
  } = globalThis;
  const globals = {
    ...{
      fetch,
      Headers,
      URL,
      AbortController,
      AbortSignal,
      TextDecoder,
      ReadableStream,
      crypto,
      performance,
    },
    ...{ setTimeout, clearTimeout, url: hangup.url, apiKey: hangup.key },
  };
  const script = `${code};(async () => {
    const hangup = client.createHangup({ url, apiKey });
    const events = hangup.events.subscribe({}, { lastEventId: '0' });
    await hangup.calls.create({ id: 'x' });
    const { value } = await events.next();
    await events.return();
    const cancelled = await hangup.calls.cancel('x');
    const error = await hangup.calls.cancel('x').catch((error) => error);
    return [value.type, cancelled.status, error instanceof client.HangupError, error.message];
  })()`;
  expect(await runInNewContext(script, globals)).toEqual([
    'call.created',
    'cancelled',
    true,
    'Cannot cancel call with status: cancelled',
  ]);
});

const Packed = z.tuple([
  z.object({ name: z.string(), version: z.string(), files: z.array(z.object({ path: z.string() })) }),
]);

test('npm packs the built files, README and LICENSE, with the version of hangup', async () => {
  const { stdout } = await run('npm', ['pack', '--dry-run', '--json'], { cwd: CLIENT });
  const [{ name, version, files }] = Packed.parse(JSON.parse(stdout));
  expect({ name, version }).toEqual({
    name: '@hangup/client',
    version: readJson(join(ROOT, 'package.json')).version,
  });
  const sources = globSync('*.ts', { cwd: join(CLIENT, 'src') }).map((file) => file.replace(/\.ts$/, ''));
  expect(files.map(({ path }) => path).toSorted()).toEqual(
    [
      'LICENSE',
      'README.md',
      'package.json',
      ...sources.flatMap((file) => [`dist/${file}.d.ts`, `dist/${file}.js`]),
      'dist/server-types/api/calls/infinite-query.d.ts',
      'dist/server-types/api/router.d.ts',
      'dist/server-types/domain/call-status.d.ts',
    ].toSorted(),
  );
  expect(readFileSync(join(CLIENT, 'LICENSE'), 'utf8')).toBe(readFileSync(join(ROOT, 'LICENSE'), 'utf8'));
  for (const { path } of files) {
    const text = readFileSync(join(CLIENT, path), 'utf8');
    expect(text, path).not.toMatch(/registry\.|npmjs|publishConfig|\bzod\b|file:\/|\/work\//);
  }
  const lock: { packages: Record<string, { resolved?: string }> } = readJson(join(ROOT, 'package-lock.json'));
  const resolved = Object.values(lock.packages).flatMap((entry) => entry.resolved ?? []);
  expect(resolved).toEqual(['clients/typescript']);
});

const SCRIPT = `
import { createHangup, HangupError } from '@hangup/client';
const hangup = createHangup({ url: process.env.HANGUP_URL, apiKey: process.env.HANGUP_API_KEY });
const id = process.env.CALL_ID;
await hangup.calls.create({ id, agentId: id });
const { id: cancellationId } = await hangup.cancellations.create({ filter: { agentId: id }, reason: 'test' });
const { counts } = await hangup.cancellations.wait(cancellationId);
const ids = [];
for await (const call of hangup.calls.listAll({ cancellationId })) ids.push(call.id);
const types = [];
for await (const event of hangup.events.subscribe({ callId: id }, { lastEventId: '0' })) {
  types.push(event.type);
  if (event.type === 'call.status_changed') break;
}
const error = await hangup.calls.get('unknown').catch((error) => error);
console.log(JSON.stringify([counts.cancelled, ids, types, error instanceof HangupError && error.status]));
`;

/** An error if a type of the package is any, because a file or a package is missing. */
const TYPED = `
import { createHangup, type HangupEvent } from '@hangup/client';
const hangup = createHangup({ url: 'http://127.0.0.1:8080', apiKey: 'key' });
const status: 'cancelled' = (await hangup.calls.cancel('x')).status;
const isKnown: 0 extends 1 & HangupEvent ? false : true = true;
const isCreated: HangupEvent['type'] = 'call.created';
console.log(status, isKnown, isCreated);
`;

test("the packed package installs and compiles in an empty folder, and runs on the machine's and on the project's Node.js", async () => {
  const folder = temporaryFolder();
  const home = join(folder, 'home');
  const project = join(folder, 'project');
  mkdirSync(home);
  mkdirSync(project);
  await run('npm', ['pack', '--pack-destination', folder], { cwd: CLIENT });
  const [file = ''] = globSync('*.tgz', { cwd: folder });
  writeFileSync(join(project, 'package.json'), '{"private":true,"type":"module"}');
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', `../${file}`], { cwd: project });
  expect(globSync('node_modules/*', { cwd: project })).toEqual(['node_modules/@hangup']);
  writeFileSync(join(project, 'script.js'), SCRIPT);
  writeFileSync(join(project, 'client.ts'), TYPED);
  const options = '--noEmit --strict --module nodenext --target es2022 --lib es2022,dom --skipLibCheck'.split(
    ' ',
  );
  await run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), ...options, 'client.ts'], {
    cwd: project,
  });
  const hangup = await startHangup();
  onTestFinished(() => hangup.stop());
  const versions = [process.execPath, await machineNode()].filter((node) => node !== null);
  for (const [index, node] of versions.entries()) {
    const id = `node-${index}`;
    const env = { HOME: home, HANGUP_URL: hangup.url, HANGUP_API_KEY: hangup.key, CALL_ID: id };
    const { stdout } = await run(node, ['script.js'], { cwd: project, env });
    expect(JSON.parse(stdout), node).toEqual([1, [id], ['call.created', 'call.status_changed'], 404]);
  }
});
