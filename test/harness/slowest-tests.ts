import { relative } from 'node:path';
import type { Reporter, TestModule } from 'vitest/node';

const SHOWN = 10;

/** A reporter that prints the slowest tests at the end of the run. */
export const slowestTests: Reporter = {
  onTestRunEnd(modules: readonly TestModule[]) {
    const tests = modules
      .flatMap((module) => [...module.children.allTests()])
      .map((test) => ({
        durationMs: test.diagnostic()?.duration ?? 0,
        name: `${relative(process.cwd(), test.module.moduleId)} > ${test.fullName}`,
      }))
      .toSorted((a, b) => b.durationMs - a.durationMs)
      .slice(0, SHOWN);
    const lines = tests.map(
      ({ durationMs, name }) => `${(durationMs / 1_000).toFixed(1).padStart(6)} s  ${name}\n`,
    );
    process.stdout.write(`\nThe ${lines.length} slowest tests:\n${lines.join('')}\n`);
  },
};
