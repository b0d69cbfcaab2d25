import type { Finding } from '../finding.ts';

const MAX_SHOWN = 3;

/** @param corruption faults that SQLite's quick_check reports */
export function assessIntegrity(corruption: readonly string[]): Finding {
  const check = 'integrity';
  if (corruption.length === 0) {
    return { check, level: 'ok', message: "SQLite's quick_check found no damage" };
  }
  return {
    check,
    level: 'failure',
    message: `the database is damaged: ${corruption.slice(0, MAX_SHOWN).join('; ')}`,
    advice: 'stop hangup, keep the damaged files, and restore a backup; then check the disk',
  };
}
