import type { CancellationCounts, Hangup } from '@hangup/client';
import { useMutation } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { ErrorMessage } from './error-message.tsx';

interface Preview {
  readonly agentId: string;
  readonly reason: string;
  readonly total: number;
}

/** Cancels all live calls of an agent in two steps: a preview with the number of calls, and the confirmation of this number. */
export function StopAgent({ hangup }: { readonly hangup: Hangup }) {
  const [counts, setCounts] = useState<CancellationCounts | null>(null);
  const preview = useMutation({
    mutationFn: async ({ agentId, reason }: Omit<Preview, 'total'>): Promise<Preview> => {
      const { matched } = await hangup.cancellations.preview({ filter: { agentId }, reason });
      return { agentId, reason, total: matched.total };
    },
  });
  const stop = useMutation({
    mutationFn: async ({ agentId, reason, total }: Preview) => {
      // If more calls match by now, hangup refuses the request, and the user repeats the preview.
      const input = { filter: { agentId }, reason, expectedAtMost: total };
      const { id } = await hangup.cancellations.create(input);
      return hangup.cancellations.wait(id, { onProgress: (current) => setCounts(current.counts) });
    },
    onSettled: () => preview.reset(),
  });

  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setCounts(null);
    stop.reset();
    preview.mutate({ agentId: String(form.get('agent')), reason: String(form.get('reason')) });
  };

  return (
    <section aria-label="Stop an agent">
      <form onSubmit={submit}>
        <label>
          Agent <input name="agent" required />
        </label>
        <label>
          Reason <input name="reason" required maxLength={500} />
        </label>
        <button type="submit" disabled={stop.isPending}>
          Preview
        </button>
      </form>
      {preview.data !== undefined && <Confirmation preview={preview.data} stop={stop} />}
      {counts !== null && <Progress counts={counts} isCompleted={stop.isSuccess} />}
      <ErrorMessage error={preview.error ?? stop.error} />
    </section>
  );
}

interface ConfirmationProps {
  readonly preview: Preview;
  readonly stop: { readonly isPending: boolean; mutate(preview: Preview): void };
}

function Confirmation({ preview, stop }: ConfirmationProps) {
  const { agentId, total } = preview;
  if (total === 0) return <p>The agent {agentId} has no live calls.</p>;
  return (
    <button type="button" disabled={stop.isPending} onClick={() => stop.mutate(preview)}>
      Cancel {total} {total === 1 ? 'call' : 'calls'} of {agentId}
    </button>
  );
}

interface ProgressProps {
  readonly counts: CancellationCounts;
  readonly isCompleted: boolean;
}

function Progress({ counts: { cancelled, rooms }, isCompleted }: ProgressProps) {
  return (
    <p role="status">
      Cancelled calls: {cancelled}. Rooms to delete: {rooms.pending}.
      {rooms.discarded > 0 && ` Rooms that may still exist: ${rooms.discarded}.`}
      {isCompleted && ' Completed.'}
    </p>
  );
}
