import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';

/** The folders of the packages that bundled files came from, sorted. */
export function bundledPackages(files: readonly string[]): readonly string[] {
  const folders = files.flatMap((file) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? []);
  return [...new Set(folders)].toSorted((a, b) => (a < b ? -1 : 1));
}

/** What npm installs for production, as CycloneDX. Without what differs from one build, or machine, to the next. */
export function writeSbom(root: string, file: string): void {
  const text = execFileSync('npm', ['sbom', '--sbom-format', 'cyclonedx', '--omit', 'dev'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  const sbom = JSON.parse(text);
  sbom.serialNumber = undefined;
  sbom.metadata.timestamp = undefined;
  const { component } = sbom.metadata;
  // npm names it after its folder.
  component.name = component['bom-ref'].replace(/@[^@]*$/, '');
  for (const one of [component, ...sbom.components]) {
    // Where it was downloaded from, which may be anybody's mirror.
    one.externalReferences = one.externalReferences?.filter(
      ({ type }: { type: string }) => type !== 'distribution',
    );
  }
  writeFileSync(file, `${JSON.stringify(sbom, null, 2)}\n`);
}
