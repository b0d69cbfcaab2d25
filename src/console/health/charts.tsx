import { useQuery } from '@tanstack/react-query';
import { inTime, trpc } from '../api/trpc.ts';
import { texts } from '../texts.ts';
import { EmptyState, ErrorMessage, Loading } from '../ui/messages.tsx';
import { Chart } from './chart.tsx';
import { formatValue, type History, type SeriesName, toRows, toSeconds } from './history.ts';
import { REFRESH } from './refresh.ts';
import { useThemeColors } from './theme-colors.ts';

interface ChartPlan {
  readonly id: keyof typeof texts.health.charts;
  readonly series: readonly SeriesName[];
  readonly isWhole: boolean;
}

const CHARTS: readonly ChartPlan[] = [
  { id: 'liveCalls', series: ['liveCalls'], isWhole: true },
  { id: 'openDeletions', series: ['openDeletions'], isWhole: true },
  { id: 'cancels', series: ['cancelsPerMinute'], isWhole: false },
  { id: 'deletions', series: ['deletionsPerMinute', 'failedDeletionsPerMinute'], isWhole: false },
  { id: 'livekitRequests', series: ['livekitRequestMs'], isWhole: false },
  { id: 'requests', series: ['requestsPerSecond'], isWhole: false },
];
const FAILURES: readonly SeriesName[] = ['failedDeletionsPerMinute'];
/** The keyboard scrolls only an element with the focus. */
const SCROLLABLE = { tabIndex: 0 };
const COLUMNS = CHARTS.flatMap(({ series }) => series);

const AXIS_TIME = new Intl.DateTimeFormat('en-GB', { timeStyle: 'short' });

/** Charts of the last hour, by the metrics of the process. */
export function Charts() {
  const { data, error, refetch } = useQuery({
    queryKey: ['health', 'history'],
    queryFn: ({ signal }) => trpc.health.history.query(undefined, inTime(signal)),
    ...REFRESH,
  });
  const colors = useThemeColors();
  const { health } = texts;
  if (data === undefined) {
    return error === null ? <Loading /> : <ErrorMessage error={error} onRetry={() => void refetch()} />;
  }
  const seconds = toSeconds(data.times);
  if (seconds.length === 0) {
    return <EmptyState title={health.chart.none}>{health.chart.noneHint}</EmptyState>;
  }
  return (
    <div className="flex flex-col gap-3">
      <div className="grid gap-3 md:grid-cols-2 2xl:grid-cols-3">
        {CHARTS.map(({ id, series, isWhole }) => (
          <Chart
            key={id}
            {...health.charts[id]}
            seconds={seconds}
            series={series.map((name) => ({
              name: health.series[name],
              shortName: FAILURES.includes(name) ? health.chart.failed : health.chart.done,
              values: data.series[name],
              isFailure: FAILURES.includes(name),
            }))}
            colors={colors}
            isWhole={isWhole}
          />
        ))}
      </div>
      <HistoryTable seconds={seconds} history={data} />
    </div>
  );
}

/** The same numbers as text. */
function HistoryTable({ seconds, history }: { seconds: readonly number[]; history: History }) {
  const { chart, series } = texts.health;
  const rows = toRows(
    seconds,
    COLUMNS.map((name) => history.series[name]),
  );
  return (
    <details className="rounded-lg border border-line bg-surface p-3 text-sm">
      <summary className="font-medium">{chart.table}</summary>
      <section aria-label={chart.table} {...SCROLLABLE} className="mt-3 overflow-x-auto">
        <table className="w-full text-right">
          <caption className="mb-2 text-left text-xs text-muted">{chart.caption}</caption>
          <thead>
            <tr className="border-b border-line align-bottom text-xs">
              <th scope="col" className="py-1.5 pr-3 text-left font-medium">
                {chart.from}
              </th>
              {COLUMNS.map((name) => (
                <th key={name} scope="col" className="py-1.5 pl-3 font-medium">
                  {series[name]}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map(({ from, values }) => (
              <tr key={from} className="border-b border-line last:border-0">
                <th scope="row" className="py-1 pr-3 text-left font-normal whitespace-nowrap">
                  {AXIS_TIME.format(from * 1000)}
                </th>
                {COLUMNS.map((name, column) => {
                  const value = values[column] ?? null;
                  return (
                    <td key={name} className="py-1 pl-3">
                      {value === null ? chart.noValue : formatValue(value)}
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </details>
  );
}
