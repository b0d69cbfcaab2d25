/** The fenced blocks of README.md, docs and the clients' pages, and the test of each block. */
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '../..');

/**
 * - run: scripts/test-docs.ts runs the block unchanged.
 * - serve: the block ends with a server, which runs until the next server or the end of the page.
 * - parse: a test parses the block.
 * - left out: {@link LEFT_OUT} gives the reason.
 */
export type Treatment = 'run' | 'serve' | 'parse' | 'left out';

export interface Block {
  readonly page: string;
  /** Number of the first line, from 1. */
  readonly line: number;
  readonly language: string;
  readonly code: string;
  readonly treatment: Treatment;
}

/** Blocks that no test runs, by their code, with the reason. */
export const LEFT_OUT: ReadonlyMap<string, string> = new Map([
  [
    'curl -N http://127.0.0.1:8080/api/v1/events -H "x-api-key: $HANGUP_API_KEY"\n',
    'it has no end; test/http/events.test.ts reads the stream',
  ],
  ['hangup calls watch --agent receptionist\n', 'it has no end; test/cli/watch.test.ts runs the command'],
  [
    'pip install ./clients/python\n',
    'it installs into the global Python; scripts/test-python.ts installs the package in a folder of its own',
  ],
  ['npm ci && npm test\n', '.ci/run runs it; scripts/test-docs.ts would run itself'],
  ['npm ci && npm run build\n', '.ci/run runs both parts'],
  [
    "hangup stop --agent receptionist --reason 'agent gives wrong advice' --hold\n",
    'it waits for a person; test/cli/stop.test.ts runs the command on a terminal',
  ],
  [
    "CREATE USER hangup PASSWORD 'a-long-password';\nCREATE DATABASE hangup OWNER hangup ENCODING 'UTF8' TEMPLATE template0;\n",
    'test/harness/postgres-server.ts creates the users and databases of the tests',
  ],
  [
    "export DATABASE_URL='postgres://hangup:a-long-password@db.example.com:5432/hangup?sslmode=verify-full&sslrootcert=/etc/hangup/ca.pem'\nhangup migrate\nhangup doctor\nhangup serve\n",
    'it needs a server with a certificate; test/cli/postgres.test.ts runs the commands',
  ],
  [
    "hangup copy --from file:///var/lib/hangup/hangup.db --to 'postgres://hangup:a-long-password@db.example.com:5432/hangup'\n",
    'it needs a running Postgres; test/cli/copy.test.ts runs the command',
  ],
  [
    'hangup copy --from file:data/hangup.db --to postgres://hangup:secret@db.internal:5432/hangup\n',
    'it needs a running Postgres; test/cli/copy.test.ts runs the command',
  ],
  [
    "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (standby_a, standby_b)';\nSELECT pg_reload_conf();\n",
    'it needs standbys',
  ],
  [
    'pg_dump --format=custom --file=hangup.dump "$DATABASE_URL"\n',
    'it needs a running Postgres; the tool is part of Postgres',
  ],
]);

const RUN = ['sh', 'js', 'ts', 'python'];
const PARSED = ['json', 'yaml', 'mermaid'];
const SERVER = /(?:^|\s)(?:npm start|hangup serve|\.\/hangup)$/;

/** @throws Error if no test reads the language */
function treatmentOf({ language, code }: { language: string; code: string }): Treatment {
  if (LEFT_OUT.has(code)) return 'left out';
  if (PARSED.includes(language)) return 'parse';
  if (!RUN.includes(language)) {
    throw new Error(`No test reads the language "${language}": see scripts/docs/blocks.ts\n${code}`);
  }
  return language === 'sh' && SERVER.test(code.trim()) ? 'serve' : 'run';
}

/** Returns the blocks of a page. Removes the indentation of a block in a list. */
export function blocksOf(page: string, text: string): Block[] {
  const fenced = text.matchAll(/^( *)```(\w*)\n(.*?)^\1```$/gms);
  return [...fenced].map(([all, indentation = '', language = '', indented = '']) => {
    const line = text.slice(0, text.indexOf(all)).split('\n').length + 1;
    const code = indented.replaceAll(new RegExp(`^${indentation}`, 'gm'), '');
    return { page, line, language, code, treatment: treatmentOf({ language, code }) };
  });
}

/** Returns README.md, the pages in the order of docs/README.md, all others, and the pages of the clients. */
export function readPages(): { readonly page: string; readonly text: string }[] {
  const read = (page: string) => ({ page, text: readFileSync(join(ROOT, page), 'utf8') });
  const index = read('docs/README.md');
  const named = [...index.text.matchAll(/\]\(([\w-]+\.md)\)/g)].map(([, name]) => `docs/${name}`);
  const all = globSync('docs/**/*.md', { cwd: ROOT }).sort();
  const clients = ['typescript', 'python', 'examples'].map((name) => `clients/${name}/README.md`);
  return ['README.md', index.page, ...new Set([...named, ...all]), ...clients]
    .filter((page, at, pages) => pages.indexOf(page) === at)
    .map(read);
}
