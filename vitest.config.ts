import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';
import { slowestTests } from './test/harness/slowest-tests.ts';

// These need what npm does not bring: scripts/test-livekit.ts finds it, scripts/test-binary.ts builds it.
// What starts hundreds of processes runs there too: the single file starts in a fifth of the time.
const COMMAND_LINE = [
  'app/crash',
  'app/lifecycle',
  'cli/backup',
  'cli/cli',
  'cli/commands',
  'cli/deletions',
  'doctor/doctor',
  'store/upgrade',
].map((name) => `test/${name}.test.ts`);
const binary = process.env.HANGUP_BINARY ? [] : ['test/binary/**', ...COMMAND_LINE];
const faults = process.env.FAULTS ? [] : ['test/app/faults.test.ts'];
// 147 rooms at once, with graces of 3 s.
const rooms = process.env.ROOMS ? [] : ['test/http/more-rooms.test.ts'];
const shells = process.env.SHELLS ? [] : ['test/cli/completion.test.ts'];
const outages = process.env.LIVEKIT_SERVER
  ? []
  : ['test/livekit/outages.test.ts', 'test/livekit/dead-nodes.test.ts'];
const phones = process.env.LIVEKIT_SIP ? [] : ['test/livekit/phones*.test.ts'];

const MIN_WORKERS = 4;

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: [...configDefaults.exclude, ...binary, ...faults, ...shells, ...rooms, ...outages, ...phones],
    globalSetup: 'test/harness/setup.ts',
    reporters: ['default', slowestTests],
    // Tests wait more than they compute. A real LiveKit, whose times are measured, gets the machine to itself.
    maxWorkers: process.env.LIVEKIT_SERVER ? 1 : Math.max(MIN_WORKERS, availableParallelism() - 1),
    expect: { poll: { timeout: 20_000, interval: 10 } },
    // Reads the modules of hangup once for each worker, not once for each file.
    isolate: false,
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
