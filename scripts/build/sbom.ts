import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';

interface Component {
  'bom-ref': string;
  name: string;
  version: string;
  externalReferences?: { type: string }[];
}

interface Sbom {
  serialNumber?: string;
  metadata: { timestamp?: string; component: Component };
  components: Component[];
  dependencies: { ref: string; dependsOn?: string[] }[];
}

/** Returns the sorted folders of the packages that contain the bundled files. */
export function bundledPackages(files: readonly string[]): readonly string[] {
  const folders = files.flatMap((file) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? []);
  return [...new Set(folders)].toSorted((a, b) => (a < b ? -1 : 1));
}

/**
 * Writes a CycloneDX document: npm's list without the packages that are not bundled, plus Node.js and SQLite. Removes
 * fields that differ between builds or machines.
 * @param folders the folders of the bundled packages
 * @throws if npm's list lacks one of them
 */
export function writeSbom(root: string, folders: readonly string[], file: string): void {
  const sbom = readNpmSbom(root);
  const { component } = sbom.metadata;
  // npm uses the folder's name.
  component.name = component['bom-ref'].replace(/@[^@]*$/, '');
  delete sbom.serialNumber;
  delete sbom.metadata.timestamp;

  const missing = new Set(folders.map(readReference));
  const bundled = sbom.components.filter(({ name, version }) => missing.delete(`${name}@${version}`));
  if (missing.size > 0) throw new Error(`npm sbom does not list ${[...missing].join(', ')}`);
  const node = withCpe('platform', 'node', process.versions.node, 'nodejs:node.js');
  const sqlite = withCpe('library', 'sqlite', sqliteVersion(), 'sqlite:sqlite');
  sbom.components = [...bundled.map(withoutRegistry), node, sqlite];

  const known = new Set([component, ...sbom.components].map((part) => part['bom-ref']));
  const addedDependencies = (ref: string) => {
    if (ref === component['bom-ref']) return [node['bom-ref']];
    return ref.startsWith('better-sqlite3@') ? [sqlite['bom-ref']] : [];
  };
  sbom.dependencies = [...sbom.dependencies, { ref: node['bom-ref'] }, { ref: sqlite['bom-ref'] }]
    .filter(({ ref }) => known.has(ref))
    .map(({ ref, dependsOn = [] }) => ({
      ref,
      dependsOn: [...dependsOn.filter((part) => known.has(part)), ...addedDependencies(ref)],
    }));
  writeFileSync(file, `${JSON.stringify(sbom, null, 2)}\n`);
}

/** Includes development packages, because npm 11's `--omit dev` also omits zod and other runtime packages. Vite sets NODE_ENV to production, which is `--omit dev`. */
function readNpmSbom(root: string): Sbom {
  const args = ['sbom', '--sbom-format', 'cyclonedx', '--include', 'dev', '--loglevel', 'error'];
  return JSON.parse(execFileSync('npm', args, { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 26 }));
}

/** Returns `name@version`. */
function readReference(folder: string): string {
  const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  return `${name}@${version}`;
}

/** Removes the download URL, which may be a mirror. */
function withoutRegistry(part: Component): Component {
  const references = part.externalReferences ?? [];
  return { ...part, externalReferences: references.filter(({ type }) => type !== 'distribution') };
}

/** @param cpe vendor and product in vulnerability databases */
function withCpe(type: string, name: string, version: string, cpe: string) {
  return {
    'bom-ref': `${name}@${version}`,
    type,
    name,
    version,
    cpe: `cpe:2.3:a:${cpe}:${version}:*:*:*:*:*:*:*`,
  };
}

function sqliteVersion(): string {
  const client = new SqliteDatabase(':memory:');
  try {
    return client.prepare<[], string>('SELECT sqlite_version()').pluck().get() ?? 'unknown';
  } finally {
    client.close();
  }
}
