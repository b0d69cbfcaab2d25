import { Link } from 'wouter';
import { useScope } from '../api/session.tsx';
import { texts } from '../texts.ts';
import { Button, buttonClass } from '../ui/button.tsx';
import { MissingScope } from '../ui/messages.tsx';
import type { CallList } from './call-list.ts';
import { CallSummary } from './call-summary.tsx';
import { CancelCallDialog, CancelCallsDialog } from './cancel-dialog.tsx';
import { toStopSearch } from './filter.ts';
import type { Selection } from './selection.ts';

const words = texts.calls;

/** The result of an action on the selection. */
export type Outcome =
  | { readonly kind: 'cancelled' }
  | { readonly kind: 'started'; readonly cancellationId: string; readonly count: number };

/** What can be done with the selected calls. Actions that the key does not permit are not offered. */
export function SelectionBar({
  list,
  selection,
  isAll,
  liveTotal,
  onClear,
  onCancel,
}: {
  list: CallList;
  selection: Selection;
  /** Every live call that matches is selected. */
  isAll: boolean;
  /** The number of live calls that match, as text; null: unknown. */
  liveTotal: string | null;
  onClear: () => void;
  /** Opens the confirmation. */
  onCancel: (ids: readonly string[]) => void;
}) {
  const mayCancel = useScope('calls:cancel');
  const mayStop = useScope('calls:stop');
  const ids = selection.kind === 'all' ? [] : [...selection.ids];
  const isOne = ids.length === 1;
  const isUnloaded = selection.kind === 'all';
  return (
    <div className="flex flex-wrap items-center justify-between gap-x-4 gap-y-2 rounded-lg border border-accent bg-accent-soft px-3 py-2">
      <p role="status" className="text-sm font-medium">
        {isUnloaded ? words.selectedAll(liveTotal ?? '') : words.selected(ids.length)}
      </p>
      <div className="flex flex-wrap items-center gap-2">
        {isOne && mayCancel && (
          <Button kind="danger" onClick={() => onCancel(ids)}>
            {words.cancelCall}
          </Button>
        )}
        {isOne && !mayCancel && <MissingScope scope="calls:cancel" />}
        {ids.length > 1 && mayStop && (
          <Button kind="danger" onClick={() => onCancel(ids)}>
            {words.cancelCalls(ids.length)}
          </Button>
        )}
        {isAll && mayStop && <StopLink list={list} isMain={isUnloaded} />}
        {!isOne && !mayStop && <p className="text-sm">{words.severalNeedStop('calls:stop')}</p>}
        <Button onClick={onClear}>{words.clearSelection}</Button>
      </div>
    </div>
  );
}

/** Cancels the calls after a confirmation. Calls that end meanwhile stay in the dialog, and leave only the selection. */
export function CancelSelected({
  list,
  ids,
  onDone,
  onClose,
}: {
  list: CallList;
  ids: readonly string[];
  onDone: (outcome: Outcome) => void;
  onClose: () => void;
}) {
  const [first] = ids;
  if (ids.length === 1 && first !== undefined) {
    return (
      <CancelCallDialog callId={first} onCancelled={() => onDone({ kind: 'cancelled' })} onClose={onClose}>
        <CallSummary id={first} call={list.row(first)?.call} />
      </CancelCallDialog>
    );
  }
  return (
    <CancelCallsDialog
      callIds={ids}
      onStarted={(cancellationId) => onDone({ kind: 'started', cancellationId, count: ids.length })}
      onClose={onClose}
    />
  );
}

function StopLink({ list, isMain }: { list: CallList; isMain: boolean }) {
  const search = toStopSearch(list.filter);
  if (search === null) return isMain && <p className="text-sm">{words.stopNotPossible}</p>;
  return (
    <Link
      href={search === '' ? '/stop' : `/stop?${search}`}
      className={buttonClass(isMain ? 'danger' : 'plain')}
    >
      {words.stopAll}
    </Link>
  );
}
