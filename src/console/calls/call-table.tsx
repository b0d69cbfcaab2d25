import {
  type ColumnDef,
  createColumnHelper,
  type Header,
  tableFeatures,
  useTable,
} from '@tanstack/react-table';
import { useVirtualizer, type VirtualItem, type Virtualizer } from '@tanstack/react-virtual';
import { type MouseEvent, type RefObject, useCallback, useEffect, useLayoutEffect, useRef } from 'react';
import { Link } from 'wouter';
import { isLive } from '../api/call.ts';
import { texts } from '../texts.ts';
import { Badge } from '../ui/badge.tsx';
import { classNames } from '../ui/class-names.ts';
import { ClientText } from '../ui/client-text.tsx';
import { ErrorMessage } from '../ui/messages.tsx';
import { StatusBadge } from '../ui/status-badge.tsx';
import { Age, useNow } from '../ui/time.tsx';
import type { CallList } from './call-list.ts';
import { MiddleEllipsis } from './middle-ellipsis.tsx';
import { Participants } from './participants.tsx';
import type { Row, RowRef } from './row.ts';
import { useMediaQuery } from './use-media-query.ts';

const ROW_HEIGHT = 50;
const CARD_HEIGHT = 128;
/** The next page is loaded when so few loaded calls follow the visible ones. */
const LOADED_AHEAD = 60;

interface Selecting {
  isSelected(id: string): boolean;
  isAllSelected: boolean;
  /** False if the list has only ended calls. */
  canSelectAll: boolean;
  /** Selects or deselects a call. @param isRange from the call of the last change to this one */
  onToggle(id: string, isRange: boolean): void;
  onToggleAll(): void;
}

interface CellContext extends Selecting {
  readonly now: number;
  /** Ids of ended calls whose rooms are not deleted. */
  readonly failing: ReadonlySet<string>;
}

const features = tableFeatures({});
const helper = createColumnHelper<typeof features, RowRef>();
const COLUMNS: readonly ColumnDef<typeof features, RowRef>[] = helper.columns([
  helper.display({ id: 'select' }),
  helper.display({ id: 'status', header: texts.calls.status }),
  helper.display({ id: 'call', header: texts.calls.call }),
  helper.display({ id: 'agent', header: texts.calls.agent }),
  helper.display({ id: 'phone', header: texts.calls.phone }),
  helper.display({ id: 'age', header: texts.calls.age }),
  helper.display({ id: 'participants', header: texts.calls.participants }),
]);

const WIDTHS: Readonly<Record<string, string>> = {
  select: 'w-11',
  status: 'w-36',
  agent: 'w-44',
  phone: 'w-36',
  age: 'w-28',
  participants: 'w-40',
};

/** The calls as a table, or as cards on a narrow screen. Only the visible rows are in the page. */
export function CallTable({
  list,
  visible,
  selecting,
  failing,
}: {
  list: CallList;
  /** The ended calls whose rooms are not deleted. */
  failing: readonly { readonly callId: string }[];
  visible: RefObject<readonly string[]>;
  selecting: Selecting | null;
}) {
  const isWide = useMediaQuery('(min-width: 60rem)');
  const scroller = useRef<HTMLDivElement>(null);
  const now = useNow();
  const { order } = list;
  // A new function makes the virtualizer measure every row again.
  const getItemKey = useCallback((index: number) => order[index]?.id ?? index, [order]);
  const virtualizer = useVirtualizer<HTMLDivElement, Element>({
    count: order.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => (isWide ? ROW_HEIGHT : CARD_HEIGHT),
    getItemKey,
    overscan: 8,
  });
  const items = virtualizer.getVirtualItems();
  const keepPosition = useKeptPosition(scroller, order, virtualizer);
  // biome-ignore lint/correctness/useExhaustiveDependencies: rows and cards have other heights
  useEffect(() => virtualizer.measure(), [isWide, virtualizer]);

  useEffect(() => {
    visible.current = items.flatMap(({ index }) => order[index]?.id ?? []);
    const last = items.at(-1)?.index ?? -1;
    if (list.hasMore && list.next.kind === 'idle' && last >= order.length - LOADED_AHEAD) {
      void list.loadMore();
    }
  });

  const context: CellContext = {
    now,
    failing: new Set(failing.map(({ callId }) => callId)),
    isSelected: () => false,
    isAllSelected: false,
    canSelectAll: false,
    onToggle: () => {},
    onToggleAll: () => {},
    ...selecting,
  };
  const use = () => list.use();
  const view = { list, items, context, canSelect: selecting !== null, size: virtualizer.getTotalSize() };
  return (
    <section
      ref={scroller}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard scrolls only a part that can have the focus
      tabIndex={0}
      aria-label={texts.calls.table}
      className="min-h-72 flex-1 overflow-auto rounded-lg border border-line bg-surface [overflow-anchor:none]"
      onScroll={keepPosition}
      onPointerMove={use}
      onPointerDown={use}
      onKeyDown={use}
      onWheel={use}
    >
      {isWide ? <Rows {...view} /> : <Cards {...view} measure={virtualizer.measureElement} />}
      <Next list={list} />
    </section>
  );
}

