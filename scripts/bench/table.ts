import type { Goal, Unit } from './group.ts';
import type { Result } from './measure.ts';

const HEAD = ['row', 'hangup', 'baseline', 'ratio', 'spread', 'goal', ''];

/** One line for each result, in columns, each followed by the load and the baseline in words. */
export function formatTable(results: readonly Result[]): string {
  const lines = [HEAD, ...results.map(cellsOf)];
  const widths = HEAD.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)));
  return lines
    .flatMap((cells, index) => {
      const line = cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ');
      const result = results[index - 1];
      return result === undefined
        ? [line]
        : [line, `    ${result.row.title}; against ${result.row.baseline}`];
    })
    .map((line) => `${line.trimEnd()}\n`)
    .join('');
}

function cellsOf({ row, value, baseline, ratio, lowestRatio, highestRatio, isReached }: Result): string[] {
  return [
    row.name,
    formatValue(value, row.unit),
    formatValue(baseline, row.unit),
    formatRatio(ratio),
    `${formatRatio(lowestRatio)} to ${formatRatio(highestRatio)}`,
    row.goal === null ? '' : formatGoal(row.goal, row.unit),
    isReached === null ? '' : isReached ? 'reached' : 'missed',
  ];
}

function formatGoal(goal: Goal, unit: Unit): string {
  if ('ratioAtLeast' in goal) return `at least ${goal.ratioAtLeast}`;
  if ('ratioAtMost' in goal) return `at most ${goal.ratioAtMost}`;
  return `at most ${formatValue(goal.valueAtMost, unit)}`;
}

const formatRatio = (ratio: number) => ratio.toFixed(ratio >= 100 ? 0 : 2);

function formatValue(value: number, unit: Unit): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  const number = value.toLocaleString('en-US', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  return unit === '/s' ? `${number}/s` : `${number} ${unit}`;
}

/** The results for machines. */
export function toJson(results: readonly Result[]) {
  return results.map(({ row: { name, title, unit, baseline: against, goal }, ...numbers }) => ({
    ...{ name, title, unit, against, goal },
    ...numbers,
  }));
}
