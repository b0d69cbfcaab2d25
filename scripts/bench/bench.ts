/*
 * `npm run bench`: measures hangup against baselines that run in the same minutes, and prints a table of ratios.
 * A slow result is not a failure; a wrong one is. docs/performance.md explains the method and the rows.
 */
import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Bench, findCores } from './context.ts';
import type { Group, Row } from './group.ts';
import { findHangup } from './hangup.ts';
import { startGenerator } from './load.ts';
import { measureGroup, type Result } from './measure.ts';
import { GROUPS } from './registry.ts';
import { formatTable, toJson } from './table.ts';

const USAGE = `Usage: npm run bench -- [NAME...] [--json] [--rounds N] [--seconds S] [--source]

Measure the rows NAME, or all rows. A name that ends with * selects all rows with that prefix.

  --json       print one JSON object
  --rounds N   measure each side N times (default 5; some rows have another default)
  --seconds S  let each measurement under load last S seconds (default 1.5)
  --source     run hangup from source although dist/hangup is built
  --large FILE use this database of 5 million calls, made by scripts/bench/make-calls.ts
  --list       print the names of the rows
`;
const ROUNDS = 5;
const TMPFS = 0x01021994;

process.on('SIGINT', () => process.exit(130));
process.on('SIGTERM', () => process.exit(143));

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    source: { type: 'boolean', default: false },
    large: { type: 'string' },
    help: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seconds: { type: 'string', default: '1.5' },
  },
});

const write = (text: string) => process.stdout.write(text);
/** Progress; stdout holds the result alone. */
const log = (text: string) => process.stderr.write(`${text}\n`);

if (values.help) write(USAGE);
else if (values.list)
  write(GROUPS.flatMap(({ rows }) => rows.map(({ name, title }) => `${name}\t${title}\n`)).join(''));
else await main();

function selectRows(names: readonly string[]): { group: Group; rows: readonly Row[] }[] {
  const matches = (name: string, pattern: string) =>
    pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
  const all = GROUPS.flatMap(({ rows }) => rows);
  const unknown = names.filter((pattern) => !all.some(({ name }) => matches(name, pattern)));
  if (unknown.length > 0) {
    throw new Error(`Unknown row: ${unknown.join(', ')}. Run npm run bench -- --list for the names.`);
  }
  return GROUPS.map((group) => ({
    group,
    rows: group.rows.filter(({ name }) => names.length === 0 || names.some((one) => matches(name, one))),
  })).filter(({ rows }) => rows.length > 0);
}

function readNumber(name: string, text: string): number {
  const number = Number(text);
  if (Number.isFinite(number) && number > 0) return number;
  throw new Error(`--${name}: expected a number greater than 0, got ${text}`);
}

async function main(): Promise<void> {
  const selected = selectRows(positionals);
  const rounds = values.rounds === undefined ? null : readNumber('rounds', values.rounds);
  const seconds = readNumber('seconds', values.seconds);
  if (statfsSync(tmpdir()).type === TMPFS) {
    throw new Error(
      `${tmpdir()} is in memory, where a commit costs nothing. Set TMPDIR to a folder on a disk.`,
    );
  }
  const programs = mkdtempSync(join(tmpdir(), 'hangup-bench-'));
  const beganAt = performance.now();
  const results: Result[] = [];
  const notes: string[] = [];
  try {
    const hangup = findHangup(programs, { isSource: values.source });
    const cores = findCores();
    const largeFile = values.large ?? join(programs, 'large.db');
    const machine = {
      node: process.version,
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: cpus().length,
      pinning:
        cores === null ? 'none' : `servers on core ${cores.server}, load and LiveKit on core ${cores.load}`,
      hangup: hangup.description,
    };
    log(
      Object.entries(machine)
        .map(([name, value]) => `${name}: ${value}`)
        .join('\n'),
    );
    await using generator = await startGenerator(cores);
    for (const { group, rows } of selected) {
      log(`measuring ${rows.map(({ name }) => name).join(', ')}`);
      await using resources = new AsyncDisposableStack();
      const folder = mkdtempSync(join(tmpdir(), 'hangup-bench-'));
      resources.defer(() => rmSync(folder, { recursive: true, force: true }));
      const note = (text: string) => notes.push(text);
      const groupRounds = rounds ?? group.rounds ?? ROUNDS;
      const runs = groupRounds + 1;
      const bench: Bench = { folder, resources, seconds, runs, generator, cores, hangup, largeFile, note };
      results.push(...(await measureGroup(bench, group, { rows, rounds: groupRounds })));
    }
    notes.push(`load generator: at most ${Math.round(generator.peakCpuShare * 100)} % of its core`);
    const tookS = Math.round((performance.now() - beganAt) / 1_000);
    if (values.json) {
      write(`${JSON.stringify({ machine, tookS, notes, rows: toJson(results) }, null, 2)}\n`);
    } else {
      write(`${formatTable(results)}\n${notes.map((text) => `${text}\n`).join('')}took ${tookS} s\n`);
    }
  } finally {
    rmSync(programs, { recursive: true, force: true });
  }
}
