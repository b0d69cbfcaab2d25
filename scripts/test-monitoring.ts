/** `npm run test:monitoring`: alert rules, their unit tests, and the dashboard's PromQL, by Prometheus's own promtool. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const folder = join(import.meta.dirname, '../docs/monitoring');

function promtool(...args: string[]): boolean {
  const { status, error } = spawnSync('promtool', args, { cwd: folder, stdio: 'inherit' });
  if (error !== undefined) {
    process.stderr.write(
      `test:monitoring requires promtool, a part of Prometheus (Debian: apt-get install prometheus): ${error.message}\n`,
    );
  }
  return status === 0;
}

interface Dashboard {
  readonly panels: readonly { readonly targets: readonly { readonly expr: string }[] }[];
}

/** Checks the dashboard's expressions as recording rules, because promtool does not read dashboards. JSON is YAML. */
function checkDashboard(): boolean {
  const { panels }: Dashboard = JSON.parse(readFileSync(join(folder, 'dashboard.json'), 'utf8'));
  const rules = panels
    .flatMap(({ targets }) => targets)
    .map(({ expr }, i) => ({
      record: `dashboard:${i}`,
      expr: expr.replaceAll('$__rate_interval', '5m').replaceAll('$job', '.+'),
    }));
  const temporary = mkdtempSync(join(tmpdir(), 'hangup-monitoring-'));
  try {
    const file = join(temporary, 'dashboard.yml');
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules }] }));
    return promtool('check', 'rules', file);
  } finally {
    rmSync(temporary, { recursive: true });
  }
}

const passed =
  promtool('check', 'rules', 'alerts.yml') &&
  promtool('test', 'rules', 'alerts.test.yml') &&
  checkDashboard();
process.exitCode = passed ? 0 : 1;
