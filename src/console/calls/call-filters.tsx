import { type FocusEvent, useEffect, useId, useState } from 'react';
import { useAgents } from '../api/agents.ts';
import { CALL_STATUSES, type CallStatus, DIRECTIONS, ENDED_STATUSES, LIVE_STATUSES } from '../api/call.ts';
import { texts } from '../texts.ts';
import { Button, buttonClass } from '../ui/button.tsx';
import { ClientText } from '../ui/client-text.tsx';
import { DateTimeField } from '../ui/date-time-field.tsx';
import { SelectField, TextField } from '../ui/field.tsx';
import { formatBound } from '../ui/filter-time.ts';
import { isolate } from '../ui/isolate.ts';
import { isTooShort, MIN_SEARCH_LENGTH } from './calls-api.ts';
import { BOUNDS, type CallFilter, countFields, DEFAULT_FILTER, isSame, SORT_KEYS } from './filter.ts';

const TYPING_MS = 300;
const words = texts.calls;

type Change = Partial<CallFilter>;

interface Props {
  readonly filter: CallFilter;
  readonly onChange: (change: Change, options?: { isTyping?: boolean }) => void;
}

/** The search, the statuses, and all other filters behind a button. */
export function CallFilters({ filter, onChange }: Props) {
  const panelId = useId();
  const count = countFields(filter);
  return (
    <div className="flex flex-col gap-2">
      <div className="flex flex-wrap items-start gap-2">
        <div className="min-w-0 flex-1 max-md:basis-full">
          <SearchField filter={filter} onChange={onChange} />
        </div>
        {filter.text === '' && (
          <>
            <div className="w-44 max-md:flex-1">
              <StatusField filter={filter} onChange={onChange} />
            </div>
            <button type="button" popoverTarget={panelId} className={buttonClass()}>
              {count === 0 ? words.filters : words.filterCount(count)}
            </button>
            <FilterPanel id={panelId} filter={filter} onChange={onChange} />
          </>
        )}
      </div>
      {filter.text === '' ? (
        <Chips filter={filter} onChange={onChange} />
      ) : (
        <p className="text-sm text-muted">{words.searchScope}</p>
      )}
    </div>
  );
}

function SearchField({ filter: { text }, onChange }: Props) {
  const typed = useTyped(text, (value) => onChange({ text: value }, { isTyping: true }));
  return (
    <TextField
      id="search"
      type="search"
      label={words.search}
      isLabelHidden
      placeholder={`${words.search}: ${words.searchHint}`}
      hint={
        typed.value.trim() !== '' && isTooShort(typed.value)
          ? words.searchTooShort(MIN_SEARCH_LENGTH)
          : undefined
      }
      autoComplete="off"
      spellCheck={false}
      {...typed}
    />
  );
}

