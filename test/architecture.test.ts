import { globSync, readFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';

/** The folders and packages that each folder of src may import, and the Node builtins that reach out of the process. */
const TABLE: Record<string, readonly string[]> = {
  domain: [],
  ports: ['domain'],
  operations: ['ports', 'domain', 'node:crypto', 'node:timers/promises'],
  platform: [
    'ports',
    'node:child_process',
    'node:crypto',
    'node:fs',
    'node:module',
    'node:path',
    'node:sea',
    'node:tls',
    'node:url',
    'node:worker_threads',
    'node-cron',
    'pino',
    'pino-pretty',
    'zod',
  ],
  store: [
    'platform',
    'ports',
    'domain',
    'node:crypto',
    'node:fs',
    'node:net',
    'node:path',
    'node:timers/promises',
    'node:tls',
    'node:worker_threads',
    'better-sqlite3',
    'drizzle-orm',
    'drizzle-orm/better-sqlite3',
    'drizzle-orm/migrator',
    'drizzle-orm/node-postgres',
    'drizzle-orm/pg-core',
    'drizzle-orm/sqlite-core',
    'pg',
    'rate-limiter-flexible',
  ],
  livekit: [
    'ports',
    'domain',
    'node:buffer',
    'node:crypto',
    'node:http',
    'node:https',
    'node:net',
    'node:stream/consumers',
    'node:timers/promises',
    'node:tls',
    '@bufbuild/protobuf',
    '@livekit/protocol',
    'livekit-server-sdk',
    'p-queue',
    'zod',
  ],
  doctor: ['platform', 'ports', 'domain', 'node:fs', 'node:path'],
  emulator: [
    'node:buffer',
    'node:crypto',
    'node:http',
    '@bufbuild/protobuf',
    '@livekit/protocol',
    'livekit-server-sdk',
    'zod',
  ],
  reconciler: ['operations', 'ports', 'domain', 'node-cron'],
  metrics: ['ports', 'domain', 'prom-client'],
  api: ['operations', 'ports', 'domain', 'zod', '@trpc/server', '@trpc/server/http'],
  http: [
    'api',
    'operations',
    'ports',
    'domain',
    'node:crypto',
    'node:events',
    'node:http',
    'node:net',
    'node:stream',
    'node:stream/promises',
    'node:zlib',
    'zod',
    'zod-openapi',
    '@trpc/server',
    '@trpc/server/http',
  ],
  console: [
    'api',
    'react',
    'react-dom/client',
    '@tanstack/react-query',
    '@tanstack/react-table',
    '@tanstack/react-virtual',
    '@trpc/client',
    '@trpc/server',
    'uplot',
    'uplot/dist/uPlot.min.css',
    'wouter',
  ],
};
/** The composition root and the command line may import everything. */
const WIRING = ['app', 'cli'];

const SRC = resolve(import.meta.dirname, '../src');

function importsOf(source: string): string[] {
  const specifiers = [
    ...source.matchAll(/^\s*(?:import|export)\b[^;'"]*?\bfrom\s*['"]([^'"]+)['"]/gm),
    ...source.matchAll(/^\s*import\s*['"]([^'"]+)['"]/gm),
    ...source.matchAll(/\bimport\(\s*['"]([^'"]+)['"]/g),
  ];
  return specifiers.flatMap(([, specifier]) => specifier ?? []);
}

/** Returns `domain` for src/domain/call.ts. */
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

const files = globSync('**/*.{ts,tsx}', { cwd: SRC }).map((file) => resolve(SRC, file));

test('each folder imports only the folders and packages in its row', () => {
  const checked = files.filter((file) => partOf(file) in TABLE);
  expect(checked.length).toBeGreaterThan(30);
  expect(checked.flatMap((file) => violations(file, readFileSync(file, 'utf8')))).toEqual([]);
});

test('every folder is in the table or may import everything', () => {
  const parts = new Set(files.map(partOf));
  expect([...parts].filter((part) => !(part in TABLE) && ![...WIRING, 'main'].includes(part))).toEqual([]);
});

test('the console imports only types of the server', () => {
  const sources = files.filter((file) => partOf(file) === 'console');
  expect(sources.length).toBeGreaterThan(20);
  const imports = sources.flatMap((file) => [
    ...readFileSync(file, 'utf8').matchAll(
      /^(import .*?) from '(?:[./]+\/api\/router\.ts|@trpc\/server)'/gms,
    ),
  ]);
  expect(imports.length).toBeGreaterThan(1);
  expect(imports.map(([, start = '']) => start).filter((start) => !/import type [^;]*$/.test(start))).toEqual(
    [],
  );
});

test('main.ts imports nothing before the check of the Node version', () => {
  const source = readFileSync(resolve(SRC, 'main.ts'), 'utf8');
  expect(source).not.toMatch(/^\s*import\b(?!\()/m);
  expect(importsOf(source)).toEqual(['./cli/program.ts']);
});

test('the check finds a forbidden import in every syntax', () => {
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

test('only platform/ reads the environment, the clock and randomness; the emulator and the console have their own clock', () => {
  const offenders = (pattern: RegExp, allowed: readonly string[]) =>
    files
      .filter((file) => !allowed.includes(relative(SRC, file)))
      .filter((file) => pattern.test(readFileSync(file, 'utf8')));
  expect(offenders(/process\.env\b/, ['platform/environment.ts'])).toEqual([]);
  const clocks = ['platform/clock.ts', 'emulator/environment.ts', 'console/api/clock.ts'];
  expect(offenders(/Date\.now\(|new Date\(\)|Math\.random\(|randomUUID/, clocks)).toEqual([]);
});

const EXAMPLES = resolve(import.meta.dirname, '../clients/examples');
const Package = z.object({ dependencies: z.record(z.string(), z.string()) });

test.for(['javascript', 'livekit-agent', 'react'])(
  'the example %s imports only its own files and packages',
  (name) => {
    const folder = resolve(EXAMPLES, name);
    const { dependencies } = Package.parse(JSON.parse(readFileSync(resolve(folder, 'package.json'), 'utf8')));
    const sources = globSync('{*.js,src/*.{ts,tsx}}', { cwd: folder }).map((file) => resolve(folder, file));
    expect(sources.length).toBeGreaterThan(3);
    const foreign = sources.flatMap((file) =>
      importsOf(readFileSync(file, 'utf8')).filter((specifier) => {
        if (specifier.startsWith('.')) return !resolve(dirname(file), specifier).startsWith(`${folder}/`);
        const [scope = '', rest = ''] = specifier.split('/');
        const installed = scope.startsWith('@') ? `${scope}/${rest}` : scope;
        return !specifier.startsWith('node:') && !(installed in dependencies);
      }),
    );
    expect(foreign).toEqual([]);
  },
);

test('no file of src imports a client or an example', () => {
  const outside = files.flatMap((file) =>
    importsOf(readFileSync(file, 'utf8')).filter((specifier) =>
      specifier.startsWith('.')
        ? resolve(dirname(file), specifier).startsWith(resolve(SRC, '../clients'))
        : specifier.startsWith('@hangup/'),
    ),
  );
  expect(outside).toEqual([]);
});
