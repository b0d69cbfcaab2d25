/** The fenced blocks of README.md and docs, and how each of them is tested. */
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '../..');

/**
 * - run: scripts/test-docs.ts runs it as it is written;
 * - serve: it ends with a server, which runs until the next one, or the end of the page;
 * - parse: test/docs.test.ts reads it as its reader would;
 * - left out: by {@link LEFT_OUT}, with a reason.
 */
export type Treatment = 'run' | 'serve' | 'parse' | 'left out';

export interface Block {
  readonly page: string;
  /** Of its first line, from 1. */
  readonly line: number;
  readonly language: string;
  readonly code: string;
  readonly treatment: Treatment;
}

/** Blocks that no test runs as they are written, by their code. A new one needs its reason here. */
export const LEFT_OUT: ReadonlyMap<string, string> = new Map([
  ['npm ci && npm test\n', 'the first step of .ci/run; here it would contain itself'],
  ['npm ci && npm run build\n', 'the first step of .ci/run, and its step `one file`'],
]);

const RUN = ['sh', 'js', 'ts', 'python'];
const PARSED = ['json', 'yaml', 'mermaid'];
const SERVER = /(?:^|\s)(?:npm start|hangup serve|\.\/hangup)$/;

/** @throws for a language that no test reads */
function treatmentOf({ language, code }: { language: string; code: string }): Treatment {
  if (LEFT_OUT.has(code)) return 'left out';
  if (PARSED.includes(language)) return 'parse';
  if (!RUN.includes(language)) {
    throw new Error(`No test reads the language "${language}": see scripts/docs/blocks.ts\n${code}`);
  }
  return language === 'sh' && SERVER.test(code.trim()) ? 'serve' : 'run';
}

/** The blocks of a page, without the indentation of the list that they stand in. */
export function blocksOf(page: string, text: string): Block[] {
  const fenced = text.matchAll(/^( *)```(\w*)\n(.*?)^\1```$/gms);
  return [...fenced].map(([all, indentation = '', language = '', indented = '']) => {
    const line = text.slice(0, text.indexOf(all)).split('\n').length + 1;
    const code = indented.replaceAll(new RegExp(`^${indentation}`, 'gm'), '');
    return { page, line, language, code, treatment: treatmentOf({ language, code }) };
  });
}

/** In the order of docs/README.md, in which an operator reads them; then those that it does not name. */
export function readPages(): { readonly page: string; readonly text: string }[] {
  const read = (page: string) => ({ page, text: readFileSync(join(ROOT, page), 'utf8') });
  const index = read('docs/README.md');
  const named = [...index.text.matchAll(/\]\(([\w-]+\.md)\)/g)].map(([, name]) => `docs/${name}`);
  const all = globSync('docs/**/*.md', { cwd: ROOT }).sort();
  return ['README.md', index.page, ...new Set([...named, ...all])]
    .filter((page, at, pages) => pages.indexOf(page) === at)
    .map(read);
}