/** Returns the properties of a field whose value is reported a moment after the last key, or at once at Enter and on blur. */
function useTyped(value: string, report: (value: string) => void) {
  const [typed, setTyped] = useState(value);
  const [reported, setReported] = useState(value);
  if (reported !== value) {
    // Another part of the page has changed the filter.
    setReported(value);
    if (typed.trim() !== value) setTyped(value);
  }
  const send = () => {
    if (typed.trim() !== value) report(typed.trim());
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: only typing starts the timer
  useEffect(() => {
    const timer = setTimeout(send, TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return {
    value: typed,
    onChange: (event: { target: { value: string } }) => setTyped(event.target.value),
    onBlur: send,
    onKeyDown: (event: { key: string }) => {
      if (event.key === 'Enter') send();
    },
  };
}

const STATUS_GROUPS = [
  { value: 'live', label: words.liveCalls, statuses: LIVE_STATUSES },
  { value: 'ended', label: words.endedCalls, statuses: ENDED_STATUSES },
  { value: 'all', label: words.allCalls, statuses: null },
] as const;

function StatusField({ filter: { statuses }, onChange }: Props) {
  const group = STATUS_GROUPS.find((one) =>
    one.statuses === null || statuses === null
      ? one.statuses === statuses
      : isSame<CallStatus>(one.statuses, statuses),
  );
  const single = statuses?.length === 1 ? statuses[0] : undefined;
  const value = group?.value ?? single ?? 'several';
  return (
    <SelectField
      label={words.status}
      isLabelHidden
      value={value}
      onChange={({ target }) => {
        const chosen = STATUS_GROUPS.find((one) => one.value === target.value);
        const status = CALL_STATUSES.find((one) => one === target.value);
        if (chosen !== undefined) onChange({ statuses: chosen.statuses });
        else if (status !== undefined) onChange({ statuses: [status] });
      }}
    >
      {STATUS_GROUPS.map(({ value: name, label }) => (
        <option key={name} value={name}>
          {label}
        </option>
      ))}
      {CALL_STATUSES.map((status) => (
        <option key={status} value={status}>
          {words.statuses[status]}
        </option>
      ))}
      {value === 'several' && <option value="several">{words.severalStatuses}</option>}
    </SelectField>
  );
}

/** All filters, in a part that opens above the page. The browser closes it on Escape and on a click outside. */
function FilterPanel({ id, filter, onChange }: Props & { id: string }) {
  // The panel would cover the control that has the focus.
  const closeBehindFocus = ({ currentTarget, relatedTarget }: FocusEvent<HTMLElement>) => {
    if (relatedTarget !== null && !currentTarget.contains(relatedTarget)) currentTarget.hidePopover();
  };
  return (
    <div
      id={id}
      popover="auto"
      role="dialog"
      aria-label={words.filters}
      onBlur={closeBehindFocus}
      className="filter-panel m-auto w-[min(36rem,calc(100vw-2rem))] rounded-lg border border-line bg-raised p-4 text-text shadow-xl"
    >
      <div className="grid gap-4 sm:grid-cols-2">
        <Statuses filter={filter} onChange={onChange} />
        <AgentField filter={filter} onChange={onChange} />
        <SelectField
          label={words.direction}
          value={filter.direction ?? ''}
          onChange={({ target }) =>
            onChange({ direction: DIRECTIONS.find((one) => one === target.value) ?? null })
          }
        >
          <option value="">{words.anyDirection}</option>
          {DIRECTIONS.map((direction) => (
            <option key={direction} value={direction}>
              {words.directions[direction]}
            </option>
          ))}
        </SelectField>
        <TypedField
          name="phoneNumber"
          label={words.phoneNumber}
          hint={words.phoneNumberHint}
          filter={filter}
          onChange={onChange}
          type="tel"
        />
        <TypedField
          name="cancellationId"
          label={words.cancellation}
          hint={words.cancellationHint}
          filter={filter}
          onChange={onChange}
        />
        <TimeField name="startDate" filter={filter} onChange={onChange} />
        <TimeField name="endDate" filter={filter} onChange={onChange} />
        <SelectField
          label={words.sortBy}
          value={filter.sortBy}
          onChange={({ target }) =>
            onChange({ sortBy: SORT_KEYS.find((one) => one === target.value) ?? DEFAULT_FILTER.sortBy })
          }
        >
          {SORT_KEYS.map((key) => (
            <option key={key} value={key}>
              {words.sortKeys[key]}
            </option>
          ))}
        </SelectField>
        <SelectField
          label={words.sortOrder}
          value={filter.sortOrder}
          onChange={({ target }) => onChange({ sortOrder: target.value === 'asc' ? 'asc' : 'desc' })}
        >
          <option value="desc">{words.sortOrders.desc}</option>
          <option value="asc">{words.sortOrders.asc}</option>
        </SelectField>
      </div>
      <div className="mt-4 flex justify-between gap-2">
        <Button kind="quiet" onClick={() => onChange({ ...DEFAULT_FILTER })}>
          {words.reset}
        </Button>
        <button
          type="button"
          popoverTarget={id}
          popoverTargetAction="hide"
          className={buttonClass('primary')}
        >
          {words.done}
        </button>
      </div>
    </div>
  );
}

function Statuses({ filter: { statuses }, onChange }: Props) {
  const isOn = (status: CallStatus) => statuses === null || statuses.includes(status);
  const toggle = (status: CallStatus) => {
    const chosen = CALL_STATUSES.filter((one) => (one === status ? !isOn(one) : isOn(one)));
    // A list of no status does not exist.
    if (chosen.length === 0) return;
    onChange({ statuses: chosen.length === CALL_STATUSES.length ? null : chosen });
  };
  const groups = [
    { label: words.liveStatuses, statuses: LIVE_STATUSES },
    { label: words.endedStatuses, statuses: ENDED_STATUSES },
  ] as const;
  return (
    <fieldset className="sm:col-span-2">
      <legend className="mb-1 text-sm font-medium">{words.status}</legend>
      {groups.map((group) => (
        <div key={group.label} className="flex flex-wrap items-center gap-x-4 gap-y-1 py-0.5">
          <span className="w-12 text-xs text-muted">{group.label}</span>
          {group.statuses.map((status) => (
            <label key={status} className="flex items-center gap-1.5 text-sm">
              <input
                type="checkbox"
                className="size-4 accent-accent"
                checked={isOn(status)}
                onChange={() => toggle(status)}
              />
              {words.statuses[status]}
            </label>
          ))}
        </div>
      ))}
    </fieldset>
  );
}

/** The agents of live calls are suggested. Every other id can be typed. */
function AgentField({ filter, onChange }: Props) {
  const listId = useId();
  const { data: agents } = useAgents();
  return (
    <>
      <TypedField
        name="agentId"
        label={words.agent}
        hint={words.agentHint}
        filter={filter}
        onChange={onChange}
        list={listId}
      />
      <datalist id={listId}>
        {agents?.map(({ id, name, liveCalls }) => (
          <option key={id} value={id}>
            {`${isolate(name ?? id)} (${liveCalls})`}
          </option>
        ))}
      </datalist>
    </>
  );
}

function TypedField({
  name,
  filter,
  onChange,
  ...props
}: Props & {
  name: 'agentId' | 'phoneNumber' | 'cancellationId';
  label: string;
  hint: string;
  list?: string;
  type?: string;
}) {
  const typed = useTyped(filter[name] ?? '', (value) =>
    onChange({ [name]: value === '' ? null : value }, { isTyping: true }),
  );
  return <TextField {...props} autoComplete="off" spellCheck={false} {...typed} />;
}

function TimeField({ name, filter, onChange }: Props & { name: 'startDate' | 'endDate' }) {
  return (
    <DateTimeField
      label={words[name]}
      value={filter[name] ?? ''}
      bound={BOUNDS[name]}
      onChange={(value) => onChange({ [name]: value === '' ? null : value })}
    />
  );
}

/** The fields of the filter, each with a button that removes it. */
function Chips({ filter, onChange }: Props) {
  const { agentId, direction, phoneNumber, startDate, endDate, cancellationId, statuses } = filter;
  const isGroup = STATUS_GROUPS.some((group) =>
    group.statuses === null || statuses === null
      ? group.statuses === statuses
      : isSame<CallStatus>(group.statuses, statuses),
  );
  const isSorted = filter.sortBy !== DEFAULT_FILTER.sortBy || filter.sortOrder !== DEFAULT_FILTER.sortOrder;
  const chips: readonly (readonly [string, string | null, Change])[] = [
    [
      words.status,
      isGroup || statuses === null || statuses.length === 1
        ? null
        : statuses.map((status) => words.statuses[status]).join(', '),
      { statuses: DEFAULT_FILTER.statuses },
    ],
    [words.agent, agentId, { agentId: null }],
    [words.direction, direction && words.directions[direction], { direction: null }],
    [words.phoneNumber, phoneNumber, { phoneNumber: null }],
    [words.startDate, startDate && formatBound(startDate, BOUNDS.startDate), { startDate: null }],
    [words.endDate, endDate && formatBound(endDate, BOUNDS.endDate), { endDate: null }],
    [words.cancellation, cancellationId, { cancellationId: null }],
    [
      words.sortBy,
      isSorted ? `${words.sortKeys[filter.sortBy]}, ${words.sortOrders[filter.sortOrder]}` : null,
      { sortBy: DEFAULT_FILTER.sortBy, sortOrder: DEFAULT_FILTER.sortOrder },
    ],
  ];
  const shown = chips.filter(([, value]) => value !== null);
  if (shown.length === 0) return null;
  return (
    <ul className="flex flex-wrap gap-2">
      {shown.map(([name, value, change]) => (
        <li
          key={name}
          className="flex min-w-0 items-center gap-1 rounded-full border border-line bg-surface py-0.5 pr-1 pl-3 text-sm"
        >
          <span className="truncate" title={value ?? ''}>
            <span className="text-muted">{name}:</span> <ClientText text={value ?? ''} />
          </span>
          <button
            type="button"
            aria-label={words.removeFilter(name)}
            className="flex size-6 shrink-0 items-center justify-center rounded-full text-muted hover:bg-hover hover:text-text"
            onClick={() => onChange(change)}
          >
            {'×'}
          </button>
        </li>
      ))}
    </ul>
  );
}
