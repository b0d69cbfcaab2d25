import { chmodSync, mkdirSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bench } from './context.ts';
import { findCores } from './cores.ts';
import { findHangup } from './hangup.ts';
import { type Generator, startGenerator } from './load.ts';

const TMPFS = 0x01021994;

/** A run of the benchmark: the machine, the load generator and a temporary folder. */
export interface Session extends AsyncDisposable {
  readonly machine: Readonly<Record<string, string>>;
  readonly generator: Generator;
  readonly notes: readonly string[];
  /** Runs a part of the benchmark; then stops its programs and removes its databases. */
  withBench<Result>(runs: number, run: (bench: Bench) => Promise<Result>): Promise<Result>;
}

/** Returns a temporary folder on a disk: in memory, a commit costs nothing. */
function folderOnDisk(): string {
  const folder = [tmpdir(), '/var/tmp'].find((path) => statfsSync(path).type !== TMPFS);
  if (folder === undefined) {
    throw new Error(`${tmpdir()} and /var/tmp are in memory. Set TMPDIR to a folder on a disk.`);
  }
  return folder;
}

/** @throws if no temporary folder is on a disk */
export async function startSession({
  isSource,
  seconds,
  largeFile,
}: {
  isSource: boolean;
  seconds: number;
  largeFile: string | null;
}): Promise<Session> {
  const root = mkdtempSync(join(folderOnDisk(), 'hangup-bench-'));
  // Postgres does not run as root, and needs a way to its own folder.
  chmodSync(root, 0o711);
  const remove = () => rmSync(root, { recursive: true, force: true });
  process.on('exit', remove);
  process.on('SIGINT', () => process.exit(130));
  process.on('SIGTERM', () => process.exit(143));
  const hangup = findHangup(root, { isSource });
  const cores = findCores();
  const generator = await startGenerator(cores);
  const notes: string[] = [];
  let parts = 0;
  return {
    machine: {
      node: process.version,
      cpu: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}`,
      pinning:
        cores === null ? 'none' : `servers on core ${cores.server}, load and LiveKit on core ${cores.load}`,
      hangup: hangup.description,
    },
    generator,
    notes,
    async withBench(runs, run) {
      await using resources = new AsyncDisposableStack();
      parts += 1;
      const folder = join(root, String(parts));
      mkdirSync(folder);
      resources.defer(() => rmSync(folder, { recursive: true, force: true }));
      return await run({
        ...{ folder, resources, seconds, runs, generator, cores, hangup },
        largeFile: largeFile ?? join(root, 'large.db'),
        note: (text) => notes.push(text),
      });
    },
    async [Symbol.asyncDispose]() {
      await generator[Symbol.asyncDispose]();
      remove();
    },
  };
}
