/**
 * `npm run test:livekit`: runs the tests without injected faults on a real livekit-server, and tests of outages and of real
 * phone calls. Skips a suite if its programs are missing, and names the programs. With REQUIRE_ALL=1, a skipped suite is a
 * failure.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

const FILES = [
  'test/livekit/contract',
  'test/livekit/end-to-end',
  'test/livekit/outages',
  'test/livekit/probe',
  'test/livekit/recorded-responses',
  'test/livekit/recorded-webhooks',
  'test/http',
];

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** @param named the path of the program, instead of a search in PATH */
function find(program: string, named?: string): string | undefined {
  const onPath = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, program));
  return (named ? [named] : onPath).find(isExecutable);
}

const server = find('livekit-server', process.env.LIVEKIT_SERVER);
const sip = find('livekit-sip', process.env.LIVEKIT_SIP);
const redis = find('redis-server');
const sipp = find('sipp');
const optionalSuites = [
  { name: 'The dead nodes', file: 'test/livekit/dead-nodes', needs: { 'redis-server': redis } },
  {
    name: 'The phone calls',
    file: 'test/livekit/phones',
    needs: { 'livekit-sip': sip, 'redis-server': redis, sipp },
  },
].map(({ name, file, needs }) => ({
  name,
  file,
  missing: Object.entries(needs).flatMap(([program, path]) => (path === undefined ? [program] : [])),
}));

if (server === undefined) {
  process.stderr.write(
    'test:livekit did NOT run: livekit-server not found. Install it (https://docs.livekit.io/transport/self-hosting/local/), or name the binary in LIVEKIT_SERVER.\n',
  );
  if (process.env.REQUIRE_ALL === '1') process.exitCode = 1;
} else {
  const vitest = join(import.meta.dirname, '../node_modules/vitest/vitest.mjs');
  const runnable = optionalSuites.filter(({ missing }) => missing.length === 0).map(({ file }) => file);
  const { status } = spawnSync(process.execPath, [vitest, 'run', ...FILES, ...runnable], {
    stdio: 'inherit',
    env: { ...process.env, LIVEKIT_SERVER: server, LIVEKIT_SIP: sip },
  });
  process.exitCode = status ?? 1;
  for (const { name, missing } of optionalSuites) {
    if (missing.length === 0) continue;
    process.stderr.write(
      `${name} did NOT run: ${missing.join(', ')} not found (Debian: redis-server, sip-tester; livekit-sip on PATH or in LIVEKIT_SIP).\n`,
    );
    if (process.env.REQUIRE_ALL === '1') process.exitCode = 1;
  }
}
