import type { CallFacts } from '../../ports/diagnostics.ts';
import { type Finding, pluralize } from '../finding.ts';

export function assessRooms({ live, ended, unknown }: CallFacts['rooms']): Finding {
  const check = 'rooms';
  const message = `LiveKit has ${pluralize(live + ended + unknown, 'room')}: ${live} of live calls, ${ended} of ended calls, ${unknown} without a call`;
  if (ended === 0) return { check, level: 'ok', message };
  return {
    check,
    level: 'warning',
    message,
    advice:
      'a running hangup deletes the rooms of ended calls: run the doctor again in a minute; the log has the cause of each failed deletion',
  };
}
