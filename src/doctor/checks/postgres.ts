import type { PostgresFacts } from '../../ports/diagnostics.ts';
import type { Finding } from '../finding.ts';

/** Assesses a database that cannot be used, or that has no tables of hangup. @param name without a password */
export function assessPostgres(name: string, facts: PostgresFacts): Finding {
  const check = 'database';
  if (facts.kind === 'unusable') {
    return {
      check,
      level: 'failure',
      message: `cannot use ${name}: ${facts.detail}`,
      advice: 'check DATABASE_URL, and that Postgres runs and accepts connections of this user and machine',
    };
  }
  return {
    check,
    level: 'failure',
    message: `${name} (Postgres ${facts.version}) has no tables of hangup`,
    advice: 'check DATABASE_URL; in a new database, create the tables with `hangup migrate`',
  };
}

export function assessPostgresDurability({
  version,
  synchronousCommit,
  standbys,
}: Extract<PostgresFacts, { kind: 'open' }>): Finding {
  // hangup refuses `off`, and raises weaker values in its own transactions.
  const replication =
    standbys === ''
      ? 'no synchronous standby, so a failover can lose the last changes'
      : `synchronous_standby_names=${standbys}`;
  return {
    check: 'durability',
    level: 'ok',
    message: `Postgres ${version}, synchronous_commit=${synchronousCommit}; ${replication}`,
  };
}
