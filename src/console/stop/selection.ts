import { DIRECTIONS, type Direction, LIVE_STATUSES, type LiveStatus } from '../api/call.ts';
import type { Inputs } from '../api/trpc.ts';

type Stop = Inputs['cancellations']['create'];
export type StopFilter = NonNullable<Stop['filter']>;

/** The fields of a filter as a form has them: an empty text is an absent field. */
export interface FilterFields {
  readonly agentId: string;
  readonly status: readonly LiveStatus[];
  readonly direction: Direction | '';
  readonly phoneNumber: string;
  /** ISO 8601, as the API reads it. */
  readonly startDate: string;
  readonly endDate: string;
}

export const NO_FILTER: FilterFields = {
  agentId: '',
  status: [],
  direction: '',
  phoneNumber: '',
  startDate: '',
  endDate: '',
};

/** What an operator has chosen to stop. */
export type Selection =
  | { readonly kind: 'none' }
  | { readonly kind: 'all' }
  | { readonly kind: 'agent'; readonly agentId: string }
  | { readonly kind: 'filter'; readonly fields: FilterFields };

/** The selector of a stop, as the API expects it. */
export type Selector = { readonly all: true } | { readonly filter: StopFilter };

/** Returns the selector; null if nothing is chosen, or if the filter is empty: an empty filter must not select every call. */
export function toSelector(selection: Selection): Selector | null {
  switch (selection.kind) {
    case 'none':
      return null;
    case 'all':
      return { all: true };
    case 'agent':
      return { filter: { agentId: selection.agentId } };
    case 'filter': {
      const filter = toFilter(selection.fields);
      return Object.keys(filter).length === 0 ? null : { filter };
    }
  }
}

/** Returns the filter of the fields, without absent ones. */
export function toFilter({
  agentId,
  status,
  direction,
  phoneNumber,
  startDate,
  endDate,
}: FilterFields): StopFilter {
  return {
    ...(agentId.trim() !== '' && { agentId: agentId.trim() }),
    ...(status.length > 0 && { status: LIVE_STATUSES.filter((one) => status.includes(one)) }),
    ...(direction !== '' && { direction }),
    ...(phoneNumber.trim() !== '' && { phoneNumber: phoneNumber.trim() }),
    ...(startDate !== '' && { startDate }),
    ...(endDate !== '' && { endDate }),
  };
}

/* Options of the list. An agent's id has no control characters, so no id equals one of these values. */
const ALL = '\tall';
const FILTER = '\tfilter';
export const OPTION_VALUES = { none: '', all: ALL, filter: FILTER } as const;

/** Returns the value of the option of a selection: an agent's id is its own value. */
export function toOptionValue(selection: Selection): string {
  return selection.kind === 'agent' ? selection.agentId : OPTION_VALUES[selection.kind];
}

/** Returns the selection of an option. */
export function fromOptionValue(value: string, fields: FilterFields): Selection {
  switch (value) {
    case OPTION_VALUES.none:
      return { kind: 'none' };
    case ALL:
      return { kind: 'all' };
    case FILTER:
      return { kind: 'filter', fields };
    default:
      return { kind: 'agent', agentId: value };
  }
}

/** A link to the page. `invalid`: without the named field, the stop would select more calls than the link's author saw. */
export type StopLink =
  | { readonly kind: 'selection'; readonly selection: Selection }
  | { readonly kind: 'invalid'; readonly field: string };

/** Reads the query of a link to the page, such as `agentId=receptionist&status=ringing`. A status may be repeated. */
export function parseLink(search: string): StopLink {
  const query = new URLSearchParams(search);
  let fields = NO_FILTER;
  for (const [name, value] of query) {
    if (value === '') continue;
    const changed = withField(fields, name, value);
    if (changed === null) return { kind: 'invalid', field: name };
    fields = changed;
  }
  const names = Object.keys(toFilter(fields));
  if (names.length === 0) return { kind: 'selection', selection: { kind: 'none' } };
  const { agentId } = fields;
  const isOneAgent = names.length === 1 && agentId !== '';
  return {
    kind: 'selection',
    selection: isOneAgent ? { kind: 'agent', agentId } : { kind: 'filter', fields },
  };
}

/** Returns the query of a link to the page, without a question mark. */
export function toLink(filter: StopFilter): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(filter)) {
    for (const one of [value].flat()) if (one !== undefined) query.append(name, one);
  }
  return query.toString();
}

function withField(fields: FilterFields, name: string, value: string): FilterFields | null {
  switch (name) {
    case 'agentId':
    case 'phoneNumber':
      return fields[name] === '' ? { ...fields, [name]: value } : null;
    case 'startDate':
    case 'endDate':
      return fields[name] === '' && !Number.isNaN(Date.parse(value)) ? { ...fields, [name]: value } : null;
    case 'direction': {
      const direction = DIRECTIONS.find((one) => one === value);
      return fields.direction === '' && direction !== undefined ? { ...fields, direction } : null;
    }
    case 'status': {
      const statuses = value.split(',').map((name) => LIVE_STATUSES.find((one) => one === name));
      const known = statuses.filter((status) => status !== undefined);
      return known.length === statuses.length ? { ...fields, status: [...fields.status, ...known] } : null;
    }
    default:
      return null;
  }
}
