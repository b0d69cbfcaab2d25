import type { EventResult } from '../../ports/store.ts';
import type { Dependencies } from '../dependencies.ts';

/** Logs what an event or an observation led to, and schedules the reconciler's part of it. */
export function logTransition(
  { log, nudge }: Pick<Dependencies, 'log' | 'nudge'>,
  { callId, wasAdopted, decision, dueAt }: Extract<EventResult, { kind: 'applied' }>,
  source: object,
): void {
  const about = { callId, ...source };
  if (wasAdopted) log.info(about, 'room adopted: it is a call now');
  switch (decision.kind) {
    case 'end':
      log.info({ ...about, status: decision.status, cause: decision.failureReason }, 'call ended');
      break;
    case 'delete_room':
      log.warn(about, 'the room of an ended call shows life; it is deleted again');
      break;
    case 'report_survival':
      log.error(
        { ...about, cause: decision.why },
        'call ended in error: LiveKit did not list its room, which is still in use; the room is left alone',
      );
      break;
    default:
  }
  if (dueAt !== null) nudge(dueAt);
}
