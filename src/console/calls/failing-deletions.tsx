import { Link } from 'wouter';
import { type RoomDeletions, useRoomDeletions } from '../room-deletions/room-deletions.ts';
import { texts } from '../texts.ts';
import { MiddleEllipsis } from './middle-ellipsis.tsx';

const words = texts.calls;

/** Loads the deletions that were tried and failed, or given up: these rooms outlive their calls. */
export function useFailingDeletions(): RoomDeletions {
  return useRoomDeletions({ state: ['retryable', 'discarded'] });
}

/** A warning while rooms of ended calls exist, with links to the calls. */
export function FailingDeletions({ failing }: { failing: RoomDeletions }) {
  const { deletions, isComplete } = failing;
  if (deletions.length === 0) return null;
  return (
    <details className="rounded-lg border border-danger bg-danger-soft text-sm text-danger-ink">
      <summary className="px-3 py-2 font-medium">{words.failing(deletions.length, !isComplete)}</summary>
      <ul className="flex max-h-48 flex-col gap-1 overflow-y-auto px-3 pb-3">
        {deletions.map(({ callId }) => (
          <li key={callId}>
            <Link
              href={`/calls/${encodeURIComponent(callId)}`}
              className="inline-flex max-w-full font-mono text-xs underline underline-offset-2"
              aria-label={callId}
            >
              <MiddleEllipsis text={callId} />
            </Link>
          </li>
        ))}
      </ul>
    </details>
  );
}
