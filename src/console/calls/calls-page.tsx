import { type ReactNode, useEffect, useRef, useState } from 'react';
import { Link, useLocation, useSearch } from 'wouter';
import { isLive, LIVE_STATUSES } from '../api/call.ts';
import { useScope } from '../api/session.tsx';
import type { RoomDeletion } from '../room-deletions/room-deletions.ts';
import { texts } from '../texts.ts';
import { Button, buttonClass } from '../ui/button.tsx';
import { EmptyState, ErrorMessage, Loading, MissingScope } from '../ui/messages.tsx';
import { Page } from '../ui/page.tsx';
import { CallFilters } from './call-filters.tsx';
import type { CallList } from './call-list.ts';
import { CallTable, SelectAll } from './call-table.tsx';
import { FailingDeletions, useFailingDeletions } from './failing-deletions.tsx';
import { type CallFilter, countFields, isSame, liveStatusesOf, parseFilter, toSearch } from './filter.ts';
import { saveSearch } from './last-search.ts';
import { isSelected, NOTHING, prune, type Selection, toggle } from './selection.ts';
import { CancelSelected, type Outcome, SelectionBar } from './selection-bar.tsx';
import { useCallList } from './use-call-list.ts';
import { useMediaQuery } from './use-media-query.ts';

const words = texts.calls;

export function CallsPage() {
  const mayRead = useScope('calls:read');
  if (!mayRead) {
    return (
      <Page title={words.title}>
        <MissingScope scope="calls:read" />
      </Page>
    );
  }
  return <Calls />;
}

function Calls() {
  const filter = parseFilter(useSearch());
  // Two addresses of one filter are one list.
  const search = toSearch(filter);
  const [, navigate] = useLocation();
  const change = (changes: Partial<CallFilter>, { isTyping = false } = {}) => {
    const next = toSearch({ ...filter, ...changes });
    if (next !== search) navigate(next === '' ? '/calls' : `/calls?${next}`, { replace: isTyping });
  };
  const { list, visible } = useCallList(search);
  const failing = useFailingDeletions();
  useEffect(() => saveSearch(search), [search]);
  return (
    <Page title={words.title} actions={<Total list={list} />}>
      <FailingDeletions failing={failing} />
      <CallFilters filter={filter} onChange={change} />
      <Content key={search} list={list} visible={visible} failing={failing.deletions} onChange={change} />
    </Page>
  );
}

function Total({ list }: { list: CallList }) {
  const { total } = list;
  if (total === null) return null;
  const { count, isCapped } = total;
  return <p className="text-sm text-muted">{words.calls(count, isCapped)}</p>;
}

function Content({
  list,
  visible,
  failing,
  onChange,
}: {
  list: CallList;
  failing: readonly RoomDeletion[];
  visible: ReturnType<typeof useCallList>['visible'];
  onChange: (change: Partial<CallFilter>) => void;
}) {
  const { selecting, selection, isAll, clear } = useSelection(list);
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  /** The calls of the open dialog. */
  const [cancelled, setCancelled] = useState<readonly string[] | null>(null);
  const isWide = useMediaQuery('(min-width: 60rem)');
  const { filter, first, order, total } = list;
  if (first.kind === 'failed') {
    return <ErrorMessage error={first.error} onRetry={() => void list.reload()} />;
  }
  if (first.kind === 'loading') return <Loading />;
  const hasSelection = selection.kind === 'all' || selection.ids.size > 0;
  return (
    <>
      {outcome !== null && <Done outcome={outcome} onDismiss={() => setOutcome(null)} />}
      {hasSelection && (
        <SelectionBar
          list={list}
          selection={selection}
          isAll={isAll}
          liveTotal={hasLiveOnly(filter) && total !== null ? words.total(total.count, total.isCapped) : null}
          onClear={clear}
          onCancel={setCancelled}
        />
      )}
      {cancelled !== null && (
        <CancelSelected
          list={list}
          ids={cancelled}
          onDone={(done) => {
            setOutcome(done);
            clear();
          }}
          onClose={() => setCancelled(null)}
        />
      )}
      {order.length === 0 ? (
        <Empty filter={filter} onChange={onChange} />
      ) : (
        <>
          {!isWide && selecting?.canSelectAll && (
            // biome-ignore lint/a11y/noLabelWithoutControl: the checkbox is a component
            <label className="flex items-center gap-3 px-3 text-sm">
              <SelectAll context={selecting} />
              {words.selectAll}
            </label>
          )}
          <CallTable list={list} visible={visible} selecting={selecting} failing={failing} />
        </>
      )}
    </>
  );
}

