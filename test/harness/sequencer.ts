import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Small files whose tests wait for half a minute. By their size they would come last, and the run would wait for them. */
const FIRST = ['test/http/rooms.test.ts', 'test/http/busy-database.test.ts'];

/** Starts the files that wait longest first, also without the cached durations of an earlier run. */
export class Sequencer extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isFirst = ({ moduleId }: TestSpecification) => FIRST.some((name) => moduleId.endsWith(name));
    const sorted = await super.sort(files);
    return [...sorted.filter(isFirst), ...sorted.filter((file) => !isFirst(file))];
  }
}
