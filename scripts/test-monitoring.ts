/** `npm run test:monitoring`: the alert rules and their unit tests, by Prometheus's own promtool. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const folder = join(import.meta.dirname, '../docs/monitoring');

function promtool(...args: string[]): boolean {
  const { status, error } = spawnSync('promtool', args, { cwd: folder, stdio: 'inherit' });
  if (error !== undefined) {
    process.stderr.write(
      `test:monitoring needs promtool, which comes with Prometheus (Debian: apt-get install prometheus): ${error.message}\n`,
    );
  }
  return status === 0;
}

const passed = promtool('check', 'rules', 'alerts.yml') && promtool('test', 'rules', 'alerts.test.yml');
process.exitCode = passed ? 0 : 1;
