import {
  CALL_STATUSES,
  type CallStatus,
  DIRECTIONS,
  type Direction,
  LIVE_STATUSES,
  type ListCallsInput,
  type LiveStatus,
} from '../api/call.ts';
import { toLink } from '../stop/selection.ts';

export const SORT_KEYS = ['createdAt', 'scheduledAt'] as const;
const SORT_ORDERS = ['desc', 'asc'] as const;

/** The selection and the order of the calls on the page. The page's address has the complete filter. */
export interface CallFilter {
  /** The text of a search; empty: no search. A search ignores the other fields. */
  readonly text: string;
  /** Null: every status. */
  readonly statuses: readonly CallStatus[] | null;
  readonly agentId: string | null;
  readonly direction: Direction | null;
  readonly phoneNumber: string | null;
  /** An ISO 8601 date (UTC) or time, inclusive. */
  readonly startDate: string | null;
  readonly endDate: string | null;
  readonly cancellationId: string | null;
  readonly sortBy: (typeof SORT_KEYS)[number];
  readonly sortOrder: (typeof SORT_ORDERS)[number];
}

export const DEFAULT_FILTER: CallFilter = {
  text: '',
  statuses: LIVE_STATUSES,
  agentId: null,
  direction: null,
  phoneNumber: null,
  startDate: null,
  endDate: null,
  cancellationId: null,
  sortBy: 'createdAt',
  sortOrder: 'desc',
};

/** The value of `status` in an address that stands for every status. */
const ANY = 'any';
const TEXT_NAMES = ['agentId', 'phoneNumber', 'cancellationId'] as const;
const TIME_NAMES = ['startDate', 'endDate'] as const;
export const BOUNDS = { startDate: 'start', endDate: 'end' } as const;

/** Returns the filter of an address. Values that hangup would refuse are left out. */
export function parseFilter(search: string): CallFilter {
  const params = new URLSearchParams(search);
  const text = (name: string) => params.get(name)?.trim() || null;
  const time = (name: string) => {
    const value = text(name);
    return value !== null && isTime(value) ? value : null;
  };
  return {
    text: text('text') ?? '',
    statuses: parseStatuses(params.getAll('status')),
    agentId: text('agentId'),
    direction: oneOf(DIRECTIONS, params.get('direction')) ?? null,
    phoneNumber: text('phoneNumber'),
    startDate: time('startDate'),
    endDate: time('endDate'),
    cancellationId: text('cancellationId'),
    sortBy: oneOf(SORT_KEYS, params.get('sortBy')) ?? DEFAULT_FILTER.sortBy,
    sortOrder: oneOf(SORT_ORDERS, params.get('sortOrder')) ?? DEFAULT_FILTER.sortOrder,
  };
}

/** Returns the query of the filter's address, without `?`. The default filter has an empty query. */
export function toSearch(filter: CallFilter): string {
  const params = new URLSearchParams();
  if (filter.text !== '') params.set('text', filter.text);
  if (filter.statuses === null) params.set('status', ANY);
  else if (!isSame(filter.statuses, LIVE_STATUSES)) {
    for (const status of filter.statuses) params.append('status', status);
  }
  for (const name of ['agentId', 'direction', 'phoneNumber', ...TIME_NAMES] as const) {
    const value = filter[name];
    if (value !== null) params.set(name, value);
  }
  if (filter.cancellationId !== null) params.set('cancellationId', filter.cancellationId);
  if (filter.sortBy !== DEFAULT_FILTER.sortBy) params.set('sortBy', filter.sortBy);
  if (filter.sortOrder !== DEFAULT_FILTER.sortOrder) params.set('sortOrder', filter.sortOrder);
  return params.toString();
}

/** Returns the input of `calls.list` for the filter, without the page. */
export function toListInput({ text: _, statuses, ...filter }: CallFilter): ListCallsInput {
  const { sortBy, sortOrder, ...fields } = filter;
  return {
    ...(statuses !== null && { status: [...statuses] }),
    ...Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null)),
    sortBy,
    sortOrder,
  };
}

/** Returns the live statuses that the filter selects. */
export function liveStatusesOf({ statuses }: CallFilter): readonly LiveStatus[] {
  return LIVE_STATUSES.filter((status) => statuses === null || statuses.includes(status));
}

/**
 * Returns the query of the Stop page that selects the live calls of the filter, without `?`. Null: a stop cannot select
 * them, because the filter has a search, a cancellation or no live status.
 */
export function toStopSearch(filter: CallFilter): string | null {
  const live = liveStatusesOf(filter);
  if (filter.text !== '' || filter.cancellationId !== null || live.length === 0) return null;
  const { agentId, direction, phoneNumber, startDate, endDate } = filter;
  return toLink({
    ...(live.length < LIVE_STATUSES.length && { status: [...live] }),
    ...(agentId !== null && { agentId }),
    ...(direction !== null && { direction }),
    ...(phoneNumber !== null && { phoneNumber }),
    ...(startDate !== null && { startDate }),
    ...(endDate !== null && { endDate }),
  });
}

/** Returns whether a call with this status belongs to the list. */
export function matchesStatus({ text, statuses }: CallFilter, status: CallStatus): boolean {
  return text !== '' || statuses === null || statuses.includes(status);
}

/** Returns the number of fields beside the statuses and the search that differ from the default. */
export function countFields(filter: CallFilter): number {
  const fields = [...TEXT_NAMES, ...TIME_NAMES, 'direction', 'sortBy', 'sortOrder'] as const;
  return fields.filter((name) => filter[name] !== DEFAULT_FILTER[name]).length;
}

export function isSame<Item>(a: readonly Item[], b: readonly Item[]): boolean {
  return a.length === b.length && a.every((item) => b.includes(item));
}

function parseStatuses(values: readonly string[]): readonly CallStatus[] | null {
  if (values.includes(ANY)) return null;
  const statuses = CALL_STATUSES.filter((status) => values.includes(status));
  if (statuses.length === CALL_STATUSES.length) return null;
  return statuses.length === 0 ? LIVE_STATUSES : statuses;
}

function oneOf<Value extends string>(values: readonly Value[], text: string | null): Value | undefined {
  return values.find((value) => value === text);
}

const DATE = /^\d{4}-\d{2}-\d{2}$/;
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})$/;

function isTime(text: string): boolean {
  return (DATE.test(text) || TIME.test(text)) && !Number.isNaN(Date.parse(text));
}