/** True if each call of the list is live, so that the list's total is the number of live calls. */
function hasLiveOnly({ statuses }: CallFilter): boolean {
  return statuses?.every((status) => isLive(status)) ?? false;
}

function useSelection(list: CallList) {
  const [selection, setSelection] = useState<Selection>(NOTHING);
  const last = useRef<string | null>(null);
  const mayAct = [useScope('calls:cancel'), useScope('calls:stop')].some(Boolean);
  const isSelectable = (id: string) => {
    const status = list.row(id)?.call.status;
    return status !== undefined && isLive(status);
  };
  // A call that has ended is no longer selected.
  const current = prune(selection, isSelectable);
  useEffect(() => {
    if (current !== selection) setSelection(current);
  });
  const mayHaveLiveUnloaded = list.hasMore && liveStatusesOf(list.filter).length > 0;
  const selectable = () => list.order.map(({ id }) => id).filter(isSelectable);
  const isAll =
    current.kind === 'all' ||
    (current.ids.size > 0 && !list.hasMore && current.ids.size === selectable().length);
  const selecting = {
    isSelected: (id: string) => isSelected(current, id),
    isAllSelected: isAll,
    canSelectAll: mayHaveLiveUnloaded || list.order.some(({ id }) => isSelectable(id)),
    onToggle: (id: string, isRange: boolean) => {
      const from = isRange ? last.current : null;
      setSelection(toggle(current, { id, from, selectable: selectable() }));
      last.current = id;
    },
    onToggleAll: () => {
      last.current = null;
      // A stop cannot select by a search: its results are selected one by one.
      const all: Selection =
        list.filter.text === '' && list.hasMore
          ? { kind: 'all' }
          : { kind: 'some', ids: new Set(selectable()) };
      setSelection(isAll ? NOTHING : all);
    },
  };
  return {
    selection: current,
    isAll,
    selecting: mayAct ? selecting : null,
    clear: () => setSelection(NOTHING),
  };
}

function Done({ outcome, onDismiss }: { outcome: Outcome; onDismiss: () => void }) {
  return (
    <div
      role="status"
      className="flex flex-wrap items-center justify-between gap-2 rounded-lg bg-success-soft px-3 py-2 text-sm text-success-ink"
    >
      <p>{outcome.kind === 'cancelled' ? words.cancelled : words.started(outcome.count)}</p>
      <div className="flex flex-wrap gap-2">
        {outcome.kind === 'started' && (
          <Link href={`/stop/${outcome.cancellationId}`} className={buttonClass()}>
            {words.showProgress}
          </Link>
        )}
        <Button onClick={onDismiss}>{texts.common.dismiss}</Button>
      </div>
    </div>
  );
}

function Empty({
  filter,
  onChange,
}: {
  filter: CallFilter;
  onChange: (change: Partial<CallFilter>) => void;
}): ReactNode {
  if (filter.text !== '') {
    return (
      <EmptyState title={words.emptySearch(filter.text)}>
        <p className="mb-3">{words.emptySearchNext}</p>
        <Button onClick={() => onChange({ text: '' })}>{words.clearSearch}</Button>
      </EmptyState>
    );
  }
  const isDefault =
    filter.statuses !== null && isSame(filter.statuses, LIVE_STATUSES) && countFields(filter) === 0;
  if (isDefault) {
    return (
      <EmptyState title={words.emptyLive}>
        <p className="mb-3">{words.emptyLiveNext}</p>
        <Button onClick={() => onChange({ statuses: null })}>{words.showAll}</Button>
      </EmptyState>
    );
  }
  return (
    <EmptyState title={words.emptyFilter}>
      <Link href="/calls" className={buttonClass()}>
        {words.reset}
      </Link>
    </EmptyState>
  );
}
