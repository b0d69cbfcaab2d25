/** `npm run generate:python`: writes the generated files of the Python client. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { generatedFiles } from './python-client/files.ts';

const ROOT = resolve(import.meta.dirname, '..');
for (const [file, text] of generatedFiles()) {
  mkdirSync(dirname(join(ROOT, file)), { recursive: true });
  writeFileSync(join(ROOT, file), text);
  process.stdout.write(`${file}\n`);
}