interface View {
  readonly list: CallList;
  readonly items: readonly VirtualItem[];
  readonly context: CellContext;
  readonly canSelect: boolean;
  /** Height of all rows in pixels. */
  readonly size: number;
}

function Rows({ list, items, context, canSelect, size }: View) {
  const table = useTable({ features, columns: COLUMNS, data: list.order, getRowId: ({ id }) => id });
  const shown = (id: string) => canSelect || id !== 'select';
  const columns = COLUMNS.filter(({ id = '' }) => shown(id));
  const { rows } = table.getRowModel();
  const before = items[0]?.start ?? 0;
  const after = size - (items.at(-1)?.end ?? 0);
  return (
    <table
      className="w-full table-fixed border-separate border-spacing-0 text-sm"
      aria-rowcount={list.hasMore ? -1 : list.order.length + 1}
    >
      <colgroup>
        {columns.map(({ id = '' }) => (
          <col key={id} className={WIDTHS[id]} />
        ))}
      </colgroup>
      <thead>
        {table.getHeaderGroups().map((group) => (
          <tr key={group.id} aria-rowindex={1}>
            {group.headers
              .filter(({ id }) => shown(id))
              .map((header) => (
                <HeaderCell key={header.id} header={header} context={context} />
              ))}
          </tr>
        ))}
      </thead>
      <tbody>
        <Spacer height={before} columns={columns.length} />
        {items.map(({ index, key }) => {
          const ref = rows[index];
          const row = ref === undefined ? undefined : list.row(ref.id);
          if (ref === undefined || row === undefined) return null;
          const isChosen = context.isSelected(ref.id) && isLive(row.call.status);
          return (
            <tr
              key={key}
              aria-rowindex={index + 2}
              style={{ height: ROW_HEIGHT }}
              className={classNames(
                isChosen ? 'bg-accent-soft' : 'hover:bg-hover',
                row.leftAt !== null && 'text-muted',
              )}
            >
              {ref
                .getAllCells()
                .filter(({ column }) => shown(column.id))
                .map((cell) => (
                  <td key={cell.id} className="overflow-hidden border-b border-line px-3 align-middle">
                    <CellContent column={cell.column.id} row={row} context={context} />
                  </td>
                ))}
            </tr>
          );
        })}
        <Spacer height={after} columns={columns.length} />
      </tbody>
    </table>
  );
}

function HeaderCell({
  header,
  context,
}: {
  header: Header<typeof features, RowRef, unknown>;
  context: CellContext;
}) {
  const { header: title } = header.column.columnDef;
  const className =
    'sticky top-0 z-1 h-10 border-b border-line bg-surface px-3 text-left text-xs font-medium text-muted';
  if (header.id === 'select') {
    return <td className={className}>{context.canSelectAll && <SelectAll context={context} />}</td>;
  }
  return (
    <th scope="col" className={className}>
      {typeof title === 'string' ? title : null}
    </th>
  );
}

function CellContent({ column, row, context }: { column: string; row: Row; context: CellContext }) {
  const { call } = row;
  switch (column) {
    case 'select':
      return <SelectCall row={row} context={context} />;
    case 'status':
      return <Status row={row} context={context} />;
    case 'call':
      return <CallName row={row} />;
    case 'agent':
      return <AgentName row={row} />;
    case 'phone':
      return <Phone row={row} />;
    case 'age':
      return <Age iso={call.createdAt} now={context.now} />;
    case 'participants':
      return <Participants call={call} />;
    default:
      return null;
  }
}

/** A row without content, in place of those that are not in the page. */
function Spacer({ height, columns }: { height: number; columns: number }) {
  if (height <= 0) return null;
  return (
    // biome-ignore lint/a11y/noAriaHiddenOnFocusable: a row without content has no focus
    <tr aria-hidden="true" style={{ height }}>
      <td colSpan={columns} />
    </tr>
  );
}

function Cards({
  list,
  items,
  context,
  canSelect,
  size,
  measure,
}: View & { measure: (element: Element | null) => void }) {
  return (
    <ul className="relative" style={{ height: size }}>
      {items.map(({ index, key, start }) => {
        const ref = list.order[index];
        const row = ref === undefined ? undefined : list.row(ref.id);
        if (row === undefined) return null;
        const { call } = row;
        const isChosen = context.isSelected(call.id) && isLive(call.status);
        return (
          <li
            key={key}
            ref={measure}
            data-index={index}
            style={{ transform: `translateY(${start}px)` }}
            className={classNames(
              'absolute top-0 left-0 w-full border-b border-line p-3 text-sm',
              isChosen && 'bg-accent-soft',
              row.leftAt !== null && 'text-muted',
            )}
          >
            <div className="flex items-start gap-3">
              {canSelect && <SelectCall row={row} context={context} />}
              <div className="flex min-w-0 flex-1 flex-col gap-1">
                <div className="flex flex-wrap items-center justify-between gap-2">
                  <Status row={row} context={context} />
                  <Age iso={call.createdAt} now={context.now} />
                </div>
                <CallName row={row} />
                <div className="flex flex-wrap gap-x-4 gap-y-0.5">
                  <AgentName row={row} />
                  <Phone row={row} />
                </div>
                {isLive(call.status) && (
                  <span className="text-muted">
                    {texts.calls.participants}: <Participants call={call} />
                  </span>
                )}
              </div>
            </div>
          </li>
        );
      })}
    </ul>
  );
}

