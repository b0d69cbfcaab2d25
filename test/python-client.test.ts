import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { generatedFiles } from '../scripts/python-client/files.ts';

/* The Python client's generated files. `npm run test:python` tests the client itself. */

const ROOT = resolve(import.meta.dirname, '..');
const files = generatedFiles();
const text = (name: string) => files.get(`clients/python/src/hangup/${name}`) ?? '';

test.each([...files])('%s is what `npm run generate:python` writes', (file, generated) => {
  expect(readFileSync(join(ROOT, file), 'utf8')).toBe(generated);
});

test("the package of the Python client contains hangup's license", () => {
  const read = (file: string) => readFileSync(join(ROOT, file), 'utf8');
  expect(read('clients/python/LICENSE')).toBe(read('LICENSE'));
});

test('the Python types contain the schemas of responses, filters and events', () => {
  expect(text('_types.py')).toContain('class CallDetails(TypedDict):\n    id: str\n');
  expect(text('_types.py')).toContain('    liveRoomStatus: LiveRoomStatus | None\n');
  expect(text('_types.py')).toContain('class CallFilter(TypedDict, total=False):\n');
  expect(text('_types.py')).toMatch(/HangupEvent = Union\[\n {4}CallCreatedEvent,\n/);
});

test('nothing of the synchronous Python client is asynchronous', () => {
  const synchronous = [...files].filter(([file]) => file.includes('/_sync/'));
  expect(synchronous.map(([file]) => file.split('/').at(-1))).toEqual([
    '__init__.py',
    'adoption.py',
    'agents.py',
    'api_keys.py',
    'calls.py',
    'cancellations.py',
    'client.py',
    'events.py',
    'health.py',
    'room_deletions.py',
    'transport.py',
  ]);
  for (const [file, source] of synchronous)
    expect(source, file).not.toMatch(/\b(async|await|asyncio)\b|Async|__a/);
});
