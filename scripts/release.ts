/**
 * `npm run release`: builds, then writes dist/hangup-VERSION-linux-ARCH.tar.gz with the executable, the systemd unit, the
 * operators' pages, licenses and SBOM, and dist/SHA256SUMS. Two releases of one commit are identical.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '..');
const DIST = join(ROOT, 'dist');
const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
const name = `hangup-${version}-linux-${process.arch}`;
const run = (command: string, args: readonly string[]) =>
  execFileSync(command, args, { cwd: ROOT, encoding: 'utf8' });

if (run('git', ['status', '--porcelain']).trim() !== '') {
  process.stderr.write('The working tree has changes. Commit or stash them first.\n');
  process.exit(1);
}
execFileSync(process.execPath, [join(ROOT, 'scripts/build.ts')], { stdio: 'inherit' });

const folder = join(DIST, name);
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder);
for (const file of ['hangup', 'hangup.licenses.txt', 'hangup.sbom.json'])
  cpSync(join(DIST, file), join(folder, file));
const forContributors = ['contributing', 'decisions'].map((name) => join(ROOT, 'docs', name));
const filter = (source: string) => !forContributors.includes(source);
cpSync(join(ROOT, 'docs'), join(folder, 'docs'), { recursive: true, filter });
for (const file of ['CHANGELOG.md', 'LICENSE']) cpSync(join(ROOT, file), join(folder, file));

const tarball = `${name}.tar.gz`;
const committedAt = run('git', ['show', '-s', '--format=%cI', 'HEAD']).trim();
const reproducible = [
  '--sort=name',
  `--mtime=${committedAt}`,
  '--owner=0',
  '--group=0',
  '--numeric-owner',
  '--mode=u=rwX,go=rX',
];
run('tar', [...reproducible, '-C', DIST, '--use-compress-program=gzip -n', '-cf', join(DIST, tarball), name]);
rmSync(folder, { recursive: true });
const sum = createHash('sha256')
  .update(readFileSync(join(DIST, tarball)))
  .digest('hex');
writeFileSync(join(DIST, 'SHA256SUMS'), `${sum}  ${tarball}\n`);
process.stdout.write(`dist/${tarball}\ndist/SHA256SUMS\n`);
