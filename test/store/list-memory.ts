import { CALL_STATUSES } from '../../src/domain/call-status.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { eachListShape } from './list-shapes.ts';

/* A process that lists with many shapes. It prints the growth of its memory in MB. */

const [, , file = '', lists = ''] = process.argv;
const store = openSqliteStore(file);
const shapes = [...eachListShape({ from: 1, to: 2 })].filter(({ statuses }) => statuses === undefined);
const cursors = [undefined, ...[-1, 0, 1, 2].map((sort) => ({ sort, createdAt: sort, id: 'c' }))];
const memoryMb = () => process.memoryUsage.rss() / 1e6;

const list = async (i: number) => {
  // V8 frees objects of an addon between turns of the event loop, as in a server.
  if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
  const shape = shapes[i % shapes.length];
  if (shape === undefined) throw new Error('no shape');
  // 256 shapes, 511 subsets and 5 cursors have no common divisor, so that all of their combinations occur.
  const subset = 1 + (i % 511);
  const statuses = CALL_STATUSES.filter((_, bit) => (subset >> bit) % 2 === 1);
  const after = cursors[i % cursors.length];
  await store.listCalls({ organizationId: 'o', limit: 1, offset: 0, ...shape, statuses, after });
};

// The first lists load code and fill the heap, whatever the statements need.
for (let i = 0; i < 300; i += 1) await list(i);
const before = memoryMb();
for (let i = 0; i < Number(lists); i += 1) await list(i);
console.log(JSON.stringify({ growthMb: Math.round(memoryMb() - before) }));
store.close();
