import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Small files with long waits. Ordered by size, they would run last, and the complete run would wait for them. */
const FIRST = ['test/http/rooms.test.ts', 'test/http/busy-database.test.ts'];

/** Starts the files that wait longest first, also without the cached durations of an earlier run. */
export class Sequencer extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isFirst = ({ moduleId }: TestSpecification) => FIRST.some((name) => moduleId.endsWith(name));
    const sorted = await super.sort(files);
    return [...sorted.filter(isFirst), ...sorted.filter((file) => !isFirst(file))];
  }
}
