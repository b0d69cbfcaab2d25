import { createHash } from 'node:crypto';
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { listDocs } from '../src/platform/assets.ts';

/* The files around the code: license, settings of editors, pages for contributors. test/docs.test.ts has the other pages. */

const ROOT = resolve(import.meta.dirname, '..');
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8');
const manifest = z
  .object({ license: z.string(), private: z.boolean(), scripts: z.record(z.string(), z.string()) })
  .parse(JSON.parse(read('package.json')));

const ROOT_PAGES = ['CHANGELOG.md', 'CODE_OF_CONDUCT.md', 'CONTRIBUTING.md', 'SECURITY.md'];
const FOLDERS = ['docs/contributing', 'docs/decisions'];
const PAGES = [...ROOT_PAGES, ...FOLDERS.flatMap((folder) => globSync(`${folder}/*.md`, { cwd: ROOT }))];

const linksOf = (page: string) =>
  [...read(page).matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, target = '']) => target);
const spansOf = (page: string) => [...read(page).matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code);

test('LICENSE is the complete text of Apache-2.0, the license in package.json', () => {
  expect(manifest).toMatchObject({ license: 'Apache-2.0', private: true });
  const sha256 = createHash('sha256').update(read('LICENSE')).digest('hex');
  expect(sha256).toBe('cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30');
});

test('.editorconfig sets the indentation and line width that Biome enforces', () => {
  const { formatter } = z
    .object({ formatter: z.strictObject({ indentStyle: z.string(), lineWidth: z.number() }) })
    .parse(JSON.parse(read('biome.json')));
  const sections = new Map(
    [...read('.editorconfig').matchAll(/^\[(.+)\]\n((?:\w+ = .*\n?)+)/gm)].map(
      ([, name = '', lines = '']) => [
        name,
        Object.fromEntries(
          lines
            .trim()
            .split('\n')
            .map((line) => line.split(' = ')),
        ),
      ],
    ),
  );
  // Two spaces are Biome's default.
  expect(sections.get('*')).toMatchObject({ indent_style: formatter.indentStyle, indent_size: '2' });
  expect(sections.get('*.{ts,cjs,json}')).toEqual({ max_line_length: String(formatter.lineWidth) });
});

test("every link and every path in the contributors' pages leads to a file", () => {
  const links = PAGES.flatMap((page) =>
    linksOf(page).map((target) => ({ page, path: join(dirname(page), target) })),
  );
  const paths = PAGES.filter((page) => page !== 'CHANGELOG.md').flatMap((page) =>
    spansOf(page)
      .flatMap((code) => code.split(' '))
      .filter((word) => /^(?:src|test|scripts|docs|drizzle|\.ci)(?:\/[\w./-]+)?$/.test(word))
      .map((path) => ({ page, path })),
  );
  expect(links.length).toBeGreaterThan(20);
  expect(paths.length).toBeGreaterThan(15);
  expect([...links, ...paths].filter(({ path }) => !existsSync(join(ROOT, path)))).toEqual([]);
});

test("CONTRIBUTING.md lists every suite, and the contributors' pages name no script that does not exist", () => {
  const listed = [...read('CONTRIBUTING.md').matchAll(/^\| `npm (?:run )?([\w:-]+)/gm)].map(
    ([, name = '']) => name,
  );
  const suites = Object.keys(manifest.scripts).filter((name) => /^(?:test|demo|simulate|bench)\b/.test(name));
  expect(new Set(listed)).toEqual(new Set(suites));
  const named = PAGES.flatMap((page) => read(page).match(/(?<=npm run )[\w:-]+/g) ?? []);
  expect(named.filter((name) => !(name in manifest.scripts))).toEqual([]);
});

test('every decision record is in the index, and has a context, a decision and consequences', () => {
  const records = readdirSync(join(ROOT, 'docs/decisions')).filter((name) => name !== 'README.md');
  expect(records.length).toBeGreaterThanOrEqual(9);
  expect(linksOf('docs/decisions/README.md')).toEqual(records.toSorted());
  const titles = new Map(
    [...read('docs/decisions/README.md').matchAll(/^(\d+\. )\[(.*)\]\((.*)\)$/gm)].map(
      ([, number = '', title = '', name = '']) => [name, `# ${number}${title}`],
    ),
  );
  for (const name of records) {
    const text = read(`docs/decisions/${name}`);
    expect(text.split('\n')[0]).toBe(titles.get(name));
    expect(text.match(/^\*\*\w+\.\*\*/gm), name).toEqual([
      '**Context.**',
      '**Decision.**',
      '**Consequences.**',
    ]);
  }
});

test("the operators' pages, which the single file contains, do not lead to the contributors' pages", () => {
  const contributors = PAGES.map((page) => page.replace(/^.*\//, '').replace(/\.md$/, ''));
  expect(listDocs().filter((name) => name !== 'README' && contributors.includes(name))).toEqual([]);
  const links = globSync('docs/*.md', { cwd: ROOT }).flatMap((page) =>
    linksOf(page).map((target) => join(dirname(page), target)),
  );
  expect(links.length).toBeGreaterThan(10);
  expect(links.filter((path) => FOLDERS.some((folder) => path.startsWith(folder)))).toEqual([]);
});
