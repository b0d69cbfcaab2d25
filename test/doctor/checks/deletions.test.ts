import { expect, test } from 'vitest';
import { assessDeletions } from '../../../src/doctor/checks/deletions.ts';
import { countsWith } from '../facts.ts';

const NOW = 1e9;

test.each([
  [null, 0, 'ok', 'no overdue room deletions'],
  [120_000, 0, 'ok', 'no overdue room deletions'],
  [121_000, 0, 'warning', 'a call ended 2 minutes ago, and its room is not deleted yet'],
  [121_000, 1, 'warning', 'a call ended 2 minutes ago, and its room is not deleted yet'],
  [null, 1, 'warning', 'hangup stopped retrying 1 room deletion'],
  [null, 2, 'warning', 'hangup stopped retrying 2 room deletions'],
])(
  'an oldest deletion of %j ms and %i discarded deletions are reported as %s',
  (ageMs, discarded, level, message) => {
    const counts = countsWith(0);
    const openDeletions = { ...counts.openDeletions, discarded };
    const oldestOpenDeletionAt = ageMs === null ? null : NOW - ageMs;
    expect(assessDeletions({ ...counts, openDeletions, oldestOpenDeletionAt }, NOW)).toMatchObject({
      check: 'deletions',
      level,
      message,
    });
  },
);
