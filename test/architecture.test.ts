import { globSync, readFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

/** What each part may import: other parts of src, packages, and of Node what reaches out of the process. */
const TABLE: Record<string, readonly string[]> = {
  domain: [],
  operations: ['domain', 'node:crypto', 'node:timers/promises'],
  assets: ['node:fs', 'node:path', 'node:sea', 'node:url', 'node:worker_threads'],
  store: [
    'assets',
    'domain',
    'node:fs',
    'node:path',
    'node:worker_threads',
    'better-sqlite3',
    'drizzle-orm',
    'drizzle-orm/better-sqlite3',
    'drizzle-orm/migrator',
    'drizzle-orm/sqlite-core',
  ],
  livekit: [
    'proxy',
    'domain',
    'node:buffer',
    'node:crypto',
    'node:http',
    'node:https',
    'node:stream/consumers',
    'node:timers/promises',
    '@bufbuild/protobuf',
    '@livekit/protocol',
    'livekit-server-sdk',
    'p-queue',
    'zod',
  ],
  api: ['operations', 'domain', 'zod', '@trpc/server', '@trpc/server/http'],
  http: [
    'api',
    'operations',
    'domain',
    'node:http',
    'node:net',
    'node:stream',
    'node:stream/promises',
    'zod',
    'zod-openapi',
    '@trpc/server',
    '@trpc/server/http',
  ],
  'database-claim': ['config', 'domain', 'store'],
  reconciler: ['environment', 'operations', 'domain', 'node-cron'],
  metrics: ['domain', 'prom-client'],
  log: ['domain', 'pino', 'pino-pretty'],
  certificates: ['node:tls'],
  systemd: ['node:child_process'],
  config: ['proxy', 'setting-schemas', 'node-cron', 'zod'],
  'setting-schemas': ['node:url', 'zod'],
  proxy: [],
  environment: ['config', 'env-file', 'setting-names', 'node:fs', 'node:path'],
  'env-file': [],
  'setting-names': [],
};
/** The wiring and the command line see everything. */
const WIRING = ['app', 'cli', 'commands', 'doctor', 'sandbox', 'serve'];

const SRC = resolve(import.meta.dirname, '../src');

function importsOf(source: string): string[] {
  const specifiers = [
    ...source.matchAll(/^\s*(?:import|export)\b[^;'"]*?\bfrom\s*['"]([^'"]+)['"]/gm),
    ...source.matchAll(/^\s*import\s*['"]([^'"]+)['"]/gm),
    ...source.matchAll(/\bimport\(\s*['"]([^'"]+)['"]/g),
  ];
  return specifiers.flatMap(([, specifier]) => specifier ?? []);
}

/** `domain` for src/domain/call.ts, `app` for src/app.ts. */
function partOf(file: string): string {
  return relative(SRC, file).split('/')[0]?.replace(/\.ts$/, '') ?? '';
}

function violations(file: string, source: string): string[] {
  const part = partOf(file);
  return importsOf(source).flatMap((specifier) => {
    const target = specifier.startsWith('.') ? partOf(resolve(dirname(file), specifier)) : specifier;
    const allowed = target === part || (TABLE[part] ?? []).includes(target);
    return allowed ? [] : [`${relative(SRC, file)} imports ${specifier}`];
  });
}

const files = globSync('**/*.ts', { cwd: SRC }).map((file) => resolve(SRC, file));

test('each part imports only what the table allows', () => {
  const checked = files.filter((file) => partOf(file) in TABLE);
  expect(checked.length).toBeGreaterThan(30);
  expect(checked.flatMap((file) => violations(file, readFileSync(file, 'utf8')))).toEqual([]);
});

test('every part is in the table or is wiring', () => {
  const parts = new Set(files.map(partOf));
  expect([...parts].filter((part) => !(part in TABLE) && ![...WIRING, 'main'].includes(part))).toEqual([]);
});

test('main loads nothing before it knows the Node that it runs on', () => {
  const source = readFileSync(resolve(SRC, 'main.ts'), 'utf8');
  expect(source).not.toMatch(/^\s*import\b(?!\()/m);
  expect(importsOf(source)).toEqual(['./cli.ts']);
});

test('a forbidden import is seen, however it is written', () => {
  const file = resolve(SRC, 'domain/call.ts');
  for (const source of [
    `import { x } from '../store/schema.ts';`,
    `import {\n  x,\n  y,\n} from '../store/schema.ts';`,
    `export * from "../store/schema.ts";`,
    `import type { X } from '../store/schema.ts';`,
    `import '../store/schema.ts';`,
    `const x = await import('../store/schema.ts');`,
  ]) {
    expect(violations(file, source), source).toEqual(['domain/call.ts imports ../store/schema.ts']);
  }
  expect(violations(file, `import { readFileSync } from 'node:fs';`)).toHaveLength(1);
  expect(violations(file, `import { x } from './time.ts';`)).toEqual([]);
});

test('the environment is read in environment.ts alone, the clock and chance in app.ts', () => {
  const offenders = (pattern: RegExp, allowed: readonly string[]) =>
    files
      .filter((file) => !allowed.includes(relative(SRC, file)) && !file.includes('/livekit/emulator/'))
      .filter((file) => pattern.test(readFileSync(file, 'utf8')));
  expect(offenders(/process\.env\b/, ['environment.ts'])).toEqual([]);
  expect(offenders(/Date\.now\(|new Date\(\)|Math\.random\(|randomUUID/, ['app.ts'])).toEqual([]);
});
