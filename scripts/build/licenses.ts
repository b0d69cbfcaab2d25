import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const Manifest = z.looseObject({ name: z.string(), version: z.string(), license: z.string() });

interface Package {
  readonly folder: string;
  readonly name: string;
  readonly version: string;
  /** What its package.json says: an SPDX expression. */
  readonly license: string;
  /** Its license files and notices. */
  readonly texts: readonly string[];
}

/**
 * Every package's name, version and license texts, one behind the other.
 * @param files those that are bundled: some packages have their notices in them alone
 * @throws when a package has neither a license file nor a license whose text another one has
 */
export function licensesOf(folders: readonly string[], files: readonly string[]): string {
  const packages = folders.map(readPackage);
  const sections = packages.map((one) => {
    const texts = one.texts.length > 0 ? one.texts : [substitute(one, packages), ...notices(one, files)];
    return `${[`${one.name} ${one.version} (${one.license})`, ...texts].join('\n\n')}\n`;
  });
  return sections.join(`\n${'-'.repeat(80)}\n\n`);
}

function readPackage(folder: string): Package {
  const manifest = Manifest.parse(JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')));
  const files = readdirSync(folder).filter((file) => /^(licen[cs]e|notice|copying)/i.test(file));
  const texts = files
    .toSorted((a, b) => (a < b ? -1 : 1))
    .map((file) => readFileSync(join(folder, file), 'utf8').trim());
  return { folder, name: manifest.name, version: manifest.version, license: manifest.license, texts };
}

/** Apache-2.0 is the same text for everybody; who holds the copyright stands in the sources, if anywhere. */
function substitute({ name, license, folder }: Package, packages: readonly Package[]): string {
  const other = packages.find((one) => one.license === 'Apache-2.0' && one.texts.length > 0);
  if (!license.includes('Apache-2.0') || other === undefined) {
    throw new Error(`${name} has no license file: see ${folder}, and teach scripts/build/licenses.ts.`);
  }
  return `The package has no license file. The text of Apache-2.0 stands below ${other.name}.`;
}

/** The comments on copyright in the package's bundled files, each once. */
function notices({ folder }: Package, files: readonly string[]): readonly string[] {
  const comments = files
    .filter((file) => file.startsWith(`${folder}/`))
    .flatMap((file) => readFileSync(file, 'utf8').match(/(^\/\/.*\n)+|\/\*[\s\S]*?\*\//gm) ?? []);
  return [...new Set(comments.filter((comment) => /copyright/i.test(comment)).map(uncomment))].sort();
}

/** Its text alone, without what tools wrote beside it. */
function uncomment(comment: string): string {
  return comment
    .replaceAll(/^\s*(\/\*+|\*\/|\/\/|\*)? ?|\*\/$/gm, '')
    .replaceAll(/^(@generated|eslint-disable).*$/gm, '')
    .trim();
}
