import { useEffect, useRef, useState } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { texts } from '../texts.ts';
import { axisMax, formatValue, summarize } from './history.ts';
import type { ThemeColors } from './theme-colors.ts';

const HEIGHT = 150;
/** A process that has just started fills a part of this period, not a line at the edge of an hour. */
const MIN_PERIOD_S = 600;
const FONT = '11px system-ui, sans-serif';
/** One pointer reads all charts at the same time. */
const SYNC_KEY = 'health';
const TIME = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });
const AXIS_TIME = new Intl.DateTimeFormat('en-GB', { timeStyle: 'short' });
const WHOLE_STEPS = [1, 2, 5].flatMap((step) => [0, 1, 2, 3, 4, 5, 6].map((power) => step * 10 ** power));

export interface ChartSeries {
  readonly name: string;
  /** The name beside the other series of the chart. */
  readonly shortName: string;
  readonly values: readonly (number | null)[];
  readonly isFailure?: boolean;
}

/** A chart of the last hour. Screen readers get a summary, and the page has a table. */
export function Chart({
  title,
  unit,
  seconds,
  series,
  colors,
  isWhole,
}: {
  title: string;
  unit: string;
  seconds: readonly number[];
  series: readonly ChartSeries[];
  colors: ThemeColors;
  /** The values are counts, so the axis has no fractions. */
  isWhole: boolean;
}) {
  const [cursor, setCursor] = useState<number | null>(null);
  const place = usePlot({ seconds, series, colors, isWhole, onCursor: setCursor });
  const { chart } = texts.health;
  const summaries = series.map(({ name, values }) => ({ name, summary: summarize(values) }));
  const label = summaries
    .map(({ name, summary }) =>
      summary === null
        ? chart.noValues(name)
        : chart.summary(name, {
            latest: withUnit(summary.latest, unit),
            min: withUnit(summary.min, unit),
            max: withUnit(summary.max, unit),
          }),
    )
    .join(' ');
  const at = cursor === null ? undefined : seconds[cursor];
  return (
    <figure className="min-w-0 rounded-lg border border-line bg-surface p-3">
      <figcaption className="mb-2 flex flex-wrap items-baseline justify-between gap-x-3 text-sm">
        <span className="font-medium">{title}</span>
        <span aria-hidden="true" className="flex flex-wrap gap-x-3 text-muted">
          {series.map(({ name, shortName, values, isFailure }) => {
            const value = at === undefined ? summarize(values)?.latest : values[cursor ?? 0];
            return (
              <span key={name} className="inline-flex items-baseline gap-1.5">
                {series.length > 1 && (
                  <>
                    <span
                      className={`inline-block h-0.5 w-3 self-center ${isFailure ? 'bg-danger-ink' : 'bg-accent'}`}
                    />
                    {shortName}
                  </>
                )}
                <span className="font-semibold text-text">
                  {value === null || value === undefined ? '–' : withUnit(value, unit)}
                </span>
              </span>
            );
          })}
          {at !== undefined && <span>{TIME.format(at * 1000)}</span>}
        </span>
      </figcaption>
      <div ref={place} role="img" aria-label={label} style={{ height: HEIGHT }} />
    </figure>
  );
}

const withUnit = (value: number, unit: string) => `${formatValue(value)}${unit === '' ? '' : ` ${unit}`}`;

/** Draws the chart into the element of the returned ref. */
function usePlot({
  seconds,
  series,
  colors,
  isWhole,
  onCursor,
}: {
  seconds: readonly number[];
  series: readonly ChartSeries[];
  colors: ThemeColors;
  isWhole: boolean;
  onCursor: (index: number | null) => void;
}) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  const data = useRef<uPlot.AlignedData>([[]]);
  data.current = [[...seconds], ...series.map(({ values }) => [...values])];
  const failures = series.map(({ isFailure = false }) => (isFailure ? 'x' : '-')).join('');

  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const options = plotOptions({ colors, isWhole, failures, onCursor, width: element.clientWidth });
    const created = new uPlot(options, data.current, element);
    plot.current = created;
    const observer = new ResizeObserver(() => {
      if (element.clientWidth > 0) created.setSize({ width: element.clientWidth, height: HEIGHT });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      created.destroy();
      plot.current = null;
    };
  }, [colors, isWhole, failures, onCursor]);

  useEffect(() => {
    plot.current?.setData([[...seconds], ...series.map(({ values }) => [...values])]);
  }, [seconds, series]);

  return place;
}

function plotOptions({
  colors,
  isWhole,
  failures,
  width,
  onCursor,
}: {
  colors: ThemeColors;
  isWhole: boolean;
  failures: string;
  width: number;
  onCursor: (index: number | null) => void;
}): uPlot.Options {
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    // The last time of the axis needs half of its width.
    padding: [8, 20, 0, 0],
    cursor: {
      sync: { key: SYNC_KEY },
      drag: { x: false, y: false },
      y: false,
      points: { size: 7 },
    },
    hooks: { setCursor: [({ cursor }) => onCursor(cursor.idx ?? null)] },
    scales: {
      x: { time: true, range: (_plot, min, max) => [Math.min(min, max - MIN_PERIOD_S), max] },
      y: { range: (_plot, _min, max) => [0, axisMax(max)] },
    },
    axes: [
      {
        stroke: colors.muted,
        font: FONT,
        grid: { show: false },
        ticks: { stroke: colors.line, width: 1, size: 4 },
        size: 28,
        space: 70,
        values: (_plot, splits) => splits.map((split) => AXIS_TIME.format(split * 1000)),
      },
      {
        stroke: colors.muted,
        font: FONT,
        grid: { stroke: colors.line, width: 1 },
        ticks: { show: false },
        size: 44,
        space: 28,
        ...(isWhole && { incrs: WHOLE_STEPS }),
        values: (_plot, splits) => splits.map(formatValue),
      },
    ],
    series: [
      {},
      ...[...failures].map((kind) =>
        kind === 'x'
          ? { stroke: colors['danger-ink'], width: 1.5, dash: [5, 3], points: { show: false } }
          : { stroke: colors.accent, fill: colors['accent-soft'], width: 1.5, points: { show: false } },
      ),
    ],
  };
}
