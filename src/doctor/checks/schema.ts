import type { SchemaVersion } from '../../ports/diagnostics.ts';
import type { Finding } from '../finding.ts';

export function assessSchema(file: string, schema: SchemaVersion): Finding {
  const check = 'database';
  switch (schema) {
    case 'current':
      return { check, level: 'ok', message: `${file} has the schema of this version` };
    case 'behind':
      return {
        check,
        level: 'warning',
        message: `${file} has the schema of an older version`,
        advice: 'run `hangup migrate`, or restart hangup: both update the schema',
      };
    case 'ahead':
      return {
        check,
        level: 'failure',
        message: `${file} has the schema of a newer or different version`,
        advice: 'start that version, or restore a backup made with this version',
      };
    case 'uninitialized':
      return {
        check,
        level: 'failure',
        message: `${file} is not a hangup database`,
        advice: 'check DATABASE_URL',
      };
  }
}

/** Assesses the target of a `hangup copy` that was interrupted, or whose verification failed. */
export function assessIncompleteCopy(name: string): Finding {
  return {
    check: 'database',
    level: 'failure',
    message: `${name} is an incomplete copy of another database`,
    advice: 'start the same `hangup copy` again, and wait until the copy is complete',
  };
}
