import type { Call } from '../api/call.ts';
import { texts } from '../texts.ts';
import { StatusBadge } from '../ui/status-badge.tsx';

/** One call, for the reader to check before an action. */
export function CallSummary({
  id,
  call,
}: {
  id: string;
  call: Pick<Call, 'status' | 'phoneNumber' | 'agent'> | undefined;
}) {
  return (
    <div className="flex flex-col gap-1 rounded-md border border-line p-3 text-sm">
      <span className="font-mono text-xs break-all">{id}</span>
      {call !== undefined && (
        <span className="flex flex-wrap items-center gap-x-3 gap-y-1">
          <StatusBadge status={call.status} />
          <span className="break-all">{call.agent.name ?? call.agent.id ?? texts.calls.noAgent}</span>
          <span className="break-all">{call.phoneNumber ?? texts.calls.noPhone}</span>
        </span>
      )}
    </div>
  );
}
