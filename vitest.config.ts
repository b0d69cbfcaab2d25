import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';
import { COMMAND_LINE_TESTS } from './test/harness/command-line-tests.ts';
import { hasPostgres } from './test/harness/postgres-server.ts';
import { Sequencer } from './test/harness/sequencer.ts';
import { slowestTests } from './test/harness/slowest-tests.ts';

const binary = process.env.HANGUP_BINARY
  ? []
  : ['test/binary/**', ...COMMAND_LINE_TESTS.map((name) => `test/${name}.test.ts`)];
const faults = process.env.FAULTS ? [] : ['test/app/faults.test.ts'];
// These kill processes and servers of Postgres for minutes.
const fleet = process.env.FLEET ? [] : ['test/app/fleet-kills.test.ts', 'test/app/postgres-*.test.ts'];
// 147 concurrent rooms with grace periods of 3 s need an idle machine.
const rooms = process.env.ROOMS ? [] : ['test/http/more-rooms.test.ts'];
const isOnPostgres = process.env.TEST_STORE === 'postgres';
// The tests of SQLite's lock for writes.
const busy = isOnPostgres ? ['test/http/busy-database.test.ts'] : [];
// `npm run test:postgres` runs these too: they take a tenth of npm test.
const slow = isOnPostgres
  ? []
  : [
      'test/store/copy.test.ts',
      ...['concurrency', 'event-histories', 'faults', 'list', 'plans'].map(
        (name) => `test/store/postgres-${name}.test.ts`,
      ),
    ];
const shells = process.env.SHELLS ? [] : ['test/cli/completion.test.ts'];
const browser = process.env.BROWSER ? [] : ['test/browser/**'];
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
      ...faults,
      ...busy,
      ...slow,
      ...fleet,
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
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
