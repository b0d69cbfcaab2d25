import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const Manifest = z.looseObject({
  name: z.string(),
  version: z.string(),
  license: z.string().optional(),
});

/** Every package's name, version and license texts, one behind the other. @throws when one says nothing at all */
export function licensesOf(folders: readonly string[]): string {
  return folders.map(licenseOf).join(`\n${'-'.repeat(80)}\n\n`);
}

function licenseOf(folder: string): string {
  const { name, version, license } = Manifest.parse(
    JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')),
  );
  const files = readdirSync(folder).filter((file) => /^(licen[cs]e|notice|copying)/i.test(file));
  if (files.length === 0 && license === undefined) throw new Error(`${name} says nothing of its license`);
  const texts = files
    .toSorted((a, b) => (a < b ? -1 : 1))
    .map((file) => readFileSync(join(folder, file), 'utf8').trim());
  return [`${name} ${version} (${license ?? 'see below'})`, ...texts, ''].join('\n\n');
}
