import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Hangup, startHangup } from './harness/hangup.ts';
import { readMetrics, type ScrapedMetrics } from './harness/metrics.ts';
import { WAIT } from './harness/time.ts';
import { postWebhook, roomWebhooks } from './harness/webhooks.ts';

const FOLDER = resolve(import.meta.dirname, '../docs/monitoring');
const alerts = readFileSync(resolve(FOLDER, 'alerts.yml'), 'utf8');
const dashboard = JSON.parse(readFileSync(resolve(FOLDER, 'dashboard.json'), 'utf8'));

/** Metrics and labels that Prometheus adds. */
const PROMETHEUS = { metrics: ['up'], labels: ['job', 'instance'] };
/** The PromQL words in use. A missing word fails the test, because it looks like an unknown metric. */
const PROMQL_WORDS = new Set('sum max min or unless absent increase rate histogram_quantile'.split(' '));

let hangup: Hangup;
let scraped: ScrapedMetrics;
beforeAll(async () => {
  hangup = await startHangup();
  await hangup.insertCall({ id: 'c1' });
  await postWebhook(hangup.url, roomWebhooks('c1').started());
  await hangup.send('DELETE', '/api/v1/calls/c1');
  await vi.waitFor(async () => {
    scraped = await readMetrics(hangup.url);
    expect(scraped.labelValues('hangup_reconcile_duration_seconds_bucket', 'loop')).toContain('rooms');
  }, WAIT);
});
afterAll(() => hangup.stop());

const alertExpressions = [...alerts.matchAll(/^( *)expr: (?:>-\n((?:\1 {2}.*\n)+)|(?!>)(.*)\n)/gm)].map(
  ([, , folded, plain]) => (folded ?? plain ?? '').trim(),
);

interface Panel {
  readonly id: number;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[];
}
const panels: readonly Panel[] = dashboard.panels;
const targets = panels.flatMap((panel) => panel.targets);

interface Selector {
  readonly metric: string;
  readonly matchers: readonly { readonly label: string; readonly value: string }[];
}

/** Returns the metrics of an expression with their matchers, and its grouping labels. */
function parseExpression(expression: string): { selectors: Selector[]; groupedBy: string[] } {
  const groupedBy = [...expression.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, labels = '']) =>
    labels.split(',').map((label) => label.trim()),
  );
  const withoutGrouping = expression.replaceAll(/\bby \([^)]*\)|\[[^\]]*\]/g, '');
  const selectors = [...withoutGrouping.matchAll(/\b([a-z_]\w*)(?:\{([^}]*)\})?/g)].flatMap(
    ([, metric = '', inside = '']) => {
      if (PROMQL_WORDS.has(metric)) return [];
      const matchers = [...inside.matchAll(/(\w+)=~?"([^"]*)"/g)].map(([, label = '', value = '']) => ({
        label,
        value,
      }));
      return [{ metric, matchers }];
    },
  );
  return { selectors, groupedBy };
}

/** Returns the metrics, labels and values of an expression that hangup does not expose. */
function unknownIn(expression: string): string[] {
  const { selectors, groupedBy } = parseExpression(expression);
  const metrics = selectors.filter(({ metric }) => !PROMETHEUS.metrics.includes(metric));
  const labelsOf = (metric: string) =>
    new Set(
      scraped.samples.filter(({ name }) => name === metric).flatMap(({ labels }) => Object.keys(labels)),
    );
  return metrics.flatMap(({ metric, matchers }) => {
    if (!scraped.has(metric)) return [`no metric ${metric}`];
    const labels = labelsOf(metric);
    const missing = [...groupedBy, ...matchers.map(({ label }) => label)].filter(
      (label) => !labels.has(label) && !PROMETHEUS.labels.includes(label),
    );
    const values = matchers
      .filter(({ label }) => !PROMETHEUS.labels.includes(label) && !missing.includes(label))
      .flatMap(({ label, value }) => value.split('|').map((part) => ({ label, part })))
      .filter(({ label, part }) => !scraped.labelValues(metric, label).includes(part));
    return [
      ...missing.map((label) => `${metric} has no label ${label}`),
      ...values.map(({ label, part }) => `${metric} has no ${label}="${part}"`),
    ];
  });
}

test('hangup exposes every metric, label and value of the alerts and panels', () => {
  const expressions = [...alertExpressions, ...targets.map(({ expr }) => expr)];
  for (const expression of expressions) {
    expect(parseExpression(expression).selectors.length, expression).toBeGreaterThan(0);
    expect(unknownIn(expression), expression).toEqual([]);
  }
});

test('the check finds unknown metrics, labels and values', () => {
  expect(unknownIn('rate(hangup_callz[5m]) > 0')).toEqual(['no metric hangup_callz']);
  expect(unknownIn('max by (color) (hangup_calls{job=~"$job"})')).toEqual([
    'hangup_calls has no label color',
  ]);
  expect(unknownIn('hangup_calls{state="active"}')).toEqual(['hangup_calls has no label state']);
  expect(unknownIn('hangup_calls{status=~"active|talking"}')).toEqual([
    'hangup_calls has no status="talking"',
  ]);
  expect(unknownIn('sum by (job) (up) unless sum(increase(hangup_calls_ended[5m]))')).toEqual([
    'no metric hangup_calls_ended',
  ]);
});

describe('alerts.yml', () => {
  test('each of the ten alerts has an expression, a summary and a description', () => {
    const names = [...alerts.matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
    expect(names).toHaveLength(10);
    expect(alertExpressions).toHaveLength(names.length);
    expect(alerts.match(/ {10}summary: /g)).toHaveLength(names.length);
    expect(alerts.match(/ {10}description: /g)).toHaveLength(names.length);
  });

  test('each alert has a unit test that fires and one that does not', () => {
    const tests = readFileSync(resolve(FOLDER, 'alerts.test.yml'), 'utf8');
    for (const [, name] of alerts.matchAll(/- alert: (\w+)/g)) {
      expect(tests).toMatch(new RegExp(`alertname: ${name}\\n +exp_alerts:\\n`));
      expect(tests).toMatch(new RegExp(`alertname: ${name}, exp_alerts: \\[\\] \\}`));
    }
  });
});

describe('dashboard.json', () => {
  test('panels have unique ids and do not overlap', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) => {
      expect(x + w).toBeLessThanOrEqual(24);
      return Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`);
    });
    expect(new Set(cells).size).toBe(cells.length);
  });

  test('a legend contains only labels of its expression', () => {
    for (const { expr, legendFormat } of targets) {
      const { groupedBy } = parseExpression(expr);
      const labels = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label = '']) => label);
      expect(
        labels.filter((label) => !groupedBy.includes(label) && !PROMETHEUS.labels.includes(label)),
      ).toEqual([]);
    }
  });
});
