import { texts } from '../texts.ts';
import { Badge, type Tone } from '../ui/badge.tsx';

export const DELETION_STATES = ['available', 'running', 'retryable', 'completed', 'discarded'] as const;
type DeletionState = (typeof DELETION_STATES)[number];

const TONES: Readonly<Record<DeletionState, Tone>> = {
  available: 'neutral',
  running: 'accent',
  retryable: 'warning',
  completed: 'success',
  discarded: 'danger',
};

/** The state of a room's deletion. */
export function DeletionStateBadge({ state }: { state: DeletionState }) {
  return <Badge tone={TONES[state]}>{texts.roomDeletions.states[state]}</Badge>;
}
