import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';

/*
 * The rules of docs/contributing/style.md that a program can check, for prose and for identifiers. That page is excluded
 * because it quotes bad examples.
 */

const ROOT = resolve(import.meta.dirname, '..');
const FILES = globSync(
  [
    '*.md',
    'clients/*/README.md',
    'clients/typescript/src/*.ts',
    'clients/examples/{curl,javascript,python}/*.{sh,js,py}',
    'clients/examples/{livekit-agent,react}/src/*.{ts,tsx}',
    'docs/**/*.{md,yml,service,conf}',
    'src/**/*.ts',
    'scripts/**/*.{ts,sh}',
    'test/**/*.ts',
  ],
  { cwd: ROOT, exclude: ['docs/contributing/style.md', 'test/style.test.ts', 'CODE_OF_CONDUCT.md'] },
);

/** The one sentence about people: they know. */
const SLOGAN = 'know that it is over';

const RULES: readonly { readonly name: string; readonly pattern: RegExp }[] = [
  {
    name: 'software does not talk, think or feel',
    pattern:
      /\b(?:tells?|told|says?|said|asks?|asked|asking|hears?|heard|knows?|knew|forgets?|forgot|forgotten|remembers?|remembered|believes?|believed)\b/i,
  },
  { name: 'write "is not a", not "is no"', pattern: /(?<!\bthere )\b(?:is|are) no (?!longer\b|\d)[a-z]/i },
];

function violations(pattern: RegExp): string[] {
  return FILES.flatMap((file) =>
    readFileSync(join(ROOT, file), 'utf8')
      .split('\n')
      .flatMap((line, index) =>
        pattern.test(line.replace(SLOGAN, '')) ? [`${file}:${index + 1}: ${line.trim()}`] : [],
      ),
  );
}

test.for(RULES)('$name', ({ pattern }) => {
  expect(FILES.length).toBeGreaterThan(200);
  expect(violations(pattern)).toEqual([]);
});

test('the check finds each kind of violation', () => {
  const [talk, no] = RULES;
  expect('LiveKit tells hangup').toMatch(talk?.pattern ?? /$^/);
  expect('a key is no secret').toMatch(no?.pattern ?? /$^/);
  expect('there is no call').not.toMatch(no?.pattern ?? /./);
});