function Status({ row: { call, deletion }, context }: { row: Row; context: CellContext }) {
  const isRoomLeft =
    !isLive(call.status) &&
    deletion?.state !== 'completed' &&
    (context.failing.has(call.id) || deletion?.state === 'retryable' || deletion?.state === 'discarded');
  return (
    <span className="flex flex-col items-start gap-0.5">
      <StatusBadge status={call.status} />
      {isRoomLeft && <Badge tone="danger">{texts.calls.roomPending}</Badge>}
    </span>
  );
}

function CallName({ row: { call } }: { row: Row }) {
  const { id, room } = call;
  return (
    <span className="flex min-w-0 flex-col">
      <Link
        href={`/calls/${encodeURIComponent(id)}`}
        aria-label={id}
        className="self-start max-w-full rounded-sm font-mono text-[0.8rem] text-accent underline-offset-2 hover:underline"
      >
        <MiddleEllipsis text={id} />
      </Link>
      {room !== undefined && room.name !== id && (
        <span className="flex min-w-0 text-xs text-muted">
          <MiddleEllipsis text={room.name} />
        </span>
      )}
    </span>
  );
}

function AgentName({ row: { call } }: { row: Row }) {
  const { id, name } = call.agent;
  if (id === null && name === null) return <span className="text-muted">{texts.calls.noAgent}</span>;
  return (
    <span title={[name, id].filter(Boolean).join('\n')} className="block truncate">
      <ClientText text={name ?? id ?? ''} />
    </span>
  );
}

function Phone({ row: { call } }: { row: Row }) {
  if (call.phoneNumber === null) return <span className="text-muted">{texts.calls.noPhone}</span>;
  return (
    <span title={call.phoneNumber} className="block truncate">
      {call.phoneNumber}
    </span>
  );
}

function SelectCall({ row: { call }, context }: { row: Row; context: CellContext }) {
  const { id, status } = call;
  const onClick = (event: MouseEvent) => context.onToggle(id, event.shiftKey);
  // An ended call cannot be cancelled. Its place stays empty.
  if (!isLive(status)) return <span className="block size-4.5 shrink-0" />;
  return (
    <input
      type="checkbox"
      aria-label={texts.calls.select(id)}
      className="block size-4.5 accent-accent"
      checked={context.isSelected(id)}
      // A shift-click selects a range: onChange has no keys.
      onClick={onClick}
      // A shift-click would also select the text of the rows.
      onMouseDown={(event) => event.shiftKey && event.preventDefault()}
      onChange={() => {}}
    />
  );
}

/** The checkbox of all calls, for the head of the table and above the cards. */
export function SelectAll({ context }: { context: Pick<Selecting, 'isAllSelected' | 'onToggleAll'> }) {
  return (
    <input
      type="checkbox"
      aria-label={texts.calls.selectAll}
      className="block size-4.5 accent-accent"
      checked={context.isAllSelected}
      onChange={context.onToggleAll}
    />
  );
}

function Next({ list }: { list: CallList }) {
  const { next } = list;
  if (next.kind === 'failed') {
    return (
      <div className="p-3">
        <ErrorMessage error={next.error} onRetry={() => void list.loadMore()} />
      </div>
    );
  }
  if (!list.hasMore) return null;
  return (
    <p role="status" className="p-3 text-center text-sm text-muted">
      {texts.calls.loadingMore}
    </p>
  );
}

/**
 * Keeps the visible rows in their place when rows above them come or go. Returns the handler of the scroll event. At the
 * beginning of the list, new rows move the others down.
 */
function useKeptPosition(
  scroller: RefObject<HTMLDivElement | null>,
  order: readonly RowRef[],
  virtualizer: Virtualizer<HTMLDivElement, Element>,
) {
  const kept = useRef<readonly { readonly id: VirtualItem['key']; readonly offset: number }[]>([]);
  const save = () => {
    const top = scroller.current?.scrollTop ?? 0;
    const shown = top === 0 ? [] : virtualizer.getVirtualItems().filter(({ end }) => end > top);
    kept.current = shown.map(({ key, start }) => ({ id: key, offset: top - start }));
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: only a new order moves rows
  useLayoutEffect(() => {
    const element = scroller.current;
    if (element === null || kept.current.length === 0) return;
    const indexes = new Map<VirtualItem['key'], number>(order.map(({ id }, index) => [id, index]));
    for (const { id, offset } of kept.current) {
      const index = indexes.get(id);
      if (index === undefined) continue;
      const [start] = virtualizer.getOffsetForIndex(index, 'start') ?? [0];
      if (Math.abs(element.scrollTop - start - offset) > 1) element.scrollTop = start + offset;
      break;
    }
  }, [order]);
  useLayoutEffect(save);
  return save;
}
