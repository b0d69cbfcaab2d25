import { globSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';

const Manifest = z.looseObject({ name: z.string(), version: z.string(), license: z.string() });
const SourceMap = z.looseObject({ sources: z.array(z.string()) });

interface Package {
  readonly folder: string;
  readonly name: string;
  readonly version: string;
  /** The SPDX expression in package.json. */
  readonly license: string;
  /** License files and notices. */
  readonly texts: readonly string[];
}

/**
 * Returns the name, version and license texts of every package.
 * @param files the bundled files; some packages have notices only there
 * @throws if a package has no license file and no other package has the text of its license
 */
export function licensesOf(folders: readonly string[], files: readonly string[]): string {
  const packages = folders.map(readPackage);
  const sections = packages.map((item) => {
    const texts = item.texts.length > 0 ? item.texts : [substitute(item, packages), ...notices(item, files)];
    return `${[`${item.name} ${item.version} (${item.license})`, ...texts].join('\n\n')}\n`;
  });
  return sections.join(`\n${'-'.repeat(80)}\n\n`);
}

function readPackage(folder: string): Package {
  const manifest = Manifest.parse(JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')));
  const files = readdirSync(folder).filter((file) => /^(licen[cs]e|notice|copying)/i.test(file));
  const texts = files.toSorted((a, b) => (a < b ? -1 : 1)).map((file) => readText(join(folder, file)));
  const { name, version, license } = manifest;
  const all = [...(texts.length > 0 ? texts : textOfReadme(folder)), ...textsOfScript(folder)];
  return { folder, name, version, license, texts: all };
}

/** Returns the section of a README with the text of a license, such as that of pg-types. */
function textOfReadme(folder: string): readonly string[] {
  const [file] = globSync('{README,readme}.md', { cwd: folder });
  if (file === undefined) return [];
  const section =
    /^#+ licen[cs]e\n([\s\S]*?)(?=^#|$(?![\s\S]))/im.exec(readText(join(folder, file)))?.[1]?.trim() ?? '';
  // A section without the text only names the license.
  return /copyright/i.test(section) ? [section] : [];
}

/** Returns the texts of the packages in a published script, such as Redoc's, by the script's source map. */
function textsOfScript(folder: string): readonly string[] {
  const [map] = globSync('bundles/*.standalone.js.map', { cwd: folder });
  if (map === undefined) return [];
  const { sources } = SourceMap.parse(JSON.parse(readFileSync(join(folder, map), 'utf8')));
  const names = sources.flatMap((source) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(source)?.[1] ?? []);
  const texts = [...new Set(names)].toSorted().map((name) => {
    const [file] = globSync('{LICENSE,license}{,.md}', { cwd: join(dirname(folder), name) }).toSorted();
    // The script can contain packages that are not installed here.
    const text = file === undefined ? 'see the package' : readText(join(dirname(folder), name, file));
    return `${name}:\n\n${text}`;
  });
  return [readText(join(folder, map.replace(/map$/, 'LICENSE.txt'))), ...texts];
}

const readText = (file: string) => readFileSync(file, 'utf8').trim();

/** Apache-2.0 has the same text for all packages. Only the sources can name a copyright holder. The Unlicense requires no notice. */
function substitute({ name, license, folder }: Package, packages: readonly Package[]): string {
  if (license === 'Unlicense')
    return 'The package has no license file. It is in the public domain: https://unlicense.org';
  const other = packages.find(({ license, texts }) => license === 'Apache-2.0' && texts.length > 0);
  if (!license.includes('Apache-2.0') || other === undefined) {
    throw new Error(`${name} has no license file: see ${folder}, and extend scripts/build/licenses.ts.`);
  }
  return `The package has no license file. The text of Apache-2.0 is in the section ${other.name}.`;
}

/** Returns the unique copyright comments in the package's bundled files. */
function notices({ folder }: Package, files: readonly string[]): readonly string[] {
  const comments = files
    .filter((file) => file.startsWith(`${folder}/`))
    .flatMap((file) => readFileSync(file, 'utf8').match(/(^\/\/.*\n)+|\/\*[\s\S]*?\*\//gm) ?? []);
  return [...new Set(comments.filter((comment) => /copyright/i.test(comment)).map(uncomment))].sort();
}

/** Returns the text without comment markers and tool directives. */
function uncomment(comment: string): string {
  return comment
    .replaceAll(/^\s*(\/\*+|\*\/|\/\/|\*)? ?|\*\/$/gm, '')
    .replaceAll(/^(@generated|eslint-disable).*$/gm, '')
    .trim();
}
