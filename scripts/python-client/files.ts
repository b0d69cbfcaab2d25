import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { generateTypes } from './types.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const PACKAGE = 'clients/python/src/hangup';

/** The names in the asynchronous client, and the names in the synchronous client. */
const SYNCHRONOUS: readonly (readonly [RegExp, string])[] = [
  [/\basync (def|for|with)\b/g, '$1'],
  [/\bawait /g, ''],
  [/\bAsyncHangup\b/g, 'Hangup'],
  [
    /\bAsync(Adoption|Agents|ApiKeys|Calls|Cancellations|Events|HealthReader|RoomDeletions|Subscription|Transport)\b/g,
    '$1',
  ],
  [/\bAsyncClient\b/g, 'Client'],
  [/\bAsync(Iterator|Generator)\b/g, '$1'],
  [/\bGenerator\[(\w+), None\]/g, 'Generator[$1, None, None]'],
  [/\basynccontextmanager\b/g, 'contextmanager'],
  [/__a(enter|exit|iter|next)__/g, '__$1__'],
  [/\basyncio\.sleep\b/g, 'time.sleep'],
  [/\bimport asyncio\n(?=import time\n)/g, ''],
  [/\bimport asyncio\n/g, 'import time\n'],
  [/\ba(close|iter_bytes|iter_raw)\b/g, '$1'],
  [/\banext\(/g, 'next('],
  [/\bStopAsyncIteration\b/g, 'StopIteration'],
  [/\basynchronous\b/g, 'synchronous'],
  [/ in a coroutine/g, ''],
];

/** Returns the text of each file that is generated, by its path in the repository. */
export function generatedFiles(): ReadonlyMap<string, string> {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const header = '"""`npm run generate:python` writes this file."""\n\n';
  const sources = globSync(`${PACKAGE}/_async/*.py`, { cwd: ROOT }).toSorted();
  return new Map([
    [`${PACKAGE}/_types.py`, generateTypes()],
    [`${PACKAGE}/_version.py`, `${header}__version__ = "${version}"\n`],
    ...sources.map(
      (file) =>
        [file.replace('/_async/', '/_sync/'), toSynchronous(readFileSync(join(ROOT, file), 'utf8'))] as const,
    ),
  ]);
}

function toSynchronous(source: string): string {
  const text = SYNCHRONOUS.reduce((changed, [pattern, name]) => changed.replaceAll(pattern, name), source);
  return `# \`npm run generate:python\` writes this file from the file of the same name in _async.\n${text}`;
}
