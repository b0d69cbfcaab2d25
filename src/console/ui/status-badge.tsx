import type { CallStatus } from '../api/call.ts';
import { texts } from '../texts.ts';
import { Badge, type Tone } from './badge.tsx';

const TONES: Readonly<Record<CallStatus, Tone>> = {
  initiated: 'accent',
  connecting: 'accent',
  ringing: 'warning',
  active: 'success',
  completed: 'neutral',
  failed: 'danger',
  cancelled: 'neutral',
  no_answer: 'neutral',
  busy: 'neutral',
};

/** The status of a call. The live statuses differ by their colors, and an end without an error is neutral. */
export function StatusBadge({ status }: { status: CallStatus }) {
  return <Badge tone={TONES[status]}>{texts.calls.statuses[status]}</Badge>;
}
