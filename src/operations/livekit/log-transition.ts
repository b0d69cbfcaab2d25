import type { AppliedChange } from '../../domain/call-change.ts';
import type { Dependencies } from '../dependencies.ts';

/** Logs the result of an event or an observation, and nudges the reconciler if the call has work for it. */
export function logTransition(
  { log, nudge }: Pick<Dependencies, 'log' | 'nudge'>,
  { callId, wasAdopted, decision, dueAt }: AppliedChange,
  context: object,
): void {
  const fields = { callId, ...context };
  if (wasAdopted) log.info(fields, 'room adopted as a call');
  switch (decision.kind) {
    case 'end':
      log.info({ ...fields, status: decision.status, cause: decision.failureReason }, 'call ended');
      break;
    case 'delete_room':
      log.warn(fields, 'room of an ended call found; deletion scheduled');
      break;
    case 'report_survival':
      log.error({ ...fields, cause: decision.reason }, "call ended in error; LiveKit's list lacked its room");
      break;
    default:
  }
  if (dueAt !== null) nudge(dueAt);
}
