import { texts } from '../texts.ts';
import { formatBound } from '../ui/filter-time.ts';
import type { StopFilter } from './selection.ts';

/** A selector of a stop, as the API sends or expects it. */
export interface DescribedSelector {
  readonly all?: true | undefined;
  readonly filter?: StopFilter | undefined;
  readonly callIds?: readonly string[] | undefined;
}

/** Returns a text such as `agent receptionist, ringing or active`. */
export function describeSelector({ filter, callIds }: DescribedSelector): string {
  if (callIds !== undefined) return texts.stop.selector.callIds(callIds.length);
  return filter === undefined ? texts.stop.selector.all : describeFilter(filter);
}

/** Returns the fields of a filter as a text. */
export function describeFilter(filter: StopFilter): string {
  const { agentId, status, direction, phoneNumber, startDate, endDate } = filter;
  const { selector } = texts.stop;
  const parts = [
    agentId !== undefined && selector.agentId(agentId),
    status !== undefined && selector.status(status),
    direction !== undefined && selector.direction(direction),
    phoneNumber !== undefined && selector.phoneNumber(phoneNumber),
    startDate !== undefined && selector.startDate(formatBound(startDate, 'start')),
    endDate !== undefined && selector.endDate(formatBound(endDate, 'end')),
  ].filter((part) => part !== false);
  return parts.length === 0 ? selector.empty : parts.join(', ');
}
