import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';
import { COMMAND_LINE_TESTS } from './test/harness/command-line-tests.ts';
import { hasPostgres } from './test/harness/postgres-server.ts';
import { Sequencer } from './test/harness/sequencer.ts';
import { slowestTests } from './test/harness/slowest-tests.ts';

const isOnPostgres = process.env.TEST_STORE === 'postgres';
const binary = process.env.HANGUP_BINARY ? [] : ['test/binary/**'];
// With Postgres, the arguments name the tests to run.
const commandLine =
  process.env.HANGUP_BINARY || isOnPostgres ? [] : COMMAND_LINE_TESTS.map((name) => `test/${name}.test.ts`);
const faults = process.env.FAULTS
  ? []
  : ['app/faults', 'simulation/simulation', 'store/call-list-memory'].map((name) => `test/${name}.test.ts`);
// These kill processes and servers of Postgres for minutes.
const fleet = process.env.FLEET ? [] : ['test/app/fleet-kills.test.ts', 'test/app/postgres-*.test.ts'];
// These need Caddy and nginx.
const proxies = process.env.PROXIES ? [] : ['test/app/fleet-proxies.test.ts'];
// 147 concurrent rooms with grace periods of 3 s need an idle machine.
const rooms = process.env.ROOMS ? [] : ['test/http/more-rooms.test.ts'];
// SQLite's lock for writes. `npm run test:binary` runs these, without the load of the static checks.
const busy = process.env.HANGUP_BINARY && !isOnPostgres ? [] : ['test/http/busy-database.test.ts'];
// `npm run test:postgres` runs these too: they take a fifth of npm test.
const slow = isOnPostgres
  ? []
  : [
      'test/store/copy.test.ts',
      ...['concurrency', 'event-histories', 'event-signals', 'faults', 'fleet', 'list', 'plans', 'store'].map(
        (name) => `test/store/postgres-${name}.test.ts`,
      ),
    ];
// Generated and enumerated inputs of all procedures. `npm run test:binary` and `npm run test:postgres` run these too.
const inputs =
  process.env.HANGUP_BINARY || isOnPostgres
    ? []
    : ['every-answer', 'nothing-ignored', 'schema-fuzz'].map((name) => `test/http/${name}.test.ts`);
const shells = process.env.SHELLS ? [] : ['test/cli/completion.test.ts'];
const browser = process.env.BROWSER ? [] : ['test/browser/**', 'test/console/browser/**'];
// scripts/test-examples.ts installs their packages.
const examples = process.env.EXAMPLES ? [] : ['test/examples/**'];
const outages = process.env.LIVEKIT_SERVER
  ? []
  : ['test/livekit/outages.test.ts', 'test/livekit/dead-nodes.test.ts'];
const phones = process.env.LIVEKIT_SIP ? [] : ['test/livekit/phones*.test.ts'];
const postgres = hasPostgres() ? [] : ['test/**/postgres*.test.ts'];
if (postgres.length > 0) console.warn('Not run: the tests with Postgres, which this machine does not have.');

const MIN_WORKERS = 4;

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: [
      ...configDefaults.exclude,
      ...binary,
      ...commandLine,
      ...faults,
      ...busy,
      ...slow,
      ...inputs,
      ...fleet,
      ...proxies,
      ...shells,
      ...rooms,
      ...browser,
      ...examples,
      ...outages,
      ...phones,
      ...postgres,
    ],
    globalSetup: 'test/harness/setup.ts',
    reporters: ['default', slowestTests],
    sequence: { sequencer: Sequencer },
    // Tests wait more than they compute. A real LiveKit, whose times are measured, gets the machine to itself.
    maxWorkers: process.env.LIVEKIT_SERVER ? 1 : Math.max(MIN_WORKERS, availableParallelism() - 1),
    expect: { poll: { timeout: 20_000, interval: 10 } },
    // Reads the modules of hangup once for each worker, not once for each file.
    isolate: false,
    // Only for tests that never end: a loaded machine takes ten times as long.
    testTimeout: 240_000,
    hookTimeout: 120_000,
  },
});
