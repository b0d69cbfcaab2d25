/*
 * `npm run bench`: measures hangup against baselines that run in the same minutes, and prints a table of ratios.
 * A slow result is not a failure; a wrong one is. docs/performance.md explains the method and the rows.
 */
import { parseArgs } from 'node:util';
import type { Group, Row } from './group.ts';
import { measureGroup, type Result } from './measure.ts';
import { GROUPS } from './registry.ts';
import { startSession } from './session.ts';
import { formatTable, toJson } from './table.ts';

const USAGE = `Usage: npm run bench -- [NAME...] [--json] [--rounds N] [--seconds S] [--source] [--large FILE]

Measure the rows NAME, or all rows. A name that ends with * selects all rows with that prefix. A name that is not a row, such as
postgres, selects all rows NAME-*. postgres-list makes 5 million calls, and is measured only when it is named.

  --json       print one JSON object
  --rounds N   measure each side N times (default 3; some rows have another default)
  --seconds S  let each measurement under load last S seconds (default 1.5)
  --source     run hangup from source although dist/hangup is built
  --large FILE use this database of 5 million calls, made by scripts/bench/make-calls.ts
  --list       print the names of the rows
`;
const ROUNDS = 3;

const write = (text: string) => process.stdout.write(text);
/** Progress and errors; stdout holds the result alone. */
const log = (text: string) => process.stderr.write(`${text}\n`);

class UsageError extends Error {}

function readArguments() {
  try {
    return parseArgs({
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
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function selectRows(names: readonly string[]): { group: Group; rows: readonly Row[] }[] {
  const all = GROUPS.flatMap(({ rows }) => rows);
  const isRow = (name: string) => all.some((row) => row.name === name);
  const matches = (name: string, pattern: string) => {
    if (pattern.endsWith('*')) return name.startsWith(pattern.slice(0, -1));
    return isRow(pattern) ? name === pattern : name.startsWith(`${pattern}-`);
  };
  const unknown = names.filter((pattern) => !all.some(({ name }) => matches(name, pattern)));
  if (unknown.length > 0) {
    throw new UsageError(`Unknown row: ${unknown.join(', ')}. Run npm run bench -- --list for the names.`);
  }
  return GROUPS.map((group) => ({
    group,
    rows: group.rows.filter(({ name, isOnlyByName = false }) =>
      isOnlyByName ? names.includes(name) : names.length === 0 || names.some((one) => matches(name, one)),
    ),
  })).filter(({ rows }) => rows.length > 0);
}

function readNumber(name: string, text: string): number {
  const number = Number(text);
  if (Number.isFinite(number) && number > 0) return number;
  throw new UsageError(`--${name}: expected a number greater than 0, got ${text}`);
}

async function main(): Promise<void> {
  const { values, positionals } = readArguments();
  if (values.help) {
    write(USAGE);
    return;
  }
  if (values.list) {
    write(GROUPS.flatMap(({ rows }) => rows.map(({ name, title }) => `${name}\t${title}\n`)).join(''));
    return;
  }
  const selected = selectRows(positionals);
  const rounds = values.rounds === undefined ? null : readNumber('rounds', values.rounds);
  const seconds = readNumber('seconds', values.seconds);
  const beganAt = performance.now();
  const results: Result[] = [];
  const failed: string[] = [];
  await using session = await startSession({
    isSource: values.source,
    seconds,
    largeFile: values.large ?? null,
  });
  for (const [name, value] of Object.entries(session.machine)) log(`${name}: ${value}`);
  for (const { group, rows } of selected) {
    const names = rows.map(({ name }) => name).join(', ');
    log(`measuring ${names}`);
    const groupRounds = rounds ?? group.rounds ?? ROUNDS;
    try {
      results.push(
        ...(await session.withBench(groupRounds + 1, (bench) =>
          measureGroup(bench, group, { rows, rounds: groupRounds }),
        )),
      );
    } catch (error) {
      // The other rows are still worth their minutes.
      failed.push(names);
      log(`${names} failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    }
  }
  const notes = [
    ...session.notes,
    `load generator: at most ${Math.round(session.generator.peakCpuShare * 100)} % of its core`,
    ...failed.map((names) => `FAILED, with a wrong result: ${names}`),
  ];
  const tookS = Math.round((performance.now() - beganAt) / 1_000);
  if (values.json) {
    const { machine } = session;
    write(`${JSON.stringify({ machine, tookS, notes, failed, rows: toJson(results) }, null, 2)}\n`);
  } else {
    write(`${formatTable(results)}\n${notes.map((text) => `${text}\n`).join('')}took ${tookS} s\n`);
  }
  if (failed.length > 0) process.exitCode = 1;
}

try {
  await main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  log(`${error.message}\n\n${USAGE}`);
  process.exitCode = 2;
}
