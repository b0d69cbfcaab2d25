import type { Finding } from '../finding.ts';

export function assessDurability(journalMode: string): Finding {
  const check = 'durability';
  // `synchronous` belongs to a connection: the doctor cannot read the value of a running hangup.
  if (journalMode === 'wal') {
    return {
      check,
      level: 'ok',
      message: 'the journal mode is WAL; hangup sets synchronous=FULL and does not start without it',
    };
  }
  return {
    check,
    level: 'warning',
    message: `the journal mode is ${journalMode}, expected WAL`,
    advice:
      'restart hangup, which switches to WAL; if the mode does not change, put the database on a local file system',
  };
}
