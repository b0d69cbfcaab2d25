import type { EventResult } from '../domain/ports.ts';
import type { Dependencies } from './dependencies.ts';

/** Says what an event or a sighting did, and tells the reconciler when it has something to do for it. */
export function report(
  { log, nudge }: Pick<Dependencies, 'log' | 'nudge'>,
  { callId, wasAdopted, decision, dueAt }: Extract<EventResult, { kind: 'applied' }>,
  seen: object,
): void {
  const about = { callId, ...seen };
  if (wasAdopted) log.info(about, 'room adopted: it is a call now');
  switch (decision.kind) {
    case 'end':
      log.info({ ...about, status: decision.status, cause: decision.failureReason }, 'call ended');
      break;
    case 'delete_room':
      log.warn(about, 'the room of an ended call shows life; it is deleted again');
      break;
    default:
  }
  if (dueAt !== null) nudge(dueAt);
}
